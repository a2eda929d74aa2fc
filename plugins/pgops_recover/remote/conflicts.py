"""Compares records of a salvage folder with a table of the leader, and leaves nothing there.

Called with one JSON document: `database`, `table` (its quoted name), `data_dir`, `bin_dir`, `superuser`; the records, a
piece of a CSV with its header, come on standard input. Prints how many of them are absent there by their key, the same, or
other, or why that cannot be told. They lie in a temporary table, in a transaction that is rolled back, of a session that
fires no triggers. Source: PostgreSQL docs, sql-copy (its text format, unlike CSV, tells a line `\\.` from data) and
runtime-config-client (session_replication_role: event triggers are not fired either).
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pgops.hosts.remote.answering import Fault, answer
from pgops_recover.remote.leading import Leading

OWN_COLUMNS = (b"_pgops_xid", b"_pgops_committed_at", b"_pgops_change", b"_pgops_ctid")
_CHANGE = 2
_KEYS = 10
_FIELD = re.compile(rb'(?:"([^"]*(?:""[^"]*)*)"|([^",\n]*))(,|\n|\Z)')
_ESCAPES = ((b"\\", b"\\\\"), (b"\n", b"\\n"), (b"\r", b"\\r"), (b"\t", b"\\t"))

_TABLE = """
SELECT c.oid::bigint AS oid, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS quoted,
    pg_encoding_to_char(d.encoding) AS encoding,
    (SELECT json_agg(json_build_object('name', a.attname, 'quoted', quote_ident(a.attname), 'number', a.attnum,
        'generated', a.attgenerated <> '') ORDER BY a.attnum)
     FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
    (SELECT json_agg(json_build_object('primary', i.indisprimary,
        'plain', i.indpred IS NULL AND i.indexprs IS NULL AND i.indisunique AND i.indimmediate,
        'numbers', (i.indkey::int2[])[0:i.indnkeyatts - 1]))
     FROM pg_index i WHERE i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion) AND i.indisvalid) AS indexes
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_database d ON d.datname = current_database()
WHERE c.oid = to_regclass({label})
"""
_COUNT = """
SELECT json_build_object('rows', count(*), 'absent', count(*) FILTER (WHERE absent AND NOT held),
    'held', count(*) FILTER (WHERE absent AND held), 'same', count(*) FILTER (WHERE NOT absent AND NOT differs),
    'both', count(*) FILTER (WHERE differs AND change <> 'update'),
    'changed', count(*) FILTER (WHERE differs AND change = 'update'),
    'both_keys', (array_agg(key ORDER BY at) FILTER (WHERE differs AND change <> 'update'))[1:{keys}],
    'changed_keys', (array_agg(key ORDER BY at) FILTER (WHERE differs AND change = 'update'))[1:{keys}])
FROM (SELECT s.ctid AS at, s._pgops_change AS change, {shown} AS key, r.ctid IS NULL AS absent, {held} AS held,
        r.ctid IS NOT NULL AND {differ} AS differs
    FROM pgops_compared s LEFT JOIN ONLY {table} r ON {same_key}) compared;
