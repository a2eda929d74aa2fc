"""What stands against saved rows: added up piece by piece, and told; what is not known stays that."""

from __future__ import annotations

from dataclasses import replace

from pgops_recover.comparing import Conflicts, add
from pgops_recover.comparison_text import render_conflicts

NONE = Conflicts("n1", "app", "public.t")


def _told(**counts: object) -> dict[str, object]:
    zero = dict.fromkeys(("rows", "absent", "held", "same", "both", "changed"), 0)
    return {**zero, "both_keys": [], "changed_keys": [], "why": None, **counts}


def test_pieces_are_added_up_and_the_first_keys_kept() -> None:
    found = add(NONE, _told(rows=9, absent=1, both=8, both_keys=[str(n) for n in range(8)]))
    found = add(
        found, _told(rows=6, held=1, same=1, both=3, changed=1, both_keys=["8", "9", "10"], changed_keys=["x\ny"])
    )
    assert (found.rows, found.absent, found.held, found.same, found.both, found.changed) == (15, 1, 1, 1, 11, 1)
    assert found.both_keys == tuple(str(n) for n in range(10)) and "\n" not in found.changed_keys[0]


def test_what_one_piece_cannot_tell_is_known_of_none() -> None:
    found = add(add(NONE, _told(rows=2, same=2)), _told(rows=1, why="the table is not on the leader (any more)"))
    assert (found.rows, found.same, found.both) == (3, None, None) and found.why is not None
    assert add(found, _told(rows=4, same=4)) == replace(found, rows=7)


def test_it_is_told() -> None:
    seen = add(NONE, _told(rows=14, absent=3, both=11, both_keys=["a", "b"]))
    gone = add(Conflicts("n1", "app", "public.gone"), _told(rows=2, why="the table is not on the leader (any more)"))
    text = render_conflicts([seen, gone], "n2")
    assert "compared with n2 as it is now; nothing was written there" in text
    assert "n1: app: public.t: keys of both: a; b, and 9 more" in text
    assert "n1: app: public.gone: not compared: the table is not on the leader" in text
    (line,) = [line for line in text.splitlines() if line.startswith("n1") and "public.gone" in line]
    assert line.split()[3:] == ["2", *["unknown"] * 5], "unknown is not 0"
    assert render_conflicts([], "n2") == "conflicts: there are no saved rows\n"
