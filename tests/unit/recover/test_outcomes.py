"""Whether a branch of history went through a position of a timeline, by its history file."""

from __future__ import annotations

import pytest

from pgops_recover.remote.outcomes import position, reaches

HISTORY = "1\t0/402BD80\tno recovery target specified\n# a remark\n2\t1/10\treason with 3\t0/1 in it\n"


@pytest.mark.parametrize(
    ("timeline", "lsn", "reached"),
    [
        (1, "0/402BD80", True),
        (1, "0/402BD7F", True),
        (1, "0/402BD81", False),
        (2, "0/FFFFFFFF", True),
        (2, "1/11", False),
        (3, "0/0", False),
        (7, "0/0", False),
    ],
)
def test_only_what_lies_before_where_it_parted(timeline: int, lsn: str, reached: bool) -> None:
    assert reaches(HISTORY, timeline, lsn) is reached


def test_positions_count_both_halves() -> None:
    assert position("1/10") == (1 << 32) + 16
