"""The script that brings saved rows to the survivor, for a person to read before it is run; shared by programs here.

Sources: PostgreSQL docs, sql-insert (ON CONFLICT, OVERRIDING SYSTEM VALUE), ddl-generated-columns (they take no values),
app-psql (meta-commands, \\copy).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = """
SELECT quote_ident(a.attname) AS name, quote_literal(a.attname) AS literal, a.attgenerated <> '' AS generated,
    coalesce(a.attnum = ANY (i.indkey), false) AS key,
    a.attidentity <> '' OR coalesce(pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%', false) AS numbered
FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = {table}::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
"""The columns of a table, whose quoted name goes in as a literal."""

_HEAD = """\
-- Rows that were committed on a member that lost, and nowhere else. Read all of this before you run it.
-- Run it in this folder, on the member that leads:  psql -X -d DATABASE -f {file}
-- It inserts the rows whose keys the survivor has not, and tells for each table how many keys are on both sides with other
-- content: those stay as the survivor has them, unless you take one of the statements that stand there as comments.
-- Rows that were deleted there are written into a .deleted.csv in this folder, as far as the survivor has them as they
-- were; none is deleted here. Triggers fire, and foreign keys are checked.
-- It ends in ROLLBACK, so that you see what it would do. Write COMMIT there once that is what you want.
\\set ON_ERROR_STOP on
SET client_encoding = {encoding};
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
BEGIN;
"""

_TABLE = """
CREATE TEMPORARY TABLE pgops_salvaged AS SELECT NULL::text AS _pgops_xid, NULL::timestamptz AS _pgops_committed_at,
    NULL::text AS _pgops_change, NULL::tid AS _pgops_ctid, r.* FROM ONLY {table} r WHERE false;
\\copy pgops_salvaged FROM '{csv}' WITH (FORMAT csv, HEADER)
"""

_DELETED = """
CREATE TEMPORARY TABLE pgops_deleted (place tid, xid text);
\\copy pgops_deleted FROM '{deleted}.tsv' WITH (FORMAT csv, DELIMITER E'\\t', HEADER)
CREATE TEMPORARY TABLE pgops_there AS SELECT r.* FROM ONLY {table} r
    WHERE r.ctid IN (SELECT place FROM pgops_deleted) AND age(r.xmin) > age('{settled_xid}'::xid)
        AND pg_relation_filenode({label}::regclass) = {filenode};
\\copy pgops_there TO '{deleted}.csv' WITH (FORMAT csv, HEADER)
SELECT {label} AS "table", count(*) AS "rows deleted there", (SELECT count(*) FROM pgops_there) AS "of them here as they were"
FROM pgops_deleted;
DROP TABLE pgops_there, pgops_deleted;
"""
"""Before the fork both had a row at one place, in one file. A version whose transaction had ended by then is that row; one
that took its place since is younger, and a table that was rewritten since has another file. Source: PostgreSQL docs,
ddl-system-columns (ctid, xmin)."""

_CONFLICTS = """\
SELECT {label} AS "table", count(*) FILTER (WHERE s._pgops_change <> 'update') AS "keys given on both sides",
    count(*) FILTER (WHERE s._pgops_change = 'update') AS "rows changed there"
FROM pgops_salvaged s JOIN ONLY {table} r ON {same_key} WHERE {differ};
"""

_INSERT = """\
INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM pgops_salvaged ON CONFLICT DO NOTHING;
"""

_SEE = """\
-- To see what both sides have under one key:
-- SELECT * FROM pgops_salvaged s JOIN ONLY {table} r ON {same_key} WHERE {differ};
-- To let rows win that were changed there:
-- UPDATE ONLY {table} r SET {changes} FROM pgops_salvaged s WHERE {same_key} AND s._pgops_change = 'update';
"""

_RENUMBER = """\
-- To add rows whose number was given on both sides, under new numbers (what refers to them by the old one does not follow):
-- INSERT INTO {table} ({values}) SELECT {ours} FROM pgops_salvaged s JOIN ONLY {table} r ON {same_key}
--     WHERE s._pgops_change = 'insert' AND {differ};
"""

_NUMBERS = """\
-- Once that is committed, let new numbers begin behind it (by itself, since a ROLLBACK does not undo it):
-- SELECT setval(s, greatest(nextval(s), (SELECT max({name}) FROM {table})))
--     FROM pg_get_serial_sequence({label}, {literal}) s;
"""

_NO_KEY = """\
-- {name} has no primary key, so that nothing tells a row that is there already: it would be inserted again.
-- INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM pgops_salvaged;
"""


def write_script(
    path: str, file: str, encoding: str, settled_xid: int | None, tables: Sequence[Mapping[str, Any]]
) -> None:
    """Write it for one database. All transactions before `settled_xid` had ended at the fork; None: which had is not known.

    Of each table: `table` (its quoted name), `label` (that as a literal), `csv`, `columns` (its `COLUMNS`), `filenode`, and
    `deleted`, the name of its .deleted files without their ending, None where nothing was deleted there.
    """
    parts = [_HEAD.format(file=file, encoding=encoding)]
    for each in tables:
        if each["deleted"] and settled_xid is not None:
            parts.append(_DELETED.format(settled_xid=settled_xid, **each))
        parts.append(_TABLE.format(**each))
        parts.append(_table_script(each["table"], each["label"], each["columns"]))
        parts.append("DROP TABLE pgops_salvaged;\n")
    parts.append("\nROLLBACK;\n")
    with open(path, "w", encoding="utf-8") as written:
        written.write("".join(parts))


def _table_script(table: str, label: str, columns: Sequence[Mapping[str, Any]]) -> str:
    told = [column["name"] for column in columns if not column["generated"]]
    key = [column["name"] for column in columns if column["key"]]
    values = [name for name in told if name not in key]
    words = {
        "table": table,
        "label": label,
        "columns": ", ".join(told),
        "same_key": " AND ".join(f"r.{name} = s.{name}" for name in key),
        "ours": ", ".join(f"s.{name}" for name in values),
        "theirs": ", ".join(f"r.{name}" for name in values),
        "values": ", ".join(values),
        "changes": ", ".join(f"{name} = s.{name}" for name in values),
    }
    words["differ"] = "ROW({ours})::text IS DISTINCT FROM ROW({theirs})::text".format(**words)
    if not key:
        return _commented(_NO_KEY, {**words, "name": table})
    if not values:
        return _INSERT.format(**words)
    numbered = all(column["numbered"] for column in columns if column["key"])
    before = _commented(_SEE + (_RENUMBER if numbered else ""), words)
    after = [
        _commented(_NUMBERS, {**words, "name": column["name"], "literal": column["literal"]})
        for column in columns
        if column["numbered"]
    ]
    return _CONFLICTS.format(**words) + before + _INSERT.format(**words) + "".join(after)


def _commented(text: str, words: Mapping[str, str]) -> str:
    """Comments end with their line: a name that breaks it would make a statement of what follows."""
    if any(not each.isprintable() for each in words.values()):
        return "-- Its names cannot stand in a comment: write the statement for its other rows yourself.\n"
    return text.format(**words)
