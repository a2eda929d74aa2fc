"""Reads the rows that only a kept copy has: a working copy of it is opened as a standby without a source, and asked.

Called with one JSON document: `keep` (the directory of the copy), `bin_dir` (null: the search path), `superuser`, `timeline`
(what it is opened on; null: that of its last checkpoint). Makes `KEEP/salvage`: `REPORT.md`, `summary.json`, for each table
a CSV of the row versions that transactions of `account/transactions.tsv` wrote and that are live at the end, and for each
database a script that brings them back. Where WAL is missing, every table is read for rows of transactions that began behind
the fork and that no WAL tells of. Neither the kept data directory nor its tablespaces are touched: what is opened is
a copy, by reflink where the file system can.

Sources: PostgreSQL docs, hot-standby (a standby takes no writes and archives nothing), functions-admin
(pg_filenode_relation), ddl-system-columns (xmin, ctid); pg_controldata (the limits that a standby must have).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pgops_recover.remote.applying import COLUMNS, write_script
from pgops_recover.remote.opening import Fault, Server, answer, opened

_FIRST_USER_OID = 16384
_LARGE_OBJECTS = 2613


def main(words: list[str]) -> int:
    """Make the folder, and print its summary as JSON. 74 and a sentence where it cannot be made."""
    return answer(lambda: salvage(json.loads(words[0])))


def salvage(wish: Mapping[str, Any]) -> dict[str, Any]:
    """The summary; the folder is made whole, or not at all. Raises `Fault` or OSError."""
    keep = wish["keep"]
    done, making, work = f"{keep}/salvage", f"{keep}/salvage.making", f"{keep}/work"
    if not os.path.exists(f"{done}/summary.json"):
        with open(f"{keep}/account/account.json", encoding="utf-8") as file:
            account = json.load(file)
        for left in (making, work):
            shutil.rmtree(left, ignore_errors=True)
        os.mkdir(making)
        with _opened(wish, work) as server:
            summary = _Folder(server, keep, making, account).fill()
        with open(f"{making}/summary.json", "w", encoding="utf-8") as file:
            json.dump(summary, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        shutil.rmtree(work)
        os.rename(making, done)
    with open(f"{done}/summary.json", encoding="utf-8") as file:
        found: dict[str, Any] = json.load(file)
    return found


@contextmanager
def _opened(wish: Mapping[str, Any], work: str) -> Iterator[Server]:
    """A working copy, made and opened; stopped at the end."""
    _copy(f"{wish['keep']}/data", work)
    for name in ("postmaster.pid", "recovery.signal", "backup_label"):
        if os.path.lexists(f"{work}/data/{name}"):
            os.unlink(f"{work}/data/{name}")
    timeline = wish.get("timeline")
    with opened(wish, work, {"recovery_target_timeline": "current" if timeline is None else str(timeline)}) as server:
        yield server


def _copy(data: str, work: str) -> None:
    """The kept directory and what its links lead to, never shared: a server writes into what it opens."""
    os.mkdir(work)
    links = [f"pg_tblspc/{name}" for name in os.listdir(f"{data}/pg_tblspc")]
    links += ["pg_wal"] if os.path.islink(f"{data}/pg_wal") else []
    sources = {"data": data, **{link: os.path.realpath(f"{data}/{link}") for link in links}}
    places = {"data": f"{work}/data", **{link: f"{work}/{link.replace('/', '-')}" for link in links}}
    for what, source in sources.items():
        said = subprocess.run(
            ["/bin/cp", "-a", "--reflink=always", "--", source, places[what]], capture_output=True, check=False
        )
        if said.returncode != 0:
            shutil.rmtree(places[what], ignore_errors=True)
            need, free = _size(source), shutil.disk_usage(work).free
            if free < need + need // 10:
                raise Fault(f"too little room to open a copy: {free} bytes are free in {work}, and it needs {need}")
            said = subprocess.run(["/bin/cp", "-a", "--", source, places[what]], capture_output=True, check=False)
        if said.returncode != 0:
            raise Fault(f"{source} cannot be copied: {said.stderr.decode(errors='replace').strip()[:300]}")
    for link in links:
        os.unlink(f"{work}/data/{link}")
        os.symlink(places[link], f"{work}/data/{link}")


def _size(place: str) -> int:
    return sum(os.lstat(os.path.join(top, name)).st_blocks * 512 for top, _, names in os.walk(place) for name in names)


class _Folder:
    """What is written into the folder."""

    def __init__(self, server: Server, keep: str, folder: str, account: Mapping[str, Any]) -> None:
        self._server, self._folder, self._account = server, folder, account
        self._unknown: list[str] = [*account["gaps"]]
        self._untold = ""
        self._xids: list[str] = []
        self._tops: list[str] = []
        self._times: list[str] = []
        with open(f"{keep}/account/transactions.tsv", encoding="utf-8") as file:
            for line in file:
                top, _, at, _, subxids = line.rstrip("\n").split("\t")
                for xid in (top, *filter(None, subxids.split(","))):
                    self._xids.append(xid)
                    self._tops.append(top)
                    self._times.append(f'"{at}"' if at else "NULL")
        self._updates: dict[tuple[str, str, str], list[tuple[str, str]]] = defaultdict(list)
        self._deletions: dict[tuple[str, str, str], list[tuple[str, str]]] = defaultdict(list)
        with open(f"{keep}/account/changes.tsv", encoding="utf-8") as file:
            self._read_changes(file)

    def _read_changes(self, lines: Iterable[str]) -> None:
        """New places of updated rows, and the places that deleted rows had before the fork."""
        origins: dict[tuple[str, str, str], dict[str, str | None]] = defaultdict(dict)
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
                self._deletions[table].append((first, xid))

    def fill(self) -> dict[str, Any]:
        """Write everything but the summary, and give that."""
        databases = {row["oid"]: row for row in self._server.rows("template1", _DATABASES)}
        tables = []
        straddling = self._account["straddling"]
        if not straddling["complete"]:
            self._unknown.append(f"rows of transactions that began before the fork: {straddling['why']}")
        self._look_for_untold()
        wanted = {item["database"] for item in self._account["relations"]} - {0}  # shared catalogues
        wanted |= {oid for oid, row in databases.items() if self._untold and row["connects"]}
        for oid in sorted(wanted):
            if oid not in databases or not databases[oid]["connects"]:
                self._unknown.append(f"the database with oid {oid} cannot be opened")
                continue
            tables += self._read_database(databases[oid]["name"], oid)
        self._name_the_unhandled()
        summary = {
            "schema": 1,
            "kind": "pgops-salvage",
            "tables": tables,
            "transactions": self._account["transactions"],
            "unknown": self._unknown,
        }
        with open(f"{self._folder}/REPORT.md", "w", encoding="utf-8") as file:
            file.write(_report(summary))
        return summary

    def _look_for_untold(self) -> None:
        """Rows name their transaction themselves: those that were begun behind the fork are this member's own."""
        first = self._account.get("first_xid")
        if not self._account["gaps"] or first is None:
            return
        (row,) = self._server.rows("template1", _NEXT_XID)
        last = (row["next"] - 1) & 0xFFFFFFFF
        self._untold = _UNTOLD.format(first=first, span=(row["next"] - first) & 0xFFFFFFFF)
        self._unknown.append(
            f"rows of the transactions {first} to {last} that no WAL tells of are in the .csv files all the same, without a "
            "time of commit and with the change 'unknown'; what such transactions deleted is not"
        )

    def _read_database(self, name: str, oid: int) -> list[dict[str, Any]]:
        own = [item for item in self._account["relations"] if item["database"] == oid]
        if self._untold:
            told = {_key(item) for item in own}
            own += [item for item in self._server.rows(name, _TABLES.format(database=oid)) if _key(item) not in told]
        if not own:
            return []
        wanted = ", ".join(f"({item['tablespace']}, {item['filenode']})" for item in own)
        found = {(row["space"], row["node"]): row for row in self._server.rows(name, _NAMES.format(wanted=wanted))}
        folder = f"{self._folder}/{_file_name(name)}"
        os.mkdir(folder)
        tables, scripts = [], []
        for item in own:
            row = found[item["tablespace"], item["filenode"]]
            if row["table"] is None:
                if item["filenode"] >= _FIRST_USER_OID:
                    self._unknown.append(
                        f"{name}: the file {item['filenode']} is of no table any more: dropped, or rewritten"
                    )
                continue
            if row["kind"] == "r" and row["schema"] not in ("pg_catalog", "information_schema", "pg_toast"):
                table = self._read_table(name, folder, row, item)
                if table is None:
                    continue
                deleted = _key(item) in self._deletions
                scripts.append(
                    {
                        "table": row["quoted"],
                        "label": row["label"],
                        "csv": table["file"],
                        "columns": self._server.rows(name, COLUMNS.format(table=row["label"])),
                        "filenode": item["filenode"],
                        "deleted": f"{table['file'][: -len('.csv')]}.deleted" if deleted else None,
                    }
                )
                tables.append(table)
        if scripts:
            file = f"{_file_name(name)}.sql"
            (server,) = self._server.rows(name, _ENCODING)
            write_script(f"{self._folder}/{file}", file, server["encoding"], self._account.get("settled_xid"), scripts)
        return tables

    def _read_table(
        self, database: str, folder: str, row: Mapping[str, Any], item: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """None: it has no such row, and no WAL tells of a change of it."""
        key = _key(item)
        file = f"{_file_name(row['schema'])}.{_file_name(row['table'])}"
        updates = self._updates.get(key, [])
        statement = _ROWS.format(
            table=row["quoted"],
            xids=",".join(self._xids),
            tops=",".join(self._tops),
            times=",".join(self._times),
            tids=",".join(f'"{tid}"' for tid, _ in updates),
            writers=",".join(xid for _, xid in updates),
            untold=self._untold,
        )
        count = int(self._server.ask(database, f"SELECT count(*) FROM ({statement}) r"))  # noqa: S608 - ours
        if item["inserted"] is None and not count:
            return None
        self._server.ask(database, f"COPY ({statement}) TO STDOUT WITH (FORMAT csv, HEADER);", f"{folder}/{file}.csv")
        deletions = self._deletions.get(key, [])
        if deletions:
            with open(f"{folder}/{file}.deleted.tsv", "w", encoding="utf-8") as written:
                written.write("place\txid\n")
                written.writelines(f"{place}\t{xid}\n" for place, xid in deletions)
        if not self._untold:
            least, most = item["inserted"] - item["deleted"], item["inserted"] + item["updated"]
            if not least <= count <= most:
                self._unknown.append(
                    f"{database}: {row['quoted']}: {count} rows are live, and the WAL tells of {least} to {most}"
                )
        return {
            "database": database,
            "table": row["quoted"],
            "file": f"{_file_name(database)}/{file}.csv",
            "rows": count,
            **{name: item[name] for name in ("inserted", "updated", "deleted")},
        }

    def _name_the_unhandled(self) -> None:
        other = self._account["other"]
        if any(item["filenode"] == _LARGE_OBJECTS for item in self._account["relations"]):
            self._unknown.append("large objects were changed there; they are not in this folder")
        if other["sequences"]:
            self._unknown.append("sequences moved on there; their values are not in this folder")
        if other["truncated"] or other["new_files"] or other["dropped_files"]:
            self._unknown.append(
                "tables were created, rewritten, truncated or dropped there; their definitions are not in this folder"
            )
        if self._account["transactions"]["prepared"]:
            self._unknown.append("prepared transactions are undecided there; their rows are not in this folder")
        if self._deletions:
            how = (
                "the .sql file of the database, run on the survivor, writes those rows beside them, as far as it has them"
                if self._account.get("settled_xid") is not None
                else "which rows on the survivor these are cannot be told, for want of WAL from before the fork"
            )
            self._unknown.append(
                f"the keys of deleted rows: the .deleted.tsv files name their places before the fork; {how}"
            )
        self._unknown.append("unlogged tables: their rows are in no WAL, and are erased when a copy opens")


_DATABASES = "SELECT oid::bigint AS oid, datname AS name, datallowconn AS connects FROM pg_database"
_ENCODING = """
SELECT quote_literal(pg_encoding_to_char(encoding)) AS encoding FROM pg_database WHERE datname = current_database()
"""
_NAMES = """
SELECT w.space, w.node, c.relname AS table, n.nspname AS schema, c.relkind AS kind,
    quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS quoted,
    quote_literal(quote_ident(n.nspname) || '.' || quote_ident(c.relname)) AS label
FROM (VALUES {wanted}) AS w (space, node)
LEFT JOIN pg_class c ON c.oid = pg_filenode_relation(w.space::oid, w.node::oid)
LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
"""
_NEXT_XID = "SELECT txid_snapshot_xmax(txid_current_snapshot()) & 4294967295 AS next"
_UNTOLD = " OR (r.xmin::text::bigint > 2 AND ((r.xmin::text::bigint - {first}) & 4294967295) < {span})"
"""Modulo 2^32, as transaction ids are compared; 1 and 2 are of no transaction. Source: PostgreSQL, transam.h."""
_TABLES = """
SELECT coalesce(nullif(c.reltablespace, 0), d.dattablespace)::bigint AS tablespace, {database} AS database,
    pg_relation_filenode(c.oid)::bigint AS filenode, NULL::int AS inserted, NULL::int AS updated, NULL::int AS deleted
FROM pg_class c JOIN pg_database d ON d.datname = current_database()
WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND c.oid >= 16384
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


def _key(item: Mapping[str, Any]) -> tuple[str, str, str]:
    """The file of a table, as changes.tsv names it."""
    return str(item["tablespace"]), str(item["database"]), str(item["filenode"])


def _file_name(name: str) -> str:
    """A name of a database, schema or table as part of a file's name; what could lead elsewhere is coded."""
    return re.sub(r"[^A-Za-z0-9_ -]", lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), name)


def _report(summary: Mapping[str, Any]) -> str:
    told = summary["transactions"]
    lines = ["# What only this copy has", ""]
    lines.append(f"{told['count']} transactions, committed {told['first_at']} to {told['last_at']}.")
    lines += [
        "",
        "| database | table | rows saved | inserted | updated | deleted | file |",
        "|---|---|---|---|---|---|---|",
    ]
    for table in summary["tables"]:
        words = [
            "unknown" if table[name] is None else table[name]
            for name in ("database", "table", "rows", "inserted", "updated", "deleted", "file")
        ]
        lines.append(f"| {' | '.join(str(word).replace('|', '%7C') for word in words)} |")
    lines += [
        "",
        "Rows saved are the versions that are live at its end; the other counts are of changes in its WAL.",
        "",
        "The .sql file of a database inserts those whose keys the survivor has not. Read it first: it says what it does, and",
        "ends in ROLLBACK until you change that.",
        "",
    ]
    lines += ["## Not known, or not in this folder", "", *(f"- {text}" for text in summary["unknown"]), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
