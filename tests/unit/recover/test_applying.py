"""The script that brings saved rows back: what it says of keys, generated columns and names that would break a comment."""

from __future__ import annotations

from pathlib import Path

from pgops_recover.remote.applying import put_in_order, write_script


def _column(name: str, *, key: bool = False, generated: bool = False, numbered: bool = False) -> dict[str, object]:
    return {"name": name, "literal": f"'{name}'", "key": key, "generated": generated, "numbered": numbered}


def _script(top: Path, table: str, *columns: dict[str, object], deleted: str | None = None) -> str:
    told = {"table": table, "label": f"'{table}'", "csv": "app/public.t.csv", "columns": columns, "filenode": 16500}
    write_script(str(top / "app.sql"), "app.sql", "'UTF8'", 740, [{**told, "deleted": deleted}])
    return (top / "app.sql").read_text()


def test_rows_with_a_key_are_inserted_once_and_conflicts_are_told(tmp_path: Path) -> None:
    script = _script(tmp_path, "public.t", _column("id", key=True), _column("a"), _column("sum", generated=True))
    assert "INSERT INTO public.t (id, a) OVERRIDING SYSTEM VALUE SELECT id, a FROM pgops_salvaged ON CONFLICT" in script
    assert "JOIN ONLY public.t r ON r.id = s.id WHERE ROW(s.a)::text IS DISTINCT FROM ROW(r.a)::text;" in script
    assert (
        "\n-- UPDATE ONLY public.t r SET a = s.a FROM pgops_salvaged s WHERE r.id = s.id AND s._pgops_change" in script
    )
    assert "new numbers" not in script
    # What the server generates is read with its file, and never given to it.
    assert "NULL::tid AS _pgops_ctid, r.id, r.a, r.sum FROM ONLY public.t r WHERE false;" in script
    assert script.endswith("\nROLLBACK;\n") and script.count("sum") == 1


def test_rows_under_a_number_that_was_given_twice_may_get_a_new_one(tmp_path: Path) -> None:
    script = _script(tmp_path, "public.t", _column("id", key=True, numbered=True), _column("a"))
    wanted = "-- INSERT INTO public.t (a) SELECT s.a FROM pgops_salvaged s JOIN ONLY public.t r ON r.id = s.id\n"
    assert wanted in script and script.index(wanted) < script.index("\nINSERT INTO public.t")
    assert "(SELECT max(id) FROM public.t)))\n--     FROM pg_get_serial_sequence('public.t', 'id') s;\n" in script


def test_a_table_that_is_all_key_has_no_conflicts(tmp_path: Path) -> None:
    script = _script(tmp_path, "public.t", _column("a", key=True), _column("b", key=True))
    assert "ON CONFLICT DO NOTHING" in script and "JOIN" not in script and "UPDATE" not in script


def test_without_a_key_nothing_is_inserted_unasked(tmp_path: Path) -> None:
    script = _script(tmp_path, "public.t", _column("a"))
    assert "-- public.t has no primary key" in script
    assert not [line for line in script.splitlines() if line.startswith("INSERT")]


def test_a_name_that_ends_a_comment_stays_out_of_comments(tmp_path: Path) -> None:
    hostile = 'public."t\nDROP TABLE x; --"'
    for columns in ((_column("a"),), (_column("id", key=True), _column("a"))):
        script = _script(tmp_path, hostile, *columns)
        assert not [line for line in script.splitlines() if line.startswith("-- ") and 'public."t' in line]
        assert "Its names cannot stand in a comment" in script


def test_deleted_rows_are_written_out_and_stay(tmp_path: Path) -> None:
    script = _script(tmp_path, "public.t", _column("id", key=True), deleted="app/public.t.deleted")
    assert (
        "\\copy pgops_deleted FROM 'app/public.t.deleted.tsv' WITH (FORMAT csv, DELIMITER E'\\t', HEADER)\n" in script
    )
    assert "age(r.xmin) > age('740'::xid)" in script and "pg_relation_filenode('public.t'::regclass) = 16500;" in script
    assert "\\copy pgops_there TO 'app/public.t.deleted.csv'" in script and "DELETE" not in script
    assert "pgops_deleted" not in _script(tmp_path, "public.t", _column("id", key=True))


def _references(*pairs: str) -> list[dict[str, str]]:
    return [dict(zip(("table", "refers_to"), pair.split(), strict=True)) for pair in pairs]


def test_tables_come_behind_those_that_they_refer_to() -> None:
    assert put_in_order(["c", "b", "a"], _references("c b", "b a", "a elsewhere")) == (["a", "b", "c"], ())
    assert put_in_order(["c", "a", "b"], []) == (["c", "a", "b"], ())


def test_a_circle_is_told_and_what_hangs_on_it_comes_behind() -> None:
    order, circle = put_in_order(["z", "x", "y", "w"], _references("z x", "x y", "y x", "w z"))
    assert order == ["x", "z", "y", "w"]
    assert circle == ("x", "y")
