"""`pgbackrest info` and the repository's file list, as one host sees them.

Source: pgBackRest, src/command/info/info.c. `info` exits 0 even where a stanza is in error: only the codes inside
count.
System identifiers exceed 2^53: Python's JSON keeps them whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from pgops.hosts.host import Host, HostFault, Identity
from pgops.observe.facts import Backup, RepositoryStatus, StanzaDatabase, StanzaFacts
from pgops.observe.fields import ShapeFault, as_list, as_mapping, integer, moment, text
from pgops.observe.lsn import SEGMENT_NAME, parse_lsn, segment_timeline
from pgops.pgbackrest.commands import Stanza, info_argv, version_argv
from pgops.pgbackrest.runner import run_pgbackrest
from pgops.readings import Known, Reading, Unknown

_STORED = re.compile(r"([0-9A-F]{24})-([0-9a-f]{40})(?:\.\w+)?")
_STORED_PARTIAL = re.compile(r"([0-9A-F]{24}\.partial)-([0-9a-f]{40})(?:\.\w+)?")


def read_stanza(host: Host, stanza: Stanza, *, timeout_s: float) -> Reading[StanzaFacts]:
    """`pgbackrest info` of one stanza on one host, and which pgBackRest says so."""
    try:
        told = run_pgbackrest(host, info_argv(stanza), timeout_s=timeout_s).stdout
        # What pgBackRest quotes of a file that it could not decrypt has control characters in it.
        facts = parse_info(json.loads(told, strict=False), stanza.name)
    except (HostFault, ShapeFault) as fault:
        return Unknown(f"pgbackrest info: {fault}")
    except (ValueError, RecursionError):
        return Unknown("pgbackrest info: its output is not JSON")
    with suppress(HostFault):
        # It needs no right, and a sudo that refuses it would tell the host's administrator of an attempt.
        version = run_pgbackrest(host, version_argv(), timeout_s=timeout_s, identity=Identity.LOGIN).stdout
        facts = replace(facts, pgbackrest_version=parse_version(version))
    return Known(facts)


def parse_version(output: str) -> tuple[int, int] | None:
    """The output of `pgbackrest version` (`pgBackRest 2.45`) as numbers; None: it says something else."""
    match = re.fullmatch(r"pgBackRest (\d{1,4})\.(\d{1,4})\D.*|pgBackRest (\d{1,4})\.(\d{1,4})", output.strip())
    if match is None:
        return None
    major, minor = (match[1], match[2]) if match[1] else (match[3], match[4])
    return int(major), int(minor)


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
    backup = as_mapping(lock.get("backup") or {}, "lock.backup")
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
        backup_running=backup.get("held") is True,
        progress_done_bytes=integer(backup, "size-cplt"),
        progress_size_bytes=integer(backup, "size"),
        databases=tuple(
            StanzaDatabase(
                integer(item, "id") or 0,
                integer(item, "repo-key") or 1,
                text(item, "system-id") or "",
                text(item, "version") or "",
            )
            for item in databases
        ),
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
    wal = as_mapping(item.get("archive") or {}, "archive")
    first_wal, last_wal = _segment(wal, "start"), _segment(wal, "stop")
    lsns = as_mapping(item.get("lsn") or {}, "lsn")
    sizes = as_mapping(item.get("info") or {}, "info")
    stored = as_mapping(sizes.get("repository") or {}, "info.repository")
    notes = as_mapping(item.get("annotation") or {}, "annotation")
    return Backup(
        label=text(item, "label") or "",
        kind=text(item, "type") or "",
        repo_key=integer(database, "repo-key") or 1,
        started_at=started,
        stopped_at=stopped,
        error=error if isinstance(error, bool) else None,
        database_id=integer(database, "id") or 0,
        timeline=segment_timeline(last_wal) if last_wal else None,
        annotations={key: text(notes, key) or "" for key in notes},
        prior=text(item, "prior"),
        references=tuple(each for each in as_list(item.get("reference"), "reference") if isinstance(each, str)),
        wal_start=first_wal,
        wal_stop=last_wal,
        start_lsn_bytes=_lsn(lsns, "start"),
        stop_lsn_bytes=_lsn(lsns, "stop"),
        size_bytes=integer(sizes, "size"),
        delta_bytes=integer(sizes, "delta"),
        repository_size_bytes=integer(stored, "size"),
        repository_delta_bytes=integer(stored, "delta"),
    )


def _segment(item: Mapping[str, Any], key: str) -> str | None:
    name = text(item, key)
    return name if name and SEGMENT_NAME.fullmatch(name) else None


def _lsn(item: Mapping[str, Any], key: str) -> int | None:
    try:
        return parse_lsn(text(item, key) or "")
    except ValueError:
        return None


def parse_stored_segments(reply: object) -> dict[str, str]:
    """`pgbackrest repo-ls --output=json` of an archive directory: segment name -> SHA-1 of the raw segment.

    The hash in a stored file's name is of the segment before compression. Source: pgBackRest, archive/push/file.c.
    """
    stored = (parse_stored(name.rsplit("/", 1)[-1]) for name in as_mapping(reply, "the output"))
    return dict(found for found in stored if found is not None)


def parse_stored(file: str) -> tuple[str, str] | None:
    """The segment that a file of the archive is, and the SHA-1 of its raw content; None: it is no segment."""
    match = _STORED.fullmatch(file)
    return (match[1], match[2]) if match else None


def parse_stored_partial(file: str) -> tuple[str, str] | None:
    """As `parse_stored`, of the last segment of a timeline that was left within it; the name ends in `.partial`."""
    match = _STORED_PARTIAL.fullmatch(file)
    return (match[1], match[2]) if match else None
