"""Walks over archived WAL, segment by segment along a path of timelines, never by least and greatest name."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from pgops.observe.facts import WalRange
from pgops.observe.timelines import Path, Stretch, stand_in, stretches


class Stored:
    """The segments that an archive holds."""

    def __init__(self, ranges: Iterable[WalRange]) -> None:
        self._ranges: dict[int, list[tuple[int, int]]] = {}
        for item in sorted(ranges, key=lambda item: (item.timeline, item.first)):
            row = self._ranges.setdefault(item.timeline, [])
            if row and item.first <= row[-1][1] + 1:
                row[-1] = (row[-1][0], max(row[-1][1], item.last))
            else:
                row.append((item.first, item.last))

    @property
    def timelines(self) -> frozenset[int]:
        """Those that have any."""
        return frozenset(self._ranges)

    def last_whole(self, timeline: int, number: int) -> int | None:
        """The last segment of the unbroken row that `number` is in; None: `number` is not stored."""
        found = self._at(timeline, number)
        return found[1] if found and number <= found[1] else None

    def next_stored(self, timeline: int, number: int) -> int | None:
        """The first stored segment from `number` on."""
        found = self._at(timeline, number)
        if found and number <= found[1]:
            return number
        ranges = self._ranges.get(timeline, [])
        index = bisect_right(ranges, (number, float("inf")))
        return ranges[index][0] if index < len(ranges) else None

    def _at(self, timeline: int, number: int) -> tuple[int, int] | None:
        ranges = self._ranges.get(timeline, [])
        index = bisect_right(ranges, (number, float("inf")))
        return ranges[index - 1] if index else None


@dataclass(frozen=True)
class Hole:
    """Segments of `timeline` from `first` on that are not stored. `last` None: nothing further on the way is stored."""

    timeline: int
    first: int
    last: int | None


@dataclass(frozen=True)
class Walk:
    """WAL without a gap: the `stretches` that were walked, oldest first, and the hole at which it ended.

    `leave_bytes` is where the last stretch must be left, since it goes on as another history; None: it counts wholly.
    """

    stretches: tuple[Stretch, ...]
    hole: Hole
    leave_bytes: int | None = None

    @property
    def end(self) -> int:
        """The number behind the last segment."""
        last = self.stretches[-1].last if self.stretches else None
        return self.hole.first if last is None else last + 1

    @property
    def count(self) -> int:
        """How many segments."""
        return sum(each.last - each.first + 1 for each in self.stretches if each.last is not None)


def walk(stored: Stored, path: Path, first: int, segment_bytes: int) -> Walk:
    """From segment `first` on along `path` until one is missing."""
    way = stretches(path, segment_bytes)
    walked: list[Stretch] = []
    for stretch in way:
        number = max(first, stretch.first)
        if stretch.last is not None and stretch.last < number:
            continue
        whole = stored.last_whole(stretch.timeline, number)
        reached = number - 1 if whole is None else whole if stretch.last is None else min(whole, stretch.last)
        if reached >= number:
            walked.append(Stretch(stretch.timeline, number, reached))
        if reached == stretch.last:
            continue
        hole = Hole(stretch.timeline, reached + 1, _end_of_hole(stored, way, stretch, reached + 1))
        if reached + 1 == stretch.first:
            for timeline, leave_bytes in stand_in(path, stretch, segment_bytes):
                if stored.last_whole(timeline, stretch.first) is not None:
                    walked.append(Stretch(timeline, stretch.first, stretch.first))
                    return Walk(tuple(walked), hole, leave_bytes)
        return Walk(tuple(walked), hole)
    raise AssertionError("a path's last timeline has no end")


def _end_of_hole(stored: Stored, way: tuple[Stretch, ...], missing: Stretch, number: int) -> int | None:
    for stretch in way[way.index(missing) :]:
        found = stored.next_stored(stretch.timeline, max(number, stretch.first))
        if found is not None and (stretch.last is None or found <= stretch.last):
            return found - 1
    return None
