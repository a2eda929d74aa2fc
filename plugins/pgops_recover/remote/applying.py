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

REFERENCES = """
SELECT DISTINCT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS table,
    quote_ident(m.nspname) || '.' || quote_ident(f.relname) AS refers_to
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class f ON f.oid = k.confrelid JOIN pg_namespace m ON m.oid = f.relnamespace
WHERE k.contype = 'f' AND k.conrelid <> k.confrelid
"""
"""Which table refers to which. A partition has rows of its own there. Source: PostgreSQL docs, catalog-pg-constraint."""

_HEAD = """\
-- Rows that were committed on a member that lost, and nowhere else. Read all of this before you run it.
-- pgops salvage apply RUN runs it on the member that leads; by hand, in this folder:  psql -X -d DATABASE -f {file}
-- It inserts the rows whose keys the survivor has not, and tells for each table how many keys are on both sides with other
-- content: those stay as the survivor has them, unless you take one of the statements that stand there as comments.
-- Rows that were deleted there are written into a .deleted.csv in this folder, as far as the survivor has them as they
-- were; none is deleted here. Triggers fire, and foreign keys are checked: tables that others refer to come first.
-- It ends in ROLLBACK, so that you see what it would do. Write COMMIT there once that is what you want.
\\set ON_ERROR_STOP on
SET client_encoding = 'UTF8';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
"""

_CIRCLE = """
-- These refer to each other in a circle, so that no order has every row behind those that it refers to: {names}.
-- Where a constraint of theirs is not deferrable, it refuses rows; ALTER TABLE ... ALTER CONSTRAINT ... DEFERRABLE helps.
"""

_TABLE = """
CREATE TEMPORARY TABLE pgops_salvaged AS SELECT NULL::text AS _pgops_xid, NULL::timestamptz AS _pgops_committed_at,
    NULL::text AS _pgops_change, {all} FROM ONLY {table} r WHERE false;
\\copy pgops_salvaged FROM '{csv}' WITH (FORMAT csv, HEADER, ENCODING {encoding})
"""

_DELETED = """
CREATE TEMPORARY TABLE pgops_deleted (place tid, xid text);
\\copy pgops_deleted FROM '{deleted}.tsv' WITH (FORMAT csv, DELIMITER E'\\t', HEADER)
CREATE TEMPORARY TABLE pgops_there AS SELECT r.* FROM ONLY {table} r
    WHERE r.ctid IN (SELECT place FROM pgops_deleted) AND age(r.xmin) > age('{settled_xid}'::xid)
        AND pg_relation_filenode({label}::regclass) = {filenode};
\\copy pgops_there TO '{deleted}.csv' WITH (FORMAT csv, HEADER, ENCODING {encoding})
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
    path: str,
    file: str,
    encoding: str,
    settled_xid: int | None,
    tables: Sequence[Mapping[str, Any]],
    references: Sequence[Mapping[str, str]] = (),
) -> None:
    """Write it for one database. All transactions before `settled_xid` had ended at the fork; None: which had is not known.

    `encoding` is the database's, as a literal, and that of the files; `references` are the rows of `REFERENCES`.
    Of each table: `table` (its quoted name), `label` (that as a literal), `csv`, `columns` (its `COLUMNS`), `filenode`, and
    `deleted`, the name of its .deleted files without their ending, None where nothing was deleted there.
    """
    parts = [_HEAD.format(file=file)]
    names, circle = put_in_order([each["table"] for each in tables], references)
    if circle:
        parts.append(_commented(_CIRCLE, {"names": ", ".join(circle)}))
    by_name = {each["table"]: each for each in tables}
    for each in (by_name[name] for name in names):
        if each["deleted"] and settled_xid is not None:
            parts.append(_DELETED.format(settled_xid=settled_xid, encoding=encoding, **each))
        own = ["NULL::tid AS _pgops_ctid", *(f"r.{column['name']}" for column in each["columns"])]
        parts.append(_TABLE.format(all=", ".join(own), encoding=encoding, **each))
        parts.append(_table_script(each["table"], each["label"], each["columns"]))
        parts.append("DROP TABLE pgops_salvaged;\n")
    parts.append("\nROLLBACK;\n")
    with open(path, "w", encoding="utf-8") as written:
        written.write("".join(parts))


def put_in_order(tables: Sequence[str], references: Sequence[Mapping[str, str]]) -> tuple[list[str], tuple[str, ...]]:
    """The tables, each behind those that it refers to, as far as that can be, and those that stand in a circle."""
    behind = {
        name: {each["refers_to"] for each in references if each["table"] == name} & set(tables) - {name}
        for name in tables
    }
    found: list[str] = []
    circle: list[str] = []
    while len(found) < len(tables):
        left = [name for name in tables if name not in found]
        free = [name for name in left if behind[name] <= set(found)]
        if not free:
            # Where each has one before it, going back from any leads into a circle.
            name = left[0]
            trail: list[str] = []
            while name not in trail:
                trail.append(name)
                name = next(each for each in left if each in behind[name])
            around = trail[trail.index(name) :]
            circle += [each for each in around if each not in circle]
            free = [next(each for each in left if each in around)]
        found += free
    return found, tuple(circle)


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
