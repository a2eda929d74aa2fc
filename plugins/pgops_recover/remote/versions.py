"""Row versions that the transactions of an account wrote, as a copy that is opened has them; shared by programs here.

Sources: PostgreSQL docs, functions-admin (pg_filenode_relation), ddl-system-columns (xmin, ctid).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

Key = tuple[str, str, str]
"""The file of a table, as changes.tsv names it: tablespace, database and filenode."""


class Versions:
    """What an account tells of them, by its directory. `deletions`: the places that deleted rows had before the fork."""

    def __init__(self, account: str) -> None:
        self._xids: list[str] = []
        self._tops: list[str] = []
        self._times: list[str] = []
        with open(f"{account}/transactions.tsv", encoding="utf-8") as file:
            for line in file:
                top, _, at, _, subxids = line.rstrip("\n").split("\t")
                for xid in (top, *filter(None, subxids.split(","))):
                    self._xids.append(xid)
                    self._tops.append(top)
                    self._times.append(f'"{at}"' if at else "NULL")
        self._updates: dict[Key, list[tuple[str, str]]] = defaultdict(list)
        self.deletions: dict[Key, list[tuple[str, str]]] = defaultdict(list)
        with open(f"{account}/changes.tsv", encoding="utf-8") as file:
            self._read_changes(file)

    def _read_changes(self, lines: Iterable[str]) -> None:
        """New places of updated rows, and the places that deleted rows had before the fork."""
        origins: dict[Key, dict[str, str | None]] = defaultdict(dict)
        for line in lines:
            space, database, node, op, xid, *numbers = line.rstrip("\n").split("\t")
            table, place = (space, database, node), f"({numbers[0]},{numbers[1]})"
            first = origins[table].get(place, place)
            origins[table][place] = None  # what comes to lie there now is younger than the fork
            if op == "U":
                new = f"({numbers[2]},{numbers[3]})"
                self._updates[table].append((new, xid))
                origins[table][new] = first
            elif first is not None:
                self.deletions[table].append((first, xid))

    def statement(self, table: str, key: Key, untold: str = "") -> str:
        """The SELECT of those of a table, by its quoted name, that are live. `untold` is a condition for further rows."""
        updates = self._updates.get(key, [])
        return _ROWS.format(
            table=table,
            xids=",".join(self._xids),
            tops=",".join(self._tops),
            times=",".join(self._times),
            tids=",".join(f'"{tid}"' for tid, _ in updates),
            writers=",".join(xid for _, xid in updates),
            untold=untold,
        )


def doubt_count(table: str, count: int, item: Mapping[str, Any]) -> str | None:
    """Why so many live rows cannot be what the WAL tells of (`item` of the account's relations); None: they can."""
    least, most = item["inserted"] - item["deleted"], item["inserted"] + item["updated"]
    return None if least <= count <= most else f"{table}: {count} rows are live, and the WAL tells of {least} to {most}"


def is_users_table(row: Mapping[str, Any]) -> bool:
    """Whether what `NAMES` says of a file is a table with rows of users: no catalogue, no index, and not gone."""
    return row["kind"] == "r" and row["schema"] not in ("pg_catalog", "information_schema", "pg_toast")


def table_key(item: Mapping[str, Any]) -> Key:
    """The key of a relation of the account."""
    return str(item["tablespace"]), str(item["database"]), str(item["filenode"])


DATABASES = "SELECT oid::bigint AS oid, datname AS name, datallowconn AS connects FROM pg_database"
NAMES = """
SELECT w.space, w.node, c.relname AS table, n.nspname AS schema, c.relkind AS kind,
    quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS quoted,
    quote_literal(quote_ident(n.nspname) || '.' || quote_ident(c.relname)) AS label
FROM (VALUES {wanted}) AS w (space, node)
LEFT JOIN pg_class c ON c.oid = pg_filenode_relation(w.space::oid, w.node::oid)
LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
"""
_ROWS = """
SELECT coalesce(t.top, r.xmin) AS _pgops_xid, t.at AS _pgops_committed_at,
    CASE WHEN u.writer IS NOT NULL THEN 'update' WHEN t.xid IS NULL THEN 'unknown' ELSE 'insert' END AS _pgops_change,
    r.ctid AS _pgops_ctid, r.*
FROM ONLY {table} r
LEFT JOIN unnest('{{{xids}}}'::xid[], '{{{tops}}}'::xid[], '{{{times}}}'::timestamptz[]) AS t (xid, top, at) ON t.xid = r.xmin
LEFT JOIN unnest('{{{tids}}}'::tid[], '{{{writers}}}'::xid[]) AS u (place, writer) ON u.place = r.ctid AND u.writer = r.xmin
WHERE t.xid IS NOT NULL{untold}
"""
