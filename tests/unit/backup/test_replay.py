"""How much WAL a restore replays."""

from __future__ import annotations

from pgops.observe.lsn import segment_start
from pgops.readings import Known, Reading, Unknown
from pgops_backup.last_commit import LastEnd
from pgops_backup.reaches import Reach, Tail
from pgops_backup.replay import Replay, find_replay
from pgops_backup.windows import find_windows
from unit.backup.archives import SEGMENT, archive, at, backup, history, name

FORK = 5 * SEGMENT + 160
HOLDS = archive((1, 1, 4), (2, 5, 1000), histories={2: history((1, FORK))})
FULL = backup("A", 2, 3, 0.5)
SPAN = find_windows([FULL], HOLDS, SEGMENT)[0].spans[0]
REACH = Reach(SPAN, Known(at(1000)))


def number(segment: str) -> int:
    return segment_start(segment, SEGMENT) // SEGMENT


def test_halving_finds_the_segment() -> None:
    """Segment N ends at minute N."""
    asked: list[Tail] = []

    def read(tail: Tail) -> Reading[LastEnd]:
        asked.append(tail)
        return Known(LastEnd(at(number(tail.names[0])), True, 1, tail.names[0]))

    found = find_replay(REACH, FULL, 1, at(600.5), SEGMENT, read)
    assert found == Replay(name(2), name(601, 2), 600, exact=True)
    assert len(asked) <= 10
    assert find_replay(REACH, FULL, 1, at(600), SEGMENT, read).last == name(601, 2), "it must have ended later"
    assert find_replay(REACH, FULL, 1, at(3.5), SEGMENT, read).last == name(4)
    assert find_replay(REACH, FULL, 1, at(2), SEGMENT, read) == Replay(name(2), name(3), 2, exact=True)


def test_segments_without_an_end_are_reckoned_with_those_before() -> None:
    def read(tail: Tail) -> Reading[LastEnd]:
        for segment in tail.names:
            if number(segment) % 3 == 0:
                return Known(LastEnd(at(number(segment)), True, 1, segment))
        raise AssertionError("four in a row hold one that is a third's")

    assert find_replay(REACH, FULL, 1, at(500), SEGMENT, read) == Replay(name(2), name(501, 2), 500, exact=True)


def test_what_cannot_be_seen_makes_it_at_most() -> None:
    found = find_replay(REACH, FULL, 1, at(600), SEGMENT, lambda _: Unknown("it is dark"))
    assert found == Replay(name(2), name(1000, 2), 999, exact=False)
    empty = find_replay(REACH, FULL, 1, at(600), SEGMENT, lambda tail: Known(LastEnd(None, False, 4, tail.names[-1])))
    assert not empty.exact
