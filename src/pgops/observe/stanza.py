"""`pgbackrest info` and the repository's file list, as one host sees them.

Source: pgBackRest, src/command/info/info.c. `info` exits 0 even where a stanza is in error: only the codes inside
count.
System identifiers exceed 2^53: Python's JSON keeps them whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pgops.hosts.host import Host, HostFault, Identity
from pgops.observe.facts import Backup, RepositoryStatus, StanzaFacts
from pgops.observe.fields import ShapeFault, as_list, as_mapping, integer, moment, text
from pgops.observe.lsn import SEGMENT_NAME, segment_timeline
from pgops.readings import Known, Reading, Unknown

_STORED = re.compile(r"([0-9A-F]{24})-([0-9a-f]{40})(?:\.\w+)?")


def pgbackrest_argv(stanza: str, config: str | None, command: str, *rest: str) -> list[str]:
    """The argv of a pgBackRest command that only reads; it logs to standard error alone, so that no log file is opened."""
    place = [f"--config={config}"] if config else []
    quiet = ["--log-level-console=off", "--log-level-stderr=error", "--log-level-file=off"]
    options = [word for word in rest if word.startswith("--")]
    parameters = [word for word in rest if not word.startswith("--")]
    return ["pgbackrest", *place, f"--stanza={stanza}", *quiet, *options, command, *parameters]


def read_stanza(host: Host, stanza: str, config: str | None, *, timeout_s: float) -> Reading[StanzaFacts]:
    """`pgbackrest info` of one stanza on one host."""
    try:
        answer = host.run(
            pgbackrest_argv(stanza, config, "info", "--output=json"), identity=Identity.OWNER, timeout_s=timeout_s
        )
        if not answer.ok:
            return Unknown(f"pgbackrest info: {answer.fault}")
        return Known(parse_info(json.loads(answer.stdout), stanza))
    except (HostFault, ShapeFault) as fault:
        return Unknown(f"pgbackrest info: {fault}")
    except (ValueError, RecursionError):
        return Unknown("pgbackrest info: its output is not JSON")


def parse_info(reply: object, stanza: str) -> StanzaFacts:
    """The JSON of `pgbackrest info`. Raises `ShapeFault`."""
    for entry in as_list(reply, "the output"):
        top = as_mapping(entry, "a stanza")
        if text(top, "name") == stanza:
            return _stanza(top)
    raise ShapeFault(f"does not name stanza {stanza}")


def _stanza(top: Mapping[str, Any]) -> StanzaFacts:
    status = as_mapping(top.get("status"), "status")
    lock = as_mapping(status.get("lock") or {}, "lock")
    running = as_mapping(lock.get("backup") or {}, "lock.backup").get("held") is True
    databases = [as_mapping(item, "db") for item in as_list(top.get("db"), "db")]
    newest = max(databases, key=lambda item: integer(item, "id") or 0, default={})
    archives = [as_mapping(item, "archive") for item in as_list(top.get("archive"), "archive")]
    archive = max(archives, key=_database_id, default={})
    return StanzaFacts(
        code=integer(status, "code") or 0,
        message=text(status, "message") or "",
        repositories=tuple(_repository(as_mapping(item, "repo")) for item in as_list(top.get("repo"), "repo")),
        backups=tuple(_backup(as_mapping(item, "backup")) for item in as_list(top.get("backup"), "backup")),
        current_database_id=integer(newest, "id"),
        current_system_identifier=text(newest, "system-id"),
        archive_max=text(archive, "max"),
        archive_id=text(archive, "id"),
        backup_running=running,
    )


def _database_id(item: Mapping[str, Any]) -> int:
    return integer(as_mapping(item.get("database") or {}, "database"), "id") or 0


def _repository(item: Mapping[str, Any]) -> RepositoryStatus:
    status = as_mapping(item.get("status") or {}, "status")
    return RepositoryStatus(integer(item, "key") or 1, integer(status, "code") or 0, text(status, "message") or "")


def _backup(item: Mapping[str, Any]) -> Backup:
    times = as_mapping(item.get("timestamp"), "timestamp")
    started, stopped = moment(integer(times, "start")), moment(integer(times, "stop"))
    if started is None or stopped is None:
        raise ShapeFault("a backup without start or stop time")
    database = as_mapping(item.get("database") or {}, "database")
    error = item.get("error")
    last_wal = text(as_mapping(item.get("archive") or {}, "archive"), "stop")
    return Backup(
        label=text(item, "label") or "",
        kind=text(item, "type") or "",
        repo_key=integer(database, "repo-key") or 1,
        started_at=started,
        stopped_at=stopped,
        error=error if isinstance(error, bool) else None,
        database_id=integer(database, "id") or 0,
        timeline=segment_timeline(last_wal) if last_wal and SEGMENT_NAME.fullmatch(last_wal) else None,
    )


def parse_stored_segments(reply: object) -> dict[str, str]:
    """`pgbackrest repo-ls --output=json` of an archive directory: segment name -> SHA-1 of the raw segment.

    The hash in a stored file's name is of the segment before compression. Source: pgBackRest, archive/push/file.c.
    """
    found = {}
    for name in as_mapping(reply, "the output"):
        match = _STORED.fullmatch(name.rsplit("/", 1)[-1])
        if match:
            found[match[1]] = match[2]
    return found