"""


def main(words: list[str]) -> int:
    """Print the counts. 74 and a sentence where they cannot be told."""
    return answer(lambda: compare(json.loads(words[0]), sys.stdin.buffer.read()))


def compare(wish: Mapping[str, Any], content: bytes) -> dict[str, Any]:
    """The counts of these records, or `why` there are none. Raises `Fault`."""
    server = Leading(wish, "-c session_replication_role=replica -c lock_timeout=10000")
    records = read_records(content)
    header = next(records, [])
    if tuple(header[: len(OWN_COLUMNS)]) != OWN_COLUMNS:
        raise Fault("it is no CSV of a salvage folder")
    label = "'" + wish["table"].replace("'", "''") + "'"
    # Where the name has a backslash, its literal needs none: standard_conforming_strings is on.
    found = server.ask(wish["database"], _asked(_TABLE.format(label=label))).strip()
    rows = list(records)
    if not found:
        return {"rows": len(rows), "why": "the table is not on the leader (any more)"}
    table = json.loads(found)
    names = [
        (name or b"").decode(_PYTHON.get(table["encoding"], "utf-8"), "replace") for name in header[len(OWN_COLUMNS) :]
    ]
    columns = {column["name"]: column for column in table["columns"] or ()}
    gone = [name for name in names if name not in columns]
    if gone:
        return {"rows": len(rows), "why": f"columns are not on the leader (any more): {', '.join(gone)}"}
    mine = [columns[name] for name in names]
    words = _words(table, mine)
    if words is None:
        return {
            "rows": len(rows),
            "why": "it has no primary key there, so that nothing tells a row that is there already",
        }
    return {**_count(server, wish["database"], table["encoding"], mine, words, rows), "why": None}


_PYTHON = {"LATIN1": "latin-1", "LATIN2": "iso8859-2", "LATIN9": "iso8859-15", "WIN1252": "cp1252", "WIN1251": "cp1251"}
"""Only names of columns are read here, and most are ASCII; rows are never decoded."""


def _words(table: Mapping[str, Any], mine: Sequence[Mapping[str, Any]]) -> dict[str, str] | None:
    """The parts of the statement; None where no primary key of these columns is there."""
    quoted = {column["number"]: column["quoted"] for column in mine}
    indexes = [index for index in table["indexes"] or () if all(number in quoted for number in index["numbers"])]
    key = next(([quoted[number] for number in index["numbers"]] for index in indexes if index["primary"]), None)
    if key is None:
        return None
    values = [column["quoted"] for column in mine if not column["generated"] and column["quoted"] not in key]
    others = [index for index in indexes if index["plain"] and not index["primary"]]
    held = [
        f"EXISTS (SELECT FROM ONLY {table['quoted']} u WHERE "
        + " AND ".join(f"u.{quoted[number]} = s.{quoted[number]}" for number in index["numbers"])
        + ")"
        for index in others
    ]
    ours, theirs = (", ".join(f"{side}.{name}" for name in values) for side in "sr")
    return {
        "table": table["quoted"],
        "same_key": " AND ".join(f"r.{name} = s.{name}" for name in key),
        "shown": f"s.{key[0]}::text" if len(key) == 1 else f"ROW({', '.join(f's.{name}' for name in key)})::text",
        "differ": f"ROW({ours})::text IS DISTINCT FROM ROW({theirs})::text" if values else "false",
        "held": f"({' OR '.join(held)})" if held else "false",
        "keys": str(_KEYS),
    }


def _count(
    server: Leading,
    database: str,
    encoding: str,
    mine: Sequence[Mapping[str, Any]],
    words: Mapping[str, str],
    rows: Sequence[Sequence[bytes | None]],
) -> dict[str, Any]:
    columns = ", ".join(f"r.{column['quoted']}" for column in mine)
    lines = [b"\t".join(map(_escape, (row[_CHANGE], *row[len(OWN_COLUMNS) :]))) + b"\n" for row in rows]
    statements = [
        b"BEGIN READ WRITE;",
        b"SET LOCAL client_encoding = 'UTF8';",
        f"CREATE TEMPORARY TABLE pgops_compared AS SELECT NULL::text AS _pgops_change, {columns}".encode(),
        f"FROM ONLY {words['table']} r WHERE false;".encode(),
        f"SET LOCAL client_encoding = '{encoding}';".encode(),
        b"COPY pgops_compared FROM STDIN;\n" + b"".join(lines) + b"\\.",
        # Nothing is converted from SQL_ASCII, and what is no UTF-8 there would be refused.
        b"" if encoding == "SQL_ASCII" else b"SET LOCAL client_encoding = 'UTF8';",
        b"ANALYZE pgops_compared;",
        _COUNT.format(**words).encode(),
        b"ROLLBACK;\n",
    ]
    counts: dict[str, Any] = json.loads(server.ask(database, b"\n".join(statements)))
    return {**counts, "both_keys": counts["both_keys"] or [], "changed_keys": counts["changed_keys"] or []}


def _asked(statement: str) -> bytes:
    return f"SET client_encoding = 'UTF8'; SELECT row_to_json(t) FROM ({statement}) t".encode()  # noqa: S608 - ours


def read_records(content: bytes) -> Iterator[list[bytes | None]]:
    """The records of a CSV as PostgreSQL writes it; None is NULL, which is nothing at all, where an empty text is quoted."""
    at, record = 0, []
    while at < len(content):
        match = _FIELD.match(content, at)
        if match is None:
            raise Fault(f"it is no CSV: byte {at} of this piece belongs to no field")
        quoted, plain, end = match.groups()
        record.append(quoted.replace(b'""', b'"') if quoted is not None else plain or None)
        at = match.end()
        if end != b",":
            yield record
            record = []


def _escape(value: bytes | None) -> bytes:
    if value is None:
        return b"\\N"
    for plain, escaped in _ESCAPES:
        value = value.replace(plain, escaped)
    return value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
