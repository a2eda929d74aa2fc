"""Upper ends: just below the last archived end of a transaction."""

from __future__ import annotations

from datetime import timedelta

from pgops.readings import Known, Reading, Unknown
from pgops_backup.last_commit import LastEnd
from pgops_backup.reaches import LOOK_BYTES, Tail, find_reaches, find_tail
from pgops_backup.windows import find_windows
from unit.backup.archives import SEGMENT, archive, at, backup, history, name

STEP = timedelta(microseconds=1)
LOOKS = LOOK_BYTES // SEGMENT


def ended(minutes: float) -> Reading[LastEnd]:
    return Known(LastEnd(at(minutes), True, 1, name(9)))


def test_the_end_is_a_microsecond_below() -> None:
    windows = find_windows([backup("A", 2, 3, 10)], archive((1, 1, 9)), SEGMENT)
    asked: list[Tail] = []

    def read(tail: Tail) -> Reading[LastEnd]:
        asked.append(tail)
        return ended(20)

    reach = find_reaches(windows, SEGMENT, read)[0].reaches[0]
    assert reach.ends == Known(at(20) - STEP)
    assert asked == [Tail(1, tuple(name(number) for number in range(9, 2, -1)), None, whole=True)]
    second = timedelta(seconds=1)
    assert [reach.holds(moment) for moment in (at(10), at(10) + second, at(20) - STEP, at(20))] == [
        False,
        True,
        True,
        False,
    ]


def test_the_search_is_bounded_and_the_bound_is_told() -> None:
    window = find_windows([backup("A", 2, 3, 10)], archive((1, 1, 500)), SEGMENT)[0]
    tail = find_tail(window, window.spans[0], SEGMENT)
    assert len(tail.names) == LOOKS and tail.names[0] == name(500) and not tail.whole
    reach = find_reaches([window], SEGMENT, lambda _: Known(LastEnd(None, False, LOOKS, tail.names[-1])))[0].reaches[0]
    assert isinstance(reach.ends, Unknown) and str(LOOKS) in reach.ends.reason
    assert reach.holds(at(11)) is None and reach.holds(at(9)) is False


def test_no_transaction_behind_the_backup() -> None:
    windows = find_windows([backup("A", 2, 3, 10)], archive((1, 1, 5)), SEGMENT)
    for last in (Known(LastEnd(None, False, 3, name(3))), ended(9), ended(10)):
        reach = find_reaches(windows, SEGMENT, lambda _, last=last: last)[0].reaches[0]  # type: ignore[misc]
        assert reach.ends is None and "only its own end" in reach.why
        assert reach.holds(at(11)) is False


def test_what_cannot_be_read_is_unknown() -> None:
    windows = find_windows([backup("A", 2, 3, 10)], archive((1, 1, 5)), SEGMENT)
    reach = find_reaches(windows, SEGMENT, lambda _: Unknown("no such program"))[0].reaches[0]
    assert reach.ends == Unknown("no such program")


def test_tails_lead_over_forks_and_are_left_there() -> None:
    fork = 5 * SEGMENT + 160
    whole = find_windows(
        [backup("A", 2, 3, 10)], archive((1, 1, 5), (2, 5, 6), histories={2: history((1, fork))}), SEGMENT
    )[0]
    tail = find_tail(whole, whole.spans[0], SEGMENT)
    assert tail.names == (name(6, 2), name(5, 2), name(4), name(3)) and tail.leave_bytes is None
    cut = find_windows([backup("A", 2, 3, 10)], archive((1, 1, 9), histories={2: history((1, fork))}), SEGMENT)[0]
    tail = find_tail(cut, cut.spans[0], SEGMENT)
    assert tail.names == (name(5), name(4), name(3)) and tail.leave_bytes == fork


def test_each_tail_is_read_once() -> None:
    asked: list[Tail] = []

    def read(tail: Tail) -> Reading[LastEnd]:
        asked.append(tail)
        return ended(20)

    windows = find_windows([backup("A", 2, 3, 10)], archive((1, 1, 9)), SEGMENT)
    find_reaches([*windows, *windows], SEGMENT, read)
    assert len(asked) == 1
