"""Where two branches part, from their history files."""

from __future__ import annotations

import pytest

from pgops.observe.forks import Fork, ancestors_of, find_fork, pieces_after
from pgops.observe.timelines import Piece, path_to

H2 = "1\t0/402BD80\tno recovery target specified\n"
H3 = H2 + "2\t0/5000000\tno recovery target specified\n"
OTHER_H2 = "1\t0/4000000\tno recovery target specified\n"


def test_the_old_leader_goes_on_where_the_new_one_left() -> None:
    old, new = path_to(1, {}), path_to(2, {2: H2})
    assert find_fork(old, new) == find_fork(new, old) == Fork(1, 0x402BD80)
    assert pieces_after(old, Fork(1, 0x402BD80)) == (Piece(1, 0x402BD80, None),)
    assert pieces_after(new, Fork(1, 0x402BD80)) == (Piece(2, 0x402BD80, None),)


def test_two_promoted_to_one_number_part_at_the_earlier_point() -> None:
    one, two = path_to(2, {2: H2}), path_to(2, {2: OTHER_H2})
    assert find_fork(one, two) == Fork(1, 0x4000000)
    assert pieces_after(one, Fork(1, 0x4000000)) == (Piece(1, 0x4000000, 0x402BD80), Piece(2, 0x402BD80, None))


def test_a_loser_that_was_promoted_again_has_two_pieces() -> None:
    loser, survivor = path_to(3, {3: H3}), path_to(1, {})
    assert find_fork(loser, survivor) == Fork(1, 0x402BD80)
    assert pieces_after(loser, Fork(1, 0x402BD80)) == (Piece(2, 0x402BD80, 0x5000000), Piece(3, 0x5000000, None))


def test_what_lies_before_the_fork_is_an_ancestor_of_the_branch() -> None:
    """A branch that begins with its own promotion left the common timeline at the fork; the former leader never left it."""
    once, twice, stayed = path_to(2, {2: H2}), path_to(3, {3: H3}), path_to(1, {})
    assert ancestors_of(once, Fork(1, 0x402BD80)) == (Piece(1, 0, 0x402BD80),)
    assert ancestors_of(twice, Fork(2, 0x5000000)) == (Piece(1, 0, 0x402BD80), Piece(2, 0x402BD80, 0x5000000))
    assert ancestors_of(twice, Fork(2, 0x4800000)) == (Piece(1, 0, 0x402BD80),)
    assert ancestors_of(stayed, Fork(1, 0x402BD80)) == ()


def test_one_timeline_with_one_past_has_no_fork() -> None:
    assert find_fork(path_to(2, {2: H2}), path_to(2, {2: H2})) is None


def test_nothing_in_common_is_said() -> None:
    with pytest.raises(ValueError, match="nothing in common"):
        find_fork(path_to(1, {}), path_to(3, {3: "2\t0/5000000\tx\n"}))
