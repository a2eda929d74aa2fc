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
import sys
from collections.abc import Mapping
from typing import Any

from pgops.hosts.remote.answering import answer
from pgops.hosts.remote.durable import write_durably
from pgops_recover.remote.applying import COLUMNS, REFERENCES, write_script
from pgops_recover.remote.opening import Server
from pgops_recover.remote.versions import DATABASES, NAMES, Versions, doubt_count, is_users_table, table_key
from pgops_recover.remote.working import opened_copy

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
        with opened_copy(wish, work) as server:
            summary = _Folder(server, keep, making, account).fill()
        write_durably(f"{making}/summary.json", json.dumps(summary, indent=2))
        shutil.rmtree(work)
        os.rename(making, done)
    with open(f"{done}/summary.json", encoding="utf-8") as file:
        found: dict[str, Any] = json.load(file)
    return found


class _Folder:
    """What is written into the folder."""

    def __init__(self, server: Server, keep: str, folder: str, account: Mapping[str, Any]) -> None:
        self._server, self._folder, self._account = server, folder, account
        self._unknown: list[str] = [*account["gaps"]]
        self._untold = ""
        self._versions = Versions(f"{keep}/account")

    def fill(self) -> dict[str, Any]:
        """Write everything but the summary, and give that."""
        databases = {row["oid"]: row for row in self._server.rows("template1", DATABASES)}
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
            told = {table_key(item) for item in own}
            own += [
                item for item in self._server.rows(name, _TABLES.format(database=oid)) if table_key(item) not in told
            ]
        if not own:
            return []
        wanted = ", ".join(f"({item['tablespace']}, {item['filenode']})" for item in own)
        found = {(row["space"], row["node"]): row for row in self._server.rows(name, NAMES.format(wanted=wanted))}
        folder = f"{self._folder}/{_file_name(name)}"
        os.mkdir(folder)
        encoding = self._server.rows(name, _ENCODING)[0]["encoding"]
        tables, scripts = [], []
        for item in own:
            row = found[item["tablespace"], item["filenode"]]
            if row["table"] is None:
                if item["filenode"] >= _FIRST_USER_OID:
                    self._unknown.append(
                        f"{name}: the file {item['filenode']} is of no table any more: dropped, or rewritten"
                    )
                continue
            if is_users_table(row):
                table = self._read_table(name, folder, encoding, row, item)
                if table is None:
                    continue
                deleted = table_key(item) in self._versions.deletions
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
            settled, references = self._account.get("settled_xid"), self._server.rows(name, REFERENCES)
            write_script(f"{self._folder}/{file}", file, encoding, settled, scripts, references)
        return tables

    def _read_table(
        self, database: str, folder: str, encoding: str, row: Mapping[str, Any], item: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """None: it has no such row, and no WAL tells of a change of it."""
        key = table_key(item)
        file = f"{_file_name(row['schema'])}.{_file_name(row['table'])}"
        statement = self._versions.statement(row["quoted"], key, self._untold)
        count = int(self._server.ask(database, f"SELECT count(*) FROM ({statement}) r"))  # noqa: S608 - ours
        if item["inserted"] is None and not count:
            return None
        how = f"FORMAT csv, HEADER, ENCODING {encoding}"  # that of the database: nothing is lost or refused on the way
        self._server.ask(database, f"COPY ({statement}) TO STDOUT WITH ({how});", f"{folder}/{file}.csv")
        if _has_end_mark(f"{folder}/{file}.csv"):
            self._unknown.append(
                f"{database}: {row['quoted']}: a value has a line \\. by itself, where psql takes its file to end "
                "before version 18, and loads none of it: the script fails there, and changes nothing"
            )
        deletions = self._versions.deletions.get(key, [])
        if deletions:
            with open(f"{folder}/{file}.deleted.tsv", "w", encoding="utf-8") as written:
                written.write("place\txid\n")
                written.writelines(f"{place}\t{xid}\n" for place, xid in deletions)
        doubt = None if self._untold else doubt_count(row["quoted"], count, item)
        if doubt is not None:
            self._unknown.append(f"{database}: {doubt}")
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
        if self._versions.deletions:
            how = (
                "the .sql file of the database, run on the survivor, writes those rows beside them, as far as it has them"
                if self._account.get("settled_xid") is not None
                else "which rows on the survivor these are cannot be told, for want of WAL from before the fork"
            )
            self._unknown.append(
                f"the keys of deleted rows: the .deleted.tsv files name their places before the fork; {how}"
            )
        self._unknown.append("unlogged tables: their rows are in no WAL, and are erased when a copy opens")


_ENCODING = """
SELECT quote_literal(pg_encoding_to_char(encoding)) AS encoding FROM pg_database WHERE datname = current_database()
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


def _has_end_mark(path: str) -> bool:
    """Source: PostgreSQL, src/bin/psql/copy.c, handleCopyIn (until version 17 it heeds no quotes)."""
    with open(path, "rb") as file:
        return any(line in (b"\\.\n", b"\\.\r\n") for line in file)


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
