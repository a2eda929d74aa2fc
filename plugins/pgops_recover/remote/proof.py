"""Opens a working copy of a kept data directory, and compares its rows with what its WAL tells: a copy that cannot is none.

Called with one JSON document: `keep`, `bin_dir` and `superuser` as the program `rows` has them, and `prove_bytes`, the most
that is copied for it where the file system knows no reflinks. Writes `KEEP/opened.json`: `opened` (null: it was too large to
be tried), `why` where it is not true, and how many `rows` of how many `tables` were seen. The kept copy stays as it is.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from typing import Any

from pgops.hosts.remote.answering import Fault, answer
from pgops.hosts.remote.durable import write_durably
from pgops_recover.remote.opening import Server
from pgops_recover.remote.versions import DATABASES, NAMES, Versions, doubt_count, is_users_table, table_key
from pgops_recover.remote.working import TooLarge, opened_copy


def main(words: list[str]) -> int:
    """Open it, and print what was found as JSON. 74 and a sentence where not even that can be told."""
    return answer(lambda: prove(json.loads(words[0])))


def prove(wish: Mapping[str, Any]) -> dict[str, Any]:
    """What was found, now or by an earlier go. Raises OSError."""
    keep = wish["keep"]
    done, work = f"{keep}/opened.json", f"{keep}/opening"
    if not os.path.exists(done):
        with open(f"{keep}/account/account.json", encoding="utf-8") as file:
            account = json.load(file)
        shutil.rmtree(work, ignore_errors=True)  # left by one that was cut off
        told: dict[str, Any]
        try:
            with opened_copy({**wish, "limit_bytes": wish["prove_bytes"]}, work) as server:
                told = _count(server, account, Versions(f"{keep}/account"))
        except TooLarge as fault:
            told = {"opened": None, "why": str(fault), "tables": None, "rows": None}
        except Fault as fault:
            told = {"opened": False, "why": str(fault), "tables": None, "rows": None}
        finally:
            shutil.rmtree(work, ignore_errors=True)
        write_durably(done, json.dumps({"schema": 1, "kind": "pgops-opened", **told}, indent=1) + "\n")
    with open(done, encoding="utf-8") as file:
        found: dict[str, Any] = json.load(file)
    return found


def _count(server: Server, account: Mapping[str, Any], versions: Versions) -> dict[str, Any]:
    """Every table that the account names by its file, and the rows of its transactions that are live in it."""
    tables = rows = 0
    doubts: list[str] = []
    for database in server.rows("template1", DATABASES):
        own = [item for item in account["relations"] if item["database"] == database["oid"]]
        if not own or not database["connects"]:
            continue
        wanted = ", ".join(f"({item['tablespace']}, {item['filenode']})" for item in own)
        found = server.rows(database["name"], NAMES.format(wanted=wanted))
        named = {(row["space"], row["node"]): row for row in found if is_users_table(row)}
        for item in own:
            row = named.get((item["tablespace"], item["filenode"]))
            if row is None:
                continue
            statement = versions.statement(row["quoted"], table_key(item))
            count = int(server.ask(database["name"], f"SELECT count(*) FROM ({statement}) r"))  # noqa: S608 - ours
            doubt = None if account["gaps"] else doubt_count(row["quoted"], count, item)
            doubts += [f"{database['name']}: {doubt}"] if doubt else []
            tables, rows = tables + 1, rows + count
    return {"opened": not doubts, "why": "; ".join(doubts) or None, "tables": tables, "rows": rows}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
