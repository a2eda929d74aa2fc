"""Which WAL file recovery reads where, on its way to a timeline.

Source: PostgreSQL, src/backend/access/transam/timeline.c (history files) and xlogrecovery.c (XLogFileReadAnyTLI: of all
timelines on the way, the newest that has begun in a segment is the one whose file is read).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pgops.observe.lsn import parse_lsn


@dataclass(frozen=True)
class Piece:
    """A timeline's part of a path, in bytes of WAL. `ends_bytes` None: it goes on as far as its WAL does."""

    timeline: int
    begins_bytes: int
    ends_bytes: int | None


Path = tuple[Piece, ...]
"""From the first ancestor to the timeline that is wanted."""


@dataclass(frozen=True)
class Stretch:
    """The segments, first and last counted in, that are read from one timeline's files. `last` None: without end."""

    timeline: int
    first: int
    last: int | None


def parse_history(content: str) -> tuple[tuple[int, int], ...]:
    """A history file's ancestors, each with the position at which it was left. Raises ValueError."""
    found: list[tuple[int, int]] = []
    for line in content.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) < 2 or not words[0].isdecimal():
            raise ValueError(f"not a line of a history file: {line[:40]!r}")
        found.append((int(words[0]), parse_lsn(words[1])))
    numbers = [timeline for timeline, _ in found]
    places = [switch_bytes for _, switch_bytes in found]
    if numbers != sorted(set(numbers)) or places != sorted(places):
        raise ValueError("its timelines do not follow one another")
    return tuple(found)


def path_to(timeline: int, histories: Mapping[int, str]) -> Path:
    """How one gets to `timeline`; without a history file it is taken to have no ancestor. Raises ValueError."""
    pieces: list[Piece] = []
    begins_bytes = 0
    for ancestor, switch_bytes in parse_history(histories.get(timeline, "")):
        if ancestor >= timeline:
            raise ValueError(f"it names timeline {ancestor} as an ancestor of {timeline}")
        pieces.append(Piece(ancestor, begins_bytes, switch_bytes))
        begins_bytes = switch_bytes
    return (*pieces, Piece(timeline, begins_bytes, None))


def stretches(path: Path, segment_bytes: int) -> tuple[Stretch, ...]:
    """Which timeline's file is read for each segment: the one that a timeline begins in is read from that timeline."""
    found = []
    for piece, after in zip(path, (*path[1:], None), strict=True):
        first = piece.begins_bytes // segment_bytes
        last = None if after is None else after.begins_bytes // segment_bytes - 1
        if last is None or first <= last:
            found.append(Stretch(piece.timeline, first, last))
    return tuple(found)


def stand_in(path: Path, stretch: Stretch, segment_bytes: int) -> Iterator[tuple[int, int]]:
    """Older timelines' files that hold the beginning of `stretch`'s first segment, each with where it must be left.

    Where the file of the newest timeline is missing, recovery reads the next older one, which is right up to the fork.
    """
    numbers = [piece.timeline for piece in path]
    for piece in reversed(path[: numbers.index(stretch.timeline)]):
        assert piece.ends_bytes is not None  # noqa: S101 - only the last piece has no end
        if piece.ends_bytes // segment_bytes != stretch.first or piece.ends_bytes % segment_bytes == 0:
            return
        yield piece.timeline, piece.ends_bytes


def format_segment(timeline: int, number: int, segment_bytes: int) -> str:
    """The name of the `number`th segment. Source: PostgreSQL, src/include/access/xlog_internal.h, XLogFileName."""
    per_log = 0x100000000 // segment_bytes
    return f"{timeline:08X}{number // per_log:08X}{number % per_log:08X}"
