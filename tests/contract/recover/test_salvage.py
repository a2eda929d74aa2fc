"""Account and rows on a real PostgreSQL: what was committed behind a point is found, row by row, and nothing else."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any

import pytest

from contract.recover.own_server import Server, place_for_servers

BEFORE = """
CREATE TABLE plain (id int PRIMARY KEY, body text);
CREATE SCHEMA "Odd Name";
CREATE TABLE "Odd Name"."a/b" (key int, body text, twice int GENERATED ALWAYS AS (key * 2) STORED);
CREATE TABLE parted (id int, at int) PARTITION BY RANGE (at);
CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE UNLOGGED TABLE fleeting (id int);
CREATE TABLE counted (id int GENERATED ALWAYS AS IDENTITY, note text);
INSERT INTO plain SELECT n, 'before' FROM generate_series(1, 9) n;
PREPARE TRANSACTION 'none';
"""
BEHIND = """
INSERT INTO plain VALUES (100, 'alone');
BEGIN; INSERT INTO plain VALUES (101, 'outer'); SAVEPOINT s; INSERT INTO plain VALUES (102, 'inner'); RELEASE s;
SAVEPOINT t; INSERT INTO plain VALUES (666, 'rolled back'); ROLLBACK TO t; COMMIT;
BEGIN; INSERT INTO plain VALUES (667, 'rolled back'); ROLLBACK;
UPDATE plain SET body = 'changed there' WHERE id = 1;
DELETE FROM plain WHERE id = 2;
INSERT INTO plain VALUES (103, 'first'); UPDATE plain SET body = 'then' WHERE id = 103;
INSERT INTO plain VALUES (104, 'gone'); DELETE FROM plain WHERE id = 104;
INSERT INTO plain VALUES (3, 'never'), (105, 'upserted') ON CONFLICT (id) DO NOTHING;
BEGIN; INSERT INTO plain VALUES (106, 'prepared'); PREPARE TRANSACTION 'one'; COMMIT PREPARED 'one';
BEGIN; INSERT INTO plain VALUES (668, 'undecided'); PREPARE TRANSACTION 'two';
BEGIN; INSERT INTO plain VALUES (669, 'given up'); PREPARE TRANSACTION 'three'; ROLLBACK PREPARED 'three';
INSERT INTO "Odd Name"."a/b" SELECT n, (SELECT string_agg(md5(n::text || m::text), '') FROM generate_series(1, 3000) m)
FROM generate_series(1, 3) n;
INSERT INTO parted VALUES (1, 5), (2, 6);
INSERT INTO fleeting VALUES (1);
INSERT INTO counted (note) VALUES ('a "quoted", and
broken line');
"""
PLAIN = {
    "1": ("update", "changed there"),
    "100": ("insert", "alone"),
    "101": ("insert", "outer"),
    "102": ("insert", "inner"),
    "103": ("update", "then"),
    "105": ("insert", "upserted"),
    "106": ("insert", "prepared"),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with place_for_servers("salvage") as (top, programs):
        made = Server(top, programs)
        try:
            made.start()
            yield made
        finally:
            made.attempt(f"{made.bin_dir}/pg_ctl", "-D", str(made.data), "-m", "immediate", "stop")


def _rows(server: Server, place: str) -> list[dict[str, str]]:
    return list(csv.DictReader(server.read(place).splitlines(keepends=True)))


@pytest.fixture(scope="module")
def account(server: Server) -> dict[str, Any]:
    """What was committed behind a point, after which the server was stopped."""
    server.sql(BEFORE.replace("PREPARE TRANSACTION 'none';", "CHECKPOINT;"))
    fork = server.sql("SELECT pg_current_wal_flush_lsn()")
    server.sql(BEHIND)
    server.run(f"{server.bin_dir}/pg_ctl", "-D", str(server.data), "-m", "fast", "-w", "stop")
    return server.program(
        "account",
        {
            "pg_waldump": f"{server.bin_dir}/pg_waldump",
            "wal_dirs": [f"{server.data}/pg_wal"],
            "segment_bytes": 1 << 24,
            "pieces": [{"timeline": 1, "from": fork, "to": None}],
            "into": f"{server.top}/keep/account",
        },
    )


def test_every_committed_row_is_saved_and_no_other(server: Server, account: dict[str, Any]) -> None:
    before = server.run("find", str(server.data), "-type", "f", "-printf", "%p %s %T@\\n")
    keep = server.top / "keep"
    assert account["complete"], account
    assert account["transactions"]["prepared"][0]["gid"] == "two" and account["transactions"]["open"] == 0

    wish = {"keep": str(keep), "bin_dir": str(server.bin_dir), "superuser": "boss"}
    summary = server.program("rows", wish)
    tables = {table["table"]: table for table in summary["tables"]}
    assert set(tables) == {"public.plain", '"Odd Name"."a/b"', "public.parted_low", "public.counted"}
    plain = {
        row["id"]: (row["_pgops_change"], row["body"]) for row in _rows(server, "salvage/postgres/public.plain.csv")
    }
    assert plain == PLAIN
    counts = {name: tables["public.plain"][name] for name in ("inserted", "updated", "deleted")}
    assert counts == {"inserted": 7, "updated": 2, "deleted": 2}

    odd = _rows(server, "salvage/postgres/Odd Name.a%2Fb.csv")
    assert [(row["key"], row["twice"], len(row["body"])) for row in odd] == [
        (str(n), str(2 * n), 96000) for n in (1, 2, 3)
    ]
    assert [row["id"] for row in _rows(server, "salvage/postgres/public.parted_low.csv")] == ["1", "2"]
    assert _rows(server, "salvage/postgres/public.counted.csv")[0]["note"] == 'a "quoted", and\nbroken line'
    gone = server.read("salvage/postgres/public.plain.deleted.tsv").splitlines()
    assert len(gone) == 3, "a heading and two deletions"
    said = " ".join(summary["unknown"])
    for word in (
        "prepared transactions are undecided",
        "keys of deleted rows",
        "unlogged tables",
        "sequences moved on",
    ):
        assert word in said
    assert "| postgres | public.plain | 7 | 7 | 2 | 2 |" in server.read("salvage/REPORT.md")

    assert server.run("find", str(server.data), "-type", "f", "-printf", "%p %s %T@\\n") == before, (
        "the kept copy changed"
    )
    assert server.run("find", str(keep / "salvage"), "-perm", "/077") == "", "others may read it"
    assert server.attempt("test", "-e", str(keep / "work")).exit_code == 1
    assert server.program("rows", wish) == summary, "made once"


def test_rows_that_no_wal_tells_of_are_found_by_their_transaction(server: Server, account: dict[str, Any]) -> None:
    """The same data directory, where nothing is known but where the branches parted."""
    keep = server.top / "keep2"
    server.run("mkdir", "-p", str(keep / "account"))
    server.run("cp", "-a", str(server.data), str(keep / "data"))
    assert account["first_xid"] is not None and account["gaps"] == []
    account = account | {"gaps": ["WAL is missing from here to there"], "complete": False, "relations": []}
    for name, content in (("account.json", json.dumps(account)), ("transactions.tsv", ""), ("changes.tsv", "")):
        server.run("dd", "status=none", f"of={keep}/account/{name}", stdin=content)
    wish = {"keep": str(keep), "bin_dir": str(server.bin_dir), "superuser": "boss"}
    summary = server.program("rows", wish)
    tables = {table["table"]: table for table in summary["tables"]}
    assert set(tables) == {"public.plain", '"Odd Name"."a/b"', "public.parted_low", "public.counted"}
    assert tables["public.plain"]["inserted"] is None and tables["public.plain"]["rows"] == len(PLAIN)
    rows = list(csv.DictReader(server.run("cat", f"{keep}/salvage/postgres/public.plain.csv").splitlines()))
    assert {row["id"]: row["body"] for row in rows} == {key: body for key, (_, body) in PLAIN.items()}
    assert {(row["_pgops_change"], row["_pgops_committed_at"]) for row in rows} == {("unknown", "")}
    said = " ".join(summary["unknown"])
    assert f"rows of the transactions {account['first_xid']} to " in said and "WAL is missing" in said
    assert "| postgres | public.plain | 7 | unknown | unknown | unknown |" in server.run(
        "cat", f"{keep}/salvage/REPORT.md"
    )


def test_wal_that_ends_before_where_the_member_was_is_a_gap(server: Server, account: dict[str, Any]) -> None:
    wish = {
        "pg_waldump": f"{server.bin_dir}/pg_waldump",
        "wal_dirs": [f"{server.data}/pg_wal"],
        "segment_bytes": 1 << 24,
        "pieces": [{"timeline": 1, "from": account["end_lsn"], "to": None}],
        "into": None,
        "reached": "F/0",
    }
    told = server.program("account", wish)
    assert told["gaps"] == [f"WAL can be read to {told['end_lsn']}, and the member had come to F/0"]
    assert server.program("account", {**wish, "reached": account["end_lsn"]})["gaps"] == []
    del wish["reached"]
    stopped = {**wish, "reached_by": [f"{server.bin_dir}/pg_controldata", "-D", str(server.data)]}
    assert server.program("account", stopped)["gaps"] == []
    commits = [line.split("\t")[1] for line in server.read("account/transactions.tsv").splitlines()]
    early = {**stopped, "pieces": [{"timeline": 1, "from": commits[0], "to": commits[1]}]}
    (gap,) = server.program("account", early)["gaps"]
    control = server.run(f"{server.bin_dir}/pg_controldata", "-D", str(server.data))
    assert (
        gap.startswith(f"WAL can be read to {commits[1]}, and the member had come to ") and gap.split()[-1] in control
    )


def test_missing_wal_is_a_gap_and_not_nothing(server: Server) -> None:
    wal = server.top / "some-wal"
    server.run("mkdir", str(wal))
    wish = {
        "pg_waldump": f"{server.bin_dir}/pg_waldump",
        "wal_dirs": [str(wal)],
        "segment_bytes": 1 << 24,
        "pieces": [{"timeline": 1, "from": "0/1500000", "to": None}],
        "into": None,
    }
    account = server.program("account", wish)
    assert not account["complete"] and account["gaps"] == ["the WAL file 000000010000000000000001 is missing"]


def _proved(server: Server, name: str, account: dict[str, Any], **wish: Any) -> dict[str, Any]:
    """What the program says of a copy of the kept directory; nothing of it is changed, and nothing is left."""
    keep = server.top / name
    server.run("mkdir", "-p", str(keep))
    server.run("cp", "-a", str(server.data), str(server.data.parent / "account"), str(keep))
    server.run("dd", "status=none", f"of={keep}/account/account.json", stdin=json.dumps(account))
    if wish.pop("damaged", False):
        server.run("rm", f"{keep}/data/global/pg_filenode.map")
    before = server.run("find", f"{keep}/data", "-type", "f", "-printf", "%p %s %T@\\n")
    whole = {"keep": str(keep), "bin_dir": str(server.bin_dir), "superuser": "boss", "prove_bytes": 1 << 30, **wish}
    told = server.program("proof", whole)
    assert server.program("proof", whole) == told, "told once"
    assert server.run("find", f"{keep}/data", "-type", "f", "-printf", "%p %s %T@\\n") == before
    assert server.attempt("test", "-e", f"{keep}/opening").exit_code == 1
    server.run("rm", "-r", str(keep))
    return told


def test_a_copy_that_opens_has_the_rows_that_its_wal_tells(server: Server, account: dict[str, Any]) -> None:
    told = _proved(server, "proof", account)
    assert told == {"schema": 1, "kind": "pgops-opened", "opened": True, "why": None, "tables": 4, "rows": 13}


def test_a_copy_without_these_rows_is_doubted(server: Server, account: dict[str, Any]) -> None:
    relations = [{**item, "inserted": item["inserted"] + 50} for item in account["relations"]]
    told = _proved(server, "doubt", {**account, "relations": relations})
    assert told["opened"] is False and "public.plain: 7 rows are live, and the WAL tells of 55 to 59" in told["why"]
    gaps = _proved(server, "gaps", {**account, "relations": relations, "gaps": ["WAL is missing"]})
    assert gaps["opened"] is True and gaps["rows"] == 13, "where WAL is missing no count can be compared"


def test_a_copy_that_does_not_open_is_told_with_the_reason(server: Server, account: dict[str, Any]) -> None:
    damaged = _proved(server, "damaged", account, damaged=True)
    assert damaged["opened"] is False and "pg_filenode.map" in damaged["why"] and damaged["rows"] is None
    nobody = _proved(server, "nobody", account, superuser="nobody")
    assert nobody["opened"] is False
    assert 'role "nobody" does not exist; name a superuser of it by --superuser' in nobody["why"]


def test_a_large_copy_is_opened_where_reflinks_make_it_cheap(server: Server, account: dict[str, Any]) -> None:
    cheap = server.attempt("cp", "--reflink=always", f"{server.data}/PG_VERSION", f"{server.top}/reflink").ok
    told = _proved(server, "large", account, prove_bytes=1 << 20)
    if cheap:
        assert told["opened"] is True
    else:
        assert told["opened"] is None and "its file system has no reflinks" in told["why"]
