"""Where deleted rows lay before the fork: updates move them, and places are used again."""

from __future__ import annotations

from pathlib import Path

from pgops_recover.remote.versions import Versions

TABLE = "1663\t5\t20000"


def _deleted(top: Path, *changes: str) -> list[tuple[str, str]]:
    (top / "account").mkdir()
    (top / "account/transactions.tsv").write_text("740\t0/1\t\tcommit\t\n")
    lines = [f"{TABLE}\t{change}\n".replace(" ", "\t") for change in changes]
    (top / "account/changes.tsv").write_text("".join(lines))
    space, database, node = TABLE.split("\t")
    return Versions(f"{top}/account").deletions[space, database, node]


def test_a_row_that_was_updated_first_is_where_it_was(tmp_path: Path) -> None:
    found = _deleted(tmp_path, "U 740 7 1 7 9", "U 740 7 9 8 1", "D 741 8 1 - -", "D 742 7 2 - -")
    assert found == [("(7,1)", "741"), ("(7,2)", "742")]


def test_what_took_a_place_since_is_no_row_of_before(tmp_path: Path) -> None:
    assert _deleted(tmp_path, "D 740 7 1 - -", "D 741 7 1 - -", "U 742 7 3 7 4", "D 743 7 3 - -") == [("(7,1)", "740")]
