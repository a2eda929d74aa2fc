"""The journal of a run: an append-only file, owner-only, on the disk before each effect.

One JSON object a line; every line carries the SHA-256 of the line before it, so that a journal that was changed or cut
by hand is told from one whose last line a crash tore.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pgops.engine.state import check_directory, open_owned
from pgops.errors import PgopsError, Refused
from pgops.plan.documents import SCHEMA, canonical

SUFFIX = ".jsonl"
_RUN_ID = re.compile(r"[0-9a-z][0-9a-z-]{0,63}")
READ_LIMIT_BYTES = 64 * 1024 * 1024


class JournalFault(PgopsError):
    """The journal could not be written; nothing may be done after it."""


@dataclass(frozen=True)
class Entry:
    """One line: what (`run`, `begun`, `done`, `skipped`, `failed`, `ended`, ...), when, and the rest."""

    what: str
    moment: datetime
    content: Mapping[str, Any]


class Journal:
    """Appends to one run's file."""

    def __init__(self, path: Path, handle: int, last: str) -> None:
        self.path = path
        self._handle = handle
        self.digest = last
        self.flushed = ""
        """The digest of the last line that this process saw on the disk; empty before the first."""

    @classmethod
    def create(cls, directory: Path, run_id: str) -> Journal:
        """A new journal. Raises `Refused`, also when there is one of that id, and `JournalFault`."""
        path = _path(directory, run_id)
        handle = open_owned(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND)
        try:
            folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise _cannot_write(path, error) from None
        return cls(path, handle, "")

    @classmethod
    def reopen(cls, directory: Path, run_id: str, known_digest: str = "") -> Journal:
        """Go on with a journal; a last line that a crash tore is cut off.

        `known_digest` is that of a line which the DCS's record names: a journal without it is another one. Raises `Refused`.
        """
        path = _path(directory, run_id)
        _, digests, whole_bytes = _read(path)
        if known_digest and known_digest not in digests:
            raise _changed(path, len(digests), "it has no line with the digest that the DCS's record of the run names")
        last = digests[-1] if digests else ""
        handle = open_owned(path, os.O_WRONLY | os.O_APPEND)
        try:
            os.ftruncate(handle, whole_bytes)
        except OSError as error:
            raise _cannot_write(path, error) from None
        return cls(path, handle, last)

    def append(self, what: str, *, durable: bool = False, **content: Any) -> None:
        """Write a line, whole; with `durable` it is on the disk when this returns. Raises `JournalFault`."""
        moment = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        line = canonical({"schema": SCHEMA, "what": what, "at": moment, "before": self.digest, **content}).encode()
        whole = line + b"\n"
        try:
            written = os.write(self._handle, whole)
            if written != len(whole):
                with contextlib.suppress(OSError):
                    os.ftruncate(self._handle, os.fstat(self._handle).st_size - written)
                raise OSError(28, "no space left on device")
        except OSError as error:
            raise _cannot_write(self.path, error) from None
        self.digest = hashlib.sha256(line).hexdigest()
        if durable:
            self.flush()

    def flush(self) -> None:
        """Have every line so far on the disk. Raises `JournalFault`."""
        try:
            os.fdatasync(self._handle)
        except OSError as error:
            raise _cannot_write(self.path, error) from None
        self.flushed = self.digest

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)


def read_journal(directory: Path, run_id: str) -> tuple[Entry, ...]:
    """Every whole line of a run's journal. Raises `Refused` when there is none, or it was changed by another hand."""
    return _read(_path(directory, run_id))[0]


def list_journals(directory: Path) -> list[str]:
    """The ids of the runs that have a journal here, newest first."""
    check_directory(directory)
    return sorted((path.name.removesuffix(SUFFIX) for path in directory.glob(f"*{SUFFIX}")), reverse=True)


def prune_journals(directory: Path, oldest: datetime) -> tuple[int, list[PgopsError]]:
    """Remove the journals of runs that ended before `oldest`: how many, and why others that cannot be read were kept."""
    removed = 0
    kept: list[PgopsError] = []
    for run_id in list_journals(directory):
        path = _path(directory, run_id)
        try:
            if path.lstat().st_mtime >= oldest.timestamp():
                continue
            entries = read_journal(directory, run_id)
        except (OSError, PgopsError) as error:
            kept.append(error if isinstance(error, PgopsError) else Refused(str(error.strerror), where=str(path)))
            continue
        if entries and entries[-1].what == "ended" and entries[-1].moment < oldest:
            path.unlink(missing_ok=True)
            removed += 1
    return removed, kept


def _path(directory: Path, run_id: str) -> Path:
    if not _RUN_ID.fullmatch(run_id):
        raise Refused(f"{run_id!r} is not the id of a run", next_step="pgops runs list")
    return directory / f"{run_id}{SUFFIX}"


def _read(path: Path) -> tuple[tuple[Entry, ...], list[str], int]:
    """The entries, the digest of each, and how many bytes whole lines take."""
    if not path.exists() and not path.is_symlink():
        raise Refused("there is no journal of this run here", where=str(path), next_step="pgops runs list")
    handle = open_owned(path, os.O_RDONLY)
    with os.fdopen(handle, "rb") as file:
        content = file.read(READ_LIMIT_BYTES)
    entries: list[Entry] = []
    digests: list[str] = []
    whole = 0
    for number, raw in enumerate(content.split(b"\n")[:-1], 1):
        try:
            line = json.loads(raw)
            fits = line["before"] == (digests[-1] if digests else "")
            newer = line["schema"] > SCHEMA
            entry = Entry(line["what"], datetime.fromisoformat(line["at"]), line)
        except (ValueError, KeyError, TypeError):
            raise _changed(path, number, "the line is not what pgops wrote") from None
        if newer:
            raise _changed(path, number, "it was written by a newer pgops; use that one")
        if not fits:
            raise _changed(path, number, "a line before it is missing or was changed")
        entries.append(entry)
        digests.append(hashlib.sha256(raw).hexdigest())
        whole += len(raw) + 1
    return tuple(entries), digests, whole


def _changed(path: Path, number: int, why: str) -> Refused:
    return Refused(
        "the journal cannot be trusted",
        where=f"{path}, line {number}",
        why=why,
        next_step="what the DCS knows of the run still counts: move the file away, then continue or abort the run",
    )


def _cannot_write(path: Path, error: OSError) -> JournalFault:
    return JournalFault(
        "the journal cannot be written, so nothing more is done",
        where=str(path),
        why=error.strerror,
        next_step="make room, or set PGOPS_STATE_DIR to a place that has some",
    )
