"""Whether a backup is due, decided from the repository and not from the clock of a cron line. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pgops.observe.facts import Backup, StanzaFacts
from pgops.observe.snapshot import Node, Snapshot
from pgops.pgbackrest.commands import Kind
from pgops.pgbackrest.meanings import IDENTITY
from pgops.pgbackrest.statuses import UNREADABLE, explain_status
from pgops.plan.step import Params
from pgops.readings import known, reason
from pgops.render.units import format_duration

_NO_BACKUP = 2
"""The status code of a stanza without a backup; source: pgBackRest, src/command/info/info.c."""


@dataclass(frozen=True)
class Need:
    """`kind` None: no backup is due. `why` says it for people. `fault`: it cannot be told, or must not be made."""

    kind: Kind | None
    why: str
    fault: str | None = None
    unread: bool = False
    next_step: str | None = None


def judge_need(params: Params, first: Snapshot) -> Need:
    """From what the node sees of the repository."""
    node = first.node(str(params["node"]))
    stanza = known(node.stanza) if node else None
    if node is None or stanza is None:
        why = reason(node.stanza) if node else "there is no such node"
        return Need(
            None, "", f"the repository cannot be read: {why}", unread=True, next_step="pgops health --check backup"
        )
    fault = _find_fault(stanza, params) or _find_other_server(node, stanza)
    if fault is not None:
        return fault
    mine = [item for item in stanza.backups if item.database_id == stanza.current_database_id and not item.error]
    if params.get("repo") is not None:
        mine = [item for item in mine if item.repo_key == params["repo"]]
    return _judge_age(params, mine, first.taken_at)


def _find_fault(stanza: StanzaFacts, params: Params) -> Need | None:
    if stanza.backup_running:
        return Need(
            None,
            "",
            "pgBackRest makes a backup on this host already, which this command did not begin",
            next_step="wait for it: pgops backup list; after a kill its workers may hold the lock: ps -ef | grep pgbackrest",
        )
    bad = [repo for repo in stanza.repositories if repo.code not in (0, _NO_BACKUP)]
    if bad or (not stanza.repositories and stanza.code not in (0, _NO_BACKUP)):
        code, message = (bad[0].code, bad[0].message) if bad else (stanza.code, stanza.message)
        meaning, next_step = explain_status(code, message)
        fault = f"the stanza is not sound: {meaning} (status code {code})"
        return Need(None, "", fault, unread=code == UNREADABLE, next_step=next_step)
    if params["source"] == "prefer-replica" and stanza.pgbackrest_version and stanza.pgbackrest_version < (2, 47):
        version = ".".join(map(str, stanza.pgbackrest_version))
        what = f"pgBackRest {version} cannot prefer a replica: 2.47 and later can"
        return Need(None, "", what, next_step="say --from replica, or --from primary")
    return None


def _find_other_server(node: Node, stanza: StanzaFacts) -> Need | None:
    """A server that is not the stanza's: found before anything begins, so that a dry run says it as well."""
    sql, theirs = known(node.sql), stanza.current_system_identifier
    if sql is None or theirs is None or sql.system_identifier == theirs:
        return None
    fault = (
        f"the stanza in the repository is of another server: its system identifier is {theirs}, "
        f"the one of {node.name} is {sql.system_identifier}"
    )
    return Need(None, "", fault, next_step=IDENTITY)


def _judge_age(params: Params, backups: list[Backup], now: datetime) -> Need:
    wished: Kind = "full" if params["kind"] == "full" else "diff" if params["kind"] == "diff" else "incr"
    if not any(item.kind == "full" for item in backups):
        said = "" if wished == "full" else f"; a full one is made in place of the {wished}"
        return Need("full", f"there is no full backup of this database yet{said}")
    limit_s = params.get("if_older_than_s")
    if limit_s is None:
        return Need(wished, "it was asked for")
    counted = [item for item in backups if wished != "full" or item.kind == "full"]
    newest = _newest(counted)
    age_s = (now - newest.stopped_at).total_seconds()
    limit = format_duration(float(limit_s))
    if age_s <= float(limit_s):
        return Need(None, f"{newest.label} is {format_duration(age_s)} old, not older than {limit}")
    return Need(
        wished,
        f"the newest {'full ' if wished == 'full' else ''}backup is {format_duration(age_s)} old, older than {limit}",
    )


def _newest(backups: Iterable[Backup]) -> Backup:
    return max(backups, key=lambda item: item.stopped_at)
