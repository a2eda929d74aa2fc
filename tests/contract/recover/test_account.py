"""The account of a branch against what SQL says: a real primary, and a standby that is promoted beside it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contract.recover.own_server import place_for_servers
from pgops_recover.programs import argv_of

SEGMENT = 1 << 20
TABLES = ("plain", "copied", "hot", "upserted", "wide", "emptied", "held")
BEFORE = """
CREATE TABLE plain (id int PRIMARY KEY, body text);
CREATE TABLE copied (id int, body text);
CREATE TABLE hot (id int PRIMARY KEY, body text) WITH (fillfactor = 50);
CREATE TABLE upserted (id int PRIMARY KEY, body text);
CREATE TABLE wide (id int, body text);
CREATE TABLE emptied (id int);
CREATE TABLE held (id int, at text);
CREATE SEQUENCE counter;
INSERT INTO plain SELECT n, repeat('before', 200) FROM generate_series(1, 100) n;
INSERT INTO hot SELECT n, 'before' FROM generate_series(1, 50) n;
INSERT INTO upserted SELECT n, 'before' FROM generate_series(1, 5) n;
INSERT INTO emptied SELECT generate_series(1, 30);
CHECKPOINT;
BEGIN; INSERT INTO held VALUES (1, 'prepared before'), (2, 'prepared before'); PREPARE TRANSACTION 'early';
BEGIN; INSERT INTO held VALUES (3, 'prepared before'); PREPARE TRANSACTION 'never';
"""
BEHIND = """
INSERT INTO plain SELECT n, 'behind' FROM generate_series(101, 140) n;
UPDATE plain SET body = repeat('longer', 600) WHERE id <= 20;
DELETE FROM plain WHERE id BETWEEN 21 AND 27;
COPY copied FROM STDIN;
{copied}
\\.
UPDATE hot SET body = 'behind' WHERE id <= 30;
UPDATE hot SET body = 'again' WHERE id <= 10;
BEGIN; INSERT INTO plain VALUES (200, 'outer'); SAVEPOINT a; INSERT INTO plain VALUES (201, 'inner'); SAVEPOINT b;
INSERT INTO plain VALUES (202, 'innermost'); RELEASE b; RELEASE a;
SAVEPOINT c; INSERT INTO plain VALUES (203, 'rolled back'); DELETE FROM plain WHERE id = 30; ROLLBACK TO c; COMMIT;
BEGIN; INSERT INTO plain SELECT n, 'aborted' FROM generate_series(300, 399) n; DELETE FROM hot; ROLLBACK;
COMMIT PREPARED 'early';
BEGIN; INSERT INTO held VALUES (4, 'two-phase'); SAVEPOINT s; INSERT INTO held VALUES (5, 'two-phase'); RELEASE s;
PREPARE TRANSACTION 'done'; COMMIT PREPARED 'done';
BEGIN; INSERT INTO held VALUES (6, 'undone'); PREPARE TRANSACTION 'undone'; ROLLBACK PREPARED 'undone';
BEGIN; INSERT INTO held VALUES (7, 'open'); SAVEPOINT s; INSERT INTO held VALUES (8, 'open'); RELEASE s;
PREPARE TRANSACTION 'a: strange; gid';
INSERT INTO upserted SELECT n, 'behind' FROM generate_series(4, 8) n ON CONFLICT (id) DO UPDATE SET body = excluded.body;
INSERT INTO upserted SELECT n, 'never' FROM generate_series(1, 8) n ON CONFLICT DO NOTHING;
INSERT INTO wide SELECT n, (SELECT string_agg(md5(n::text || m::text), '') FROM generate_series(1, 500) m)
FROM generate_series(1, 4) n;
TRUNCATE emptied;
INSERT INTO emptied VALUES (1), (2);
CREATE TABLE fresh (id int);
INSERT INTO fresh SELECT generate_series(1, 12);
SELECT nextval('counter');
ALTER TABLE hot SET (fillfactor = 60);
ANALYZE;
"""


class Pair:
    """A primary and its standby below `top`, without any port, kept by an unprivileged user."""

    def __init__(self, top: Path, bin_dir: Path) -> None:
        self.top, self.bin_dir = top, bin_dir
        self._drop = ("runuser", "-u", "postgres", "--") if os.geteuid() == 0 else ()

    def run(self, *argv: str, stdin: str | None = None, check: bool = True) -> str:
        """What a command prints, which must end well."""
        done = subprocess.run(
            (*self._drop, *argv), input=stdin, capture_output=True, text=True, check=False, timeout=120, cwd=self.top
        )
        assert done.returncode == 0 or not check, f"{argv[:3]}: {done.stdout[-500:]}{done.stderr[-1500:]}"
        return done.stdout

    def psql(self, name: str) -> tuple[str, ...]:
        """psql at one of the two."""
        return (
            f"{self.bin_dir}/psql",
            "-XAtq",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            f"{self.top}/{name}.d",
            "-U",
            "boss",
            "postgres",
        )

    def sql(self, name: str, statements: str) -> str:
        """What the statements print."""
        return self.run(*self.psql(name), stdin=statements).strip()

    def session(self, name: str) -> subprocess.Popen[str]:
        """A psql that stays."""
        return subprocess.Popen((*self._drop, *self.psql(name)), stdin=subprocess.PIPE, text=True, cwd=self.top)

    def start(self, name: str) -> None:
        """Start one of the two."""
        (self.top / f"{name}.d").mkdir(mode=0o700)
        if self._drop:
            shutil.chown(self.top / f"{name}.d", "postgres")
        options = f"-c listen_addresses='' -k {self.top}/{name}.d -c fsync=off -c max_prepared_transactions=5"
        options += " -c autovacuum=off -c wal_keep_size=64MB -c shared_buffers=16MB"
        self.run(
            f"{self.bin_dir}/pg_ctl",
            "-D",
            f"{self.top}/{name}",
            "-l",
            f"{self.top}/{name}.log",
            "-o",
            options,
            "-w",
            "start",
        )

    def stop(self, name: str, mode: str) -> None:
        """Stop one of the two, if it runs."""
        self.run(f"{self.bin_dir}/pg_ctl", "-D", f"{self.top}/{name}", "-m", mode, "-w", "stop", check=False)

    def account(self, fork: str, wal: Path, into: Path | None = None, timeline: int = 1, **more: int) -> dict[str, Any]:
        """The document of the program."""
        wish = {
            "pg_waldump": f"{self.bin_dir}/pg_waldump",
            "wal_dirs": [f"{self.top}/none", str(wal)],
            "segment_bytes": SEGMENT,
            "pieces": [{"timeline": timeline, "from": fork, "to": None}],
            "into": str(into) if into else None,
            "budget_s": None,
            **more,
        }
        found: dict[str, Any] = json.loads(self.run(*argv_of("account", wish)))
        return found

    def wal(self, name: str) -> Path:
        """A copy of the old primary's WAL, to take away from."""
        self.run("cp", "-a", f"{self.top}/old/pg_wal", f"{self.top}/{name}")
        return self.top / name


