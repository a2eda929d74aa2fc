"""WAL read with pg_waldump, in several processes where it is long; shared by programs here.

A stretch is what one process reads; each record belongs to the stretch in which it begins. Stretches are given in their
order, so that who takes them in cannot tell how many processes there were.

Sources: PostgreSQL, src/bin/pg_waldump/pg_waldump.c (from `-s` on it looks for the first record; one that goes beyond `-e` is
not read, so the end of a stretch is no `-e`); fcntl(2), F_SETPIPE_SZ.
"""

from __future__ import annotations

import fcntl
import marshal
import os
import re
import signal
import subprocess
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import IO, NamedTuple, NoReturn

from pgops_recover.remote.records import Event, Records, Rows
from pgops_recover.remote.segments import lsn_text

STRETCH_BYTES = 1 << 25
_LARGEST_BYTES = 1 << 27
"""A process keeps all that its stretch says, so it is not to be as long as segments may be."""
_MOST_WORKERS = 4
_BLOCK_BYTES = 1 << 18
_PIPE_BYTES = 1 << 20
_SET_PIPE_BYTES = 1031
_PLACED = re.compile(rb"rmgr: [^,]*, tx: +\d+, lsn: ([0-9A-F]+)/([0-9A-F]+), ")

Part = tuple[list[Event], dict[bytes, Rows], str]
"""Events, rows of transactions that are open at the end of a stretch (then alone), and what pg_waldump complained about."""


class Stretch(NamedTuple):
    """What one process reads: records that begin before `limit` (None: all). `dump` is pg_waldump without places."""

    dump: Sequence[str]
    begin: int
    limit: int | None
    end: int | None
    keeps_changes: bool


def usual_workers() -> int:
    """How many processes read, each with a pg_waldump of its own, where nobody says another number.

    Their priority is the usual one, as that of a single one is: a person waits for them, or the server is stopped.
    """
    return min(_MOST_WORKERS, len(os.sched_getaffinity(0)))


def split(whole: Stretch, until: int, size: int) -> list[Stretch]:
    """The stretches of this one, of which there is WAL up to `until` at most. `size` is that of so many whole segments.

    Elsewhere than at the start of a segment there may be no WAL: behind a switch of segments.
    """
    first = whole.begin - whole.begin % size + size
    bounds = [whole.begin, *(range(first, until, size) if size <= _LARGEST_BYTES else ())]
    limits = [*bounds[1:], None]
    return [whole._replace(begin=begin, limit=limit) for begin, limit in zip(bounds, limits)]  # noqa: B905 - 3.9


def read_stretches(stretches: Sequence[Stretch], workers: int) -> Iterator[Part]:
    """What they say, in their order, up to the first that pg_waldump complains about. Raises OSError.

    What a process was to read that died, this one reads.
    """
    if len(stretches) == 1 or workers == 1:
        whole = stretches[0]._replace(limit=None)
        yield from read_stretch(whole)
        return
    waiting, begun = deque(stretches), deque[tuple[Stretch, _Worker]]()
    try:
        while waiting or begun:
            while waiting and len(begun) < workers:
                begun.append((waiting[0], _Worker(waiting.popleft())))
            stretch, worker = begun.popleft()
            part = worker.part()
            for each in read_stretch(stretch) if part is None else [part]:
                yield each
                if each[2]:
                    return
    finally:
        for _, worker in begun:
            worker.stop()


def read_stretch(stretch: Stretch) -> Iterator[Part]:
    """Read it in this process. Raises OSError."""
    begin, end = ["-s", lsn_text(stretch.begin)], [] if stretch.end is None else ["-e", lsn_text(stretch.end)]
    records, crossed = Records(keeps_changes=stretch.keeps_changes), False
    known = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.environ.get("PATH", "")}
    with tempfile.TemporaryFile() as errors:
        argv = [*stretch.dump, *begin, *end]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=errors, env=known, bufsize=_BLOCK_BYTES) as process:
            assert process.stdout is not None  # noqa: S101 - it was asked for
            with suppress(OSError):  # a user may have as many bytes in pipes, and no more
                fcntl.fcntl(process.stdout, _SET_PIPE_BYTES, _PIPE_BYTES)
            for text in _whole_lines(process.stdout):
                own, crossed = _begun_before(text, stretch.limit)
                records.take(own)
                yield records.events, {}, ""
                records.events = []
                if crossed:
                    process.terminate()
                    break
        errors.seek(0)
        said = " ".join(errors.read().decode(errors="replace").split())
    failed = process.returncode and not crossed
    yield [], records.rows, (said[-300:] or f"pg_waldump ended with {process.returncode}") if failed else ""


def _whole_lines(stream: IO[bytes]) -> Iterator[bytes]:
    rest = b""
    while True:
        block = stream.read(_BLOCK_BYTES)
        if not block:
            break
        end = block.rfind(b"\n") + 1
        if end:
            yield rest + block[:end]
            rest = b""
        rest += block[end:]
    if rest:
        yield rest + b"\n"


def _begun_before(text: bytes, limit: int | None) -> tuple[bytes, bool]:
    """The lines of records that begin before the limit, and whether there are others."""
    if limit is None or _last_place(text) < limit:
        return text, False
    at = 0
    while True:
        placed = _PLACED.match(text, at)
        if placed and _place(placed) >= limit:
            return text[:at], True
        at = text.index(b"\n", at) + 1


def _last_place(text: bytes) -> int:
    """Where the last record of these lines begins; 0: of none is it said."""
    end = len(text)
    while end > 0:
        at = text.rfind(b"\n", 0, end - 1) + 1
        placed = _PLACED.match(text, at)
        if placed:
            return _place(placed)
        end = at
    return 0


def _place(placed: re.Match[bytes]) -> int:
    return int(placed[1], 16) << 32 | int(placed[2], 16)


class _Worker:
    """A process that reads a stretch, and ends with that."""

    def __init__(self, stretch: Stretch) -> None:
        told, tell = os.pipe()
        self._told = os.fdopen(told, "rb")
        self._pid = 0
        with suppress(OSError):  # there may be no more processes: then it is one that died
            self._pid = os.fork() or _work(stretch, tell)
        os.close(tell)

    def part(self) -> Part | None:
        """All that the stretch says, once it is read; None: the process died."""
        with self._told:
            told = self._told.read()
        pid, self._pid = self._pid, 0
        if not pid or os.waitpid(pid, 0)[1]:
            return None
        part: Part = marshal.loads(told)  # noqa: S302 - of a process of our own
        return part

    def stop(self) -> None:
        """End it; what it read is not wanted."""
        self._told.close()
        if self._pid:
            os.kill(self._pid, signal.SIGTERM)
            os.waitpid(self._pid, 0)


def _work(stretch: Stretch, tell: int) -> NoReturn:
    """In the new process: nothing of the old one's may be written or cleaned up from here."""
    status = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        parts = list(read_stretch(stretch))
        events = [event for part in parts for event in part[0]]
        with os.fdopen(tell, "wb") as out:
            out.write(marshal.dumps((events, *parts[-1][1:])))
        status = 0
    finally:
        os._exit(status)
