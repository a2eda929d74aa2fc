"""Segments walked one by one, over timelines."""

from __future__ import annotations

import time

from pgops.observe.facts import WalRange
from pgops.observe.timelines import Path, Stretch, path_to
from pgops_backup.walks import Hole, Stored, Walk, walk
from unit.backup.archives import SEGMENT, history

FORKED: Path = path_to(2, {2: history((1, 5 * SEGMENT + 160))})


def walked(path: Path, first: int, *ranges: tuple[int, int, int]) -> Walk:
    return walk(Stored(WalRange(*each) for each in ranges), path, first, SEGMENT)


def test_to_the_end_of_the_archive() -> None:
    found = walked(path_to(1, {}), 3, (1, 1, 9))
    assert found == Walk((Stretch(1, 3, 9),), Hole(1, 10, None))
    assert (found.end, found.count) == (10, 7)


def test_from_where_there_is_nothing() -> None:
    found = walked(path_to(1, {}), 3, (1, 5, 9))
    assert found == Walk((), Hole(1, 3, 4))
    assert (found.end, found.count) == (3, 0)


def test_ranges_that_touch_are_one() -> None:
    assert walked(path_to(1, {}), 1, (1, 4, 9), (1, 1, 3), (1, 2, 5)).hole == Hole(1, 10, None)


def test_over_a_fork() -> None:
    found = walked(FORKED, 3, (1, 1, 5), (2, 5, 8))
    assert found.stretches == (Stretch(1, 3, 4), Stretch(2, 5, 8))
    assert found.hole == Hole(2, 9, None)


def test_the_parents_later_segments_are_another_history() -> None:
    found = walked(FORKED, 3, (1, 1, 20), (2, 7, 8))
    assert found == Walk((Stretch(1, 3, 4), Stretch(1, 5, 5)), Hole(2, 5, 6), leave_bytes=5 * SEGMENT + 160)
    assert found.end == 6


def test_a_missing_first_segment_of_the_child() -> None:
    assert walked(FORKED, 3, (1, 1, 4), (2, 6, 8)) == Walk((Stretch(1, 3, 4),), Hole(2, 5, 5))
    assert walked(FORKED, 3, (1, 1, 4)) == Walk((Stretch(1, 3, 4),), Hole(2, 5, None))


def test_a_hole_reaches_over_the_fork() -> None:
    assert walked(FORKED, 1, (1, 1, 2), (2, 7, 8)).hole == Hole(1, 3, 6)
    assert walked(FORKED, 1, (1, 1, 2), (1, 9, 12), (2, 11, 12)).hole == Hole(1, 3, 10), (
        "9 of timeline 1 is past the fork"
    )


def test_a_walk_that_begins_behind_a_fork() -> None:
    assert walked(FORKED, 7, (1, 1, 5), (2, 5, 8)).stretches == (Stretch(2, 7, 8),)


def test_a_long_archive_takes_no_time() -> None:
    pieces = [(1, number * 3, number * 3 + 1) for number in range(50_000)]
    stored = Stored(WalRange(*each) for each in [*pieces, (1, 150_000, 250_000)])
    began = time.perf_counter()
    for first in range(0, 150_000, 150):
        assert walk(stored, path_to(1, {}), first, SEGMENT).hole == Hole(1, first + 2, first + 2)
    assert walk(stored, path_to(1, {}), 150_000, SEGMENT).count == 100_001
    assert time.perf_counter() - began < 5.0