class Branch:
    """What the fork left, and what SQL said on both sides."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        pair.sql("old", BEFORE)
        session = pair.session("old")
        assert session.stdin is not None
        session.stdin.write(
            "BEGIN; INSERT INTO held VALUES (10, 'across'); SAVEPOINT s; INSERT INTO held VALUES (11, 'across');\n"
            "RELEASE s; SELECT pg_advisory_lock(1);\n"
        )
        session.stdin.flush()
        wait(lambda: pair.sql("old", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted") == "1")
        pair.sql("old", "CREATE TABLE last_before (id int)")
        wait(lambda: pair.sql("new", "SELECT count(*) FROM pg_class WHERE relname = 'last_before'") == "1")
        pair.run(f"{pair.bin_dir}/pg_ctl", "-D", f"{pair.top}/new", "-w", "promote")
        history = pair.run("cat", f"{pair.top}/new/pg_wal/00000002.history")
        self.fork = history.split()[1]
        pair.sql("old", BEHIND.format(copied="\n".join(f"{n}\tcopied" for n in range(500))))
        session.stdin.write("INSERT INTO held VALUES (12, 'across'); COMMIT;\n")
        session.stdin.close()
        assert session.wait(30) == 0
        self.rows = {side: self._rows(side) for side in ("old", "new")}
        self.nodes = {
            table: int(pair.sql("old", f"SELECT pg_relation_filenode('{table}')")) for table in (*TABLES, "fresh")
        }
        self.database = int(pair.sql("old", "SELECT oid FROM pg_database WHERE datname = current_database()"))
        self.toast = int(
            pair.sql("old", "SELECT pg_relation_filenode(reltoastrelid) FROM pg_class WHERE relname = 'wide'")
        )
        self.toasted = int(
            pair.sql(
                "old",
                "SELECT sum(ceil(length(body) / 1996.0)) FROM wide WHERE pg_column_size(body) > 2000",
            )
        )
        pair.sql("old", "BEGIN; INSERT INTO plain VALUES (900, 'never committed'); SELECT pg_switch_wal();")
        self.open = pair.session("old")
        assert self.open.stdin is not None
        self.open.stdin.write("BEGIN; INSERT INTO plain VALUES (901, 'open'); SELECT pg_advisory_lock(2);\n")
        self.open.stdin.flush()
        wait(lambda: pair.sql("old", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted") == "1")
        pair.sql("old", "INSERT INTO plain VALUES (500, 'the last')")
        self.rows["old"] = self._rows("old")
        pair.stop("old", "immediate")
        self.open.stdin.close()
        self.open.wait(30)

    def _rows(self, side: str) -> dict[str, int]:
        return {table: int(self.pair.sql(side, f"SELECT count(*) FROM {table}")) for table in TABLES}  # noqa: S608


def wait(true: Any) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def branch() -> Iterator[Branch]:
    with place_for_servers("account") as (top, programs):
        pair = Pair(top, programs)
        try:
            pair.run(
                f"{pair.bin_dir}/initdb",
                "-D",
                f"{top}/old",
                "-A",
                "trust",
                "-U",
                "boss",
                "--no-sync",
                "--wal-segsize=1",
            )
            pair.start("old")
            pair.run(
                f"{pair.bin_dir}/pg_basebackup",
                "-D",
                f"{top}/new",
                "-h",
                f"{top}/old.d",
                "-U",
                "boss",
                "-R",
                "-N",
                "-c",
                "fast",
            )
            pair.start("new")
            yield Branch(pair)
        finally:
            for name in ("new", "old"):
                pair.stop(name, "immediate")


def test_counts_are_what_sql_says(branch: Branch) -> None:
    pair = branch.pair
    account = pair.account(branch.fork, pair.top / "old" / "pg_wal", pair.top / "told")
    assert account["complete"], account
    assert account["straddling"] == {"complete": True, "count": 2, "why": None}
    counts = {item["filenode"]: (item["inserted"], item["updated"], item["deleted"]) for item in account["relations"]}
    told = {table: counts[node] for table, node in branch.nodes.items()}
    assert told == {
        "plain": (44, 20, 7),
        "copied": (500, 0, 0),
        "hot": (0, 40, 0),
        "upserted": (3, 2, 0),
        "wide": (4, 0, 0),
        "emptied": (2, 0, 0),
        "held": (7, 0, 0),
        "fresh": (12, 0, 0),
    }
    for table in TABLES:
        more = branch.rows["old"][table] - branch.rows["new"][table]
        assert told[table][0] - told[table][2] == more + (30 if table == "emptied" else 0), table
    assert counts[branch.toast] == (branch.toasted, 0, 0)

    transactions = account["transactions"]
    assert transactions["open"] == 1, "of the server's crash"
    assert sorted(item["gid"] for item in transactions["prepared"]) == ["a: strange; gid", "never"]
    assert transactions["aborted"] == 4, "two, a savepoint, and one that was prepared"
    assert transactions["first_at"] < transactions["last_at"]
    other = account["other"]
    assert other["sequences"] == 1
    assert [1663, branch.database, branch.nodes["fresh"]] in other["new_files"]
    assert len(other["dropped_files"]) == 1, "the truncated table's old file"
    assert other["catalog"] == 3, "TRUNCATE, CREATE TABLE and ALTER TABLE, and not ANALYZE"

    assert json.loads(pair.run("cat", f"{pair.top}/told/account.json")) == account
    ended = [line.split("\t") for line in pair.run("cat", f"{pair.top}/told/transactions.tsv").splitlines()]
    assert len(ended) == transactions["count"]
    assert sum(line[3] == "commit_prepared" for line in ended) == 2
    across = pair.run("stat", "-c", "%a", f"{pair.top}/told/transactions.tsv", f"{pair.top}/told")
    assert across.split() == ["600", "700"], "others may read it"
    xids = {xid for line in ended for xid in (line[0], *filter(None, line[4].split(",")))}
    changed = [line.split("\t") for line in pair.run("cat", f"{pair.top}/told/changes.tsv").splitlines()]
    assert {line[4] for line in changed} <= xids
    for table, (_, updated, deleted) in told.items():
        own = [line[3] for line in changed if line[2] == str(branch.nodes[table])]
        assert (own.count("U"), own.count("D")) == (updated, deleted)


def test_places_of_changes_are_those_of_the_rows(branch: Branch) -> None:
    """On the survivor the old places still hold the rows that were updated and deleted on the other side."""
    pair = branch.pair
    pair.account(branch.fork, pair.top / "old" / "pg_wal", pair.top / "told-places")
    changed = [line.split("\t") for line in pair.run("cat", f"{pair.top}/told-places/changes.tsv").splitlines()]
    own = [line for line in changed if line[2] == str(branch.nodes["plain"])]
    for op, ids in (("U", range(1, 21)), ("D", range(21, 28))):
        places = ", ".join(f"'({line[5]},{line[6]})'" for line in own if line[3] == op)
        statement = f"SELECT id FROM plain WHERE ctid = ANY(ARRAY[{places}]::tid[]) ORDER BY id"  # noqa: S608 - numbers
        found = pair.sql("new", statement)
        assert found.split() == [str(number) for number in ids]
    assert len({(line[7], line[8]) for line in own if line[3] == "U"}) == 20


@pytest.mark.parametrize("hole", [False, True])
def test_however_many_processes_read_it_says_the_same(branch: Branch, hole: bool) -> None:
    """Transactions, records and pages go across the ends of stretches."""
    wal = branch.pair.wal(f"parted-{hole}")
    if hole:
        (wal / _following(_segment(branch.fork))).unlink()
    told = []
    for name, more in (("one", {"workers": 1}), ("many", {"workers": 3, "stretch_bytes": SEGMENT})):
        into = branch.pair.top / f"parted-{hole}-{name}"
        account = branch.pair.account(branch.fork, wal, into, **more)
        assert account["complete"] is not hole and account.pop("read_s") is not None
        assert account["transactions"]["count"] > 0
        files = [branch.pair.run("cat", f"{into}/{each}.tsv") for each in ("transactions", "changes")]
        told.append((account, files))
    assert told[0] == told[1]


def test_a_segment_removed_in_the_middle_is_named(branch: Branch) -> None:
    wal = branch.pair.wal("hole")
    whole = branch.pair.account(branch.fork, wal)
    written = sorted(path.name for path in wal.iterdir() if len(path.name) == 24 and path.name >= _segment(branch.fork))
    gone = written[1]
    (wal / gone).unlink()
    account = branch.pair.account(branch.fork, wal)
    assert not account["complete"]
    assert len(account["gaps"]) == 1 and gone in account["gaps"][0]
    assert account["end_lsn"] == whole["end_lsn"], "what is behind the gap is counted"
    assert 0 < account["transactions"]["count"] < whole["transactions"]["count"]


def test_recycled_wal_is_a_gap(branch: Branch) -> None:
    wal = branch.pair.wal("recycled")
    (wal / _segment(branch.fork)).unlink()
    account = branch.pair.account(branch.fork, wal)
    assert not account["complete"] and _segment(branch.fork) in account["gaps"][0]
    assert not account["straddling"]["complete"], "the rows before the fork are unknown as well"
    shutil.rmtree(wal)
    wal.mkdir()
    account = branch.pair.account(branch.fork, wal)
    assert not account["complete"] and account["gaps"] == [f"the WAL file {_segment(branch.fork)} is missing"]


def test_wal_that_ends_with_its_segment_is_whole(branch: Branch) -> None:
    """The server crashed after a switch, and no file was made ahead."""
    wal = branch.pair.wal("switched")
    end = branch.pair.account(branch.fork, wal)["end_lsn"]
    for path in list(wal.iterdir()):
        if len(path.name) == 24 and path.name >= _segment(end):
            path.unlink()
    account = branch.pair.account(branch.fork, wal)
    assert account["complete"], account["gaps"]
    assert account["end_lsn"].endswith("00000")


def test_files_made_ahead_do_not_confuse(branch: Branch) -> None:
    wal = branch.pair.wal("ahead")
    (wal / "000000010000000000000001").write_bytes(bytes(SEGMENT))
    (wal / "0000000100000000000000F0").write_bytes(bytes(SEGMENT))
    branch.pair.run("cp", str(wal / _segment(branch.fork)), str(wal / "0000000100000000000000F1"))
    assert branch.pair.account(branch.fork, wal)["complete"]


def test_wal_that_cannot_be_read_is_not_nothing(branch: Branch) -> None:
    """Of another version, say: then every page has another mark."""
    wal = branch.pair.wal("foreign")
    for path in wal.iterdir():
        if len(path.name) == 24:
            content = bytearray(path.read_bytes())
            for page in range(0, len(content), 8192):
                content[page : page + 2] = b"\x01\x02"
            path.write_bytes(bytes(content))
    account = branch.pair.account(branch.fork, wal)
    assert not account["complete"] and account["gaps"], account


def test_nothing_behind_the_fork_is_nothing(branch: Branch) -> None:
    wal = branch.pair.wal("silent")
    end = branch.pair.account(branch.fork, wal)["end_lsn"]
    account = branch.pair.account(end, wal)
    assert account["complete"], account
    assert account["transactions"]["count"] == 0 and account["relations"] == [] and account["wal_bytes"] == 0


def _segment(position: str) -> str:
    high, low = (int(part, 16) for part in position.split("/"))
    return f"00000001{high:08X}{low // SEGMENT:08X}"


def _following(name: str) -> str:
    return f"{name[:16]}{int(name[16:], 16) + 1:08X}"
