"""Which file recovery reads where."""

from __future__ import annotations

import pytest

from pgops.observe.timelines import Piece, Stretch, format_segment, parse_history, path_to, stand_in, stretches
from unit.backup.archives import SEGMENT, history


def test_a_history_file_as_postgresql_writes_it() -> None:
    text = "1\t0/5000098\tno recovery target specified\n\n2\t0/7000000\tbefore 2026-11-22 20:58:30.042859+00\n"
    assert parse_history(text) == ((1, 0x5000098), (2, 0x7000000))
    assert parse_history("# a remark\n1 1/0 x") == ((1, 1 << 32),)
    assert parse_history("") == ()


@pytest.mark.parametrize(
    "text", ["x\t0/5\t", "1\n", "1\t5\t", "2\t0/5\tx\n1\t0/6\tx", "1\t0/9\tx\n2\t0/6\tx", "-1\t0/5\t"]
)
def test_what_is_no_history(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_history(text)


def test_a_path_leads_over_all_ancestors() -> None:
    histories = {3: history((1, 100), (2, 200)), 5: history((1, 50))}
    assert path_to(3, histories) == (Piece(1, 0, 100), Piece(2, 100, 200), Piece(3, 200, None))
    assert path_to(5, histories) == (Piece(1, 0, 50), Piece(5, 50, None)), "forked below, past 2 and 3"
    assert path_to(2, histories) == (Piece(2, 0, None),), "its history is not archived"
    with pytest.raises(ValueError, match="ancestor"):
        path_to(2, {2: history((1, 100), (2, 200))})


def test_the_segment_of_a_fork_is_read_from_the_child() -> None:
    path = path_to(3, {3: history((1, 5 * SEGMENT + 160), (2, 9 * SEGMENT))})
    assert stretches(path, SEGMENT) == (Stretch(1, 0, 4), Stretch(2, 5, 8), Stretch(3, 9, None))


def test_of_two_forks_in_one_segment_the_newest_is_read() -> None:
    path = path_to(3, {3: history((1, 5 * SEGMENT + 160), (2, 5 * SEGMENT + 900))})
    assert stretches(path, SEGMENT) == (Stretch(1, 0, 4), Stretch(3, 5, None))


def test_older_files_stand_in_up_to_where_they_were_left() -> None:
    path = path_to(3, {3: history((1, 5 * SEGMENT + 160), (2, 5 * SEGMENT + 900))})
    last = stretches(path, SEGMENT)[-1]
    assert list(stand_in(path, last, SEGMENT)) == [(2, 5 * SEGMENT + 900), (1, 5 * SEGMENT + 160)]
    apart = path_to(3, {3: history((1, 4 * SEGMENT + 160), (2, 5 * SEGMENT + 900))})
    assert list(stand_in(apart, stretches(apart, SEGMENT)[-1], SEGMENT)) == [(2, 5 * SEGMENT + 900)]
    even = path_to(2, {2: history((1, 5 * SEGMENT))})
    assert list(stand_in(even, stretches(even, SEGMENT)[-1], SEGMENT)) == [], "nothing of that segment is the parent's"


def test_names_wrap_at_a_log() -> None:
    assert format_segment(1, 0xFF, SEGMENT) == "0000000100000000000000FF"
    assert format_segment(0x1F, 0x100, SEGMENT) == "0000001F0000000100000000"
    assert format_segment(1, 4, 1024 * 1024 * 1024) == "000000010000000100000000"
