"""What a drill measured, read from what pgBackRest and PostgreSQL wrote themselves.

Sources: pgBackRest, src/command/command.c (the line at the end of a command) and src/command/restore/restore.c; PostgreSQL,
src/backend/access/transam/xlogrecovery.c (redo) and src/backend/postmaster/postmaster.c, under log_line_prefix '%m [%p] '.
"""

from __future__ import annotations

import re
from datetime import datetime

from pgops.observe.facts import JobFacts
from pgops.observe.lsn import parse_lsn
from pgops.render.units import format_bytes, format_duration

_ENDED = re.compile(r"restore command end: completed successfully \((\d+)ms\)")
_PERCENT = re.compile(r"restore file .*\(\S+, (\d{1,3}\.\d+)%\)")
_STAMP = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) UTC ")
_REDO = re.compile(r"redo (starts|done) at ([0-9A-F]{1,8}/[0-9A-F]{1,8})")


def restore_seconds(log: str) -> float | None:
    """How long pgBackRest's restore took, by its own word."""
    found = _ENDED.search(log)
    return int(found[1]) / 1000 if found else None


def restore_progress(log: str) -> float | None:
    """How much of the backup is restored, 0 to 1, by the last file that is named."""
    found = _PERCENT.findall(log)
    return min(1.0, float(found[-1]) / 100) if found else None


def tell_restore(size_bytes: int | None, job: JobFacts, now: datetime) -> tuple[str, float | None]:
    """How much of a backup of that size is restored, and how long the rest takes if it goes on like that; and the share."""
    share = restore_progress(job.log_tail)
    if share is None:
        return "the restore begins", None
    told = (
        f"{format_bytes(int(size_bytes * share))} of {format_bytes(size_bytes)}" if size_bytes else "the restore runs"
    )
    passed_s = (now - job.started_at).total_seconds() if job.started_at else 0.0
    left = f", {format_duration(passed_s * (1 - share) / share)} left" if passed_s > 1 and share > 0 else ""
    return f"{told}{left}", share


def replay_seconds(log: str) -> float | None:
    """From the start of PostgreSQL until it takes connections."""
    begun, ready = _moment(log, "starting PostgreSQL"), _moment(log, "ready to accept")
    return (ready - begun).total_seconds() if begun and ready and ready >= begun else None


def replay_bytes(log: str) -> int | None:
    """How much WAL was replayed."""
    if "redo is not required" in log:
        return 0
    ends = {match[1]: parse_lsn(match[2]) for match in _REDO.finditer(log)}
    return ends["done"] - ends["starts"] if ends.keys() == {"starts", "done"} else None


def words(log: str) -> dict[str, str]:
    """The `word value` lines that a script printed."""
    return dict(line.split(" ", 1) for line in log.splitlines() if " " in line)


def last_line(log: str) -> str:
    """The last thing that was said."""
    return next((line.strip() for line in reversed(log.splitlines()) if line.strip()), "it said nothing")


def _moment(log: str, said: str) -> datetime | None:
    line = next((line for line in log.splitlines() if said in line), "")
    stamp = _STAMP.match(line)
    return datetime.strptime(f"{stamp[1]}+0000", "%Y-%m-%d %H:%M:%S.%f%z") if stamp else None


def failed_checksums(log: str) -> str | None:
    """What pg_checksums says of bad pages; source: PostgreSQL, src/bin/pg_checksums/pg_checksums.c."""
    count = re.search(r"Bad checksums:\s+(\d+)", log)
    file = re.search(r'checksum verification failed in file "([^"]+)", block (\d+)', log)
    if file is None:
        return None
    name = "/".join(file[1].rsplit("/", 3)[1:])
    pages = f"{count[1]} pages have a wrong checksum" if count and count[1] != "1" else "a page has a wrong checksum"
    return f"{pages}: {name}, block {file[2]}"
