"""A script of a salvage folder on a real PostgreSQL: run once, whatever is killed while it runs, and never in part."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contract.recover.own_server import Server, place_for_servers
from pgops_recover.programs import argv_of

SETUP = """
CREATE TABLE times (note text);
CREATE SEQUENCE numbers;
CREATE TABLE hurry ();
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(4); RETURN NULL; END $$;
CREATE TABLE slow_at_commit (note text);
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON slow_at_commit DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION slow();
CREATE TABLE parents (id int PRIMARY KEY);
CREATE TABLE children (id int PRIMARY KEY, parent int CONSTRAINT has_a_parent REFERENCES parents);
"""
QUICK = "SET client_encoding = 'UTF8';\nBEGIN;\nINSERT INTO times VALUES ('a;b'), ($$COMMIT;$$);\nCOMMIT;\n"
SLOW_BODY = """\
BEGIN;
INSERT INTO parents VALUES (77);
INSERT INTO times VALUES ('a');
SELECT pg_sleep(300) WHERE NOT EXISTS (SELECT FROM hurry);
COMMIT;
"""
SLOW_COMMIT = "BEGIN;\nINSERT INTO times VALUES ('a');\nINSERT INTO slow_at_commit VALUES ('x');\nCOMMIT;\n"
SLOW_BEHIND = "BEGIN;\nINSERT INTO times VALUES ('a');\nCOMMIT;\nSELECT setval('numbers', 500) FROM pg_sleep(4);\n"


class Bench:
    """A leader, and a folder with one script."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.records = folder.with_name(f"{folder.name}-records")
        server.run("mkdir", str(folder))

    def write(self, script: str) -> dict[str, Any]:
        """Put this script there; what the program is to be called with."""
        self.server.run("dd", "status=none", f"of={self.folder}/postgres.sql", stdin=script)
        return {
            "folder": str(self.folder),
            "records": str(self.records),
            "carried": False,
            "file": "postgres.sql",
            "database": "postgres",
            "sha256": hashlib.sha256(script.encode()).hexdigest(),
            "earlier": [],
            "data_dir": str(self.server.data),
            "bin_dir": str(self.server.bin_dir),
            "superuser": "boss",
            "lock_timeout_s": 1.0,
            "by": "alice@here",
            "run": "r1",
            "leader": "n2",
        }

    def apply(self, wish: dict[str, Any]) -> str:
        """How it ends."""
        return str(self.server.program("application", wish)["outcome"])

    def start(self, wish: dict[str, Any]) -> subprocess.Popen[bytes]:
        """The program, as the owner of PostgreSQL's files."""
        owner = "postgres" if os.geteuid() == 0 else None
        return subprocess.Popen(
            argv_of("application", wish),
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            user=owner,
            group=owner,
            extra_groups=[] if owner else None,
        )

    def await_begun(self) -> dict[str, Any]:
        """The record of a transaction that is at its COMMIT."""
        path = self.records / "postgres.sql.begun.json"
        _wait(path.exists)
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def applied(self) -> list[dict[str, Any]]:
        """What is written down as applied."""
        path = self.records / "back" / "applied.json"
        found: list[dict[str, Any]] = json.loads(path.read_text())["applied"] if path.exists() else []
        return found

    def failed(self) -> str:
        """Why it changed nothing."""
        return str(json.loads((self.records / "postgres.sql.failed.json").read_text())["reason"])

    def count(self) -> int:
        """The rows that every run of the script adds."""
        return int(self.server.sql("SELECT count(*) FROM times"))


def _wait(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with place_for_servers("application") as (top, programs):
        made = Server(top, programs)
        try:
            made.start()
            made.sql(SETUP)
            yield made
        finally:
            made.attempt(f"{made.bin_dir}/pg_ctl", "-D", str(made.data), "-m", "immediate", "stop")


@pytest.fixture
def bench(server: Server, request: pytest.FixtureRequest) -> Bench:
    server.sql("TRUNCATE times, slow_at_commit")
    return Bench(server, server.top / f"folder-{request.node.name}".replace("[", "-").replace("]", ""))


def test_it_is_run_once(bench: Bench) -> None:
    wish = bench.write(QUICK)
    assert [bench.apply(wish), bench.apply(wish)] == ["committed", "committed"]
    assert bench.count() == 2
    (told,) = bench.applied()
    assert (told["inserted"], told["updated"], told["deleted"]) == (2, 0, 0) and told["by"] == "alice@here"
    assert bench.server.sql(f"SELECT txid_status({told['xid']})") == "committed"
    assert not (bench.records / "postgres.sql.begun.json").exists()
    assert (bench.records.stat().st_mode & 0o777) == 0o700, "others may read it"
    other = bench.write(QUICK + "-- read again\n")
    assert bench.apply(other) == "committed" and bench.count() == 4, "a script that was edited is another one"


def test_what_was_edited_since_is_not_run(bench: Bench) -> None:
    wish = {**bench.write(QUICK), "sha256": "0" * 64}
    said = bench.server.attempt(*argv_of("application", wish))
    assert said.exit_code == 74 and "was changed since it was looked at" in said.stderr
    for script, why in (
        (QUICK.replace("COMMIT;\n", "ROLLBACK;\n"), "ends in ROLLBACK"),
        (f"{QUICK}TRUNCATE times;\n", "stands behind the end"),
    ):
        said = bench.server.attempt(*argv_of("application", bench.write(script)))
        assert said.exit_code == 74 and why in said.stderr
    assert bench.count() == 0


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        (
            "INSERT INTO children VALUES (1, 7);",
            'line 4: ERROR:  insert or update on table "children" violates foreign key constraint "has_a_parent"',
        ),
        ("INSERT INTO no_such_table VALUES (1);", 'ERROR:  relation "no_such_table" does not exist'),
        ("SELECT no_such_function();", "ERROR:  function no_such_function() does not exist"),
        ("\\copy times FROM 'no-such-file'", "no-such-file: No such file or directory"),
    ],
)
def test_a_failure_changes_nothing_and_says_why(bench: Bench, statement: str, why: str) -> None:
    wish = bench.write(QUICK.replace("COMMIT;\n", f"{statement}\nCOMMIT;\n"))
    assert bench.apply(wish) == "failed" and why in bench.failed() and "(7)" not in bench.failed()
    assert bench.count() == 0 and bench.applied() == []
    assert bench.apply(bench.write(QUICK)) == "committed" and bench.count() == 2


def test_a_constraint_that_fails_at_commit_changes_nothing(bench: Bench) -> None:
    bench.server.sql("ALTER TABLE children ALTER CONSTRAINT has_a_parent DEFERRABLE INITIALLY DEFERRED")
    wish = bench.write("BEGIN;\nINSERT INTO times VALUES ('a');\nINSERT INTO children VALUES (1, 7);\nCOMMIT;\n")
    assert bench.apply(wish) == "failed" and '"children" violates foreign key constraint' in bench.failed()
    assert bench.count() == 0 and not (bench.records / "postgres.sql.begun.json").exists()
    bench.server.sql("ALTER TABLE children ALTER CONSTRAINT has_a_parent NOT DEFERRABLE")


def test_a_lock_is_not_waited_for_long(bench: Bench) -> None:
    holder = subprocess.Popen(
        [f"{bench.server.bin_dir}/psql", "-Xq", "-h", str(bench.server.top), "-U", "boss", "-d", "postgres"],
        stdin=subprocess.PIPE,
    )
    assert holder.stdin
    holder.stdin.write(b"BEGIN; LOCK TABLE times;\n")
    holder.stdin.flush()
    _wait(lambda: bench.server.sql("SELECT count(*) FROM pg_locks WHERE relation = 'times'::regclass") == "1")
    began = time.monotonic()
    assert bench.apply(bench.write(QUICK)) == "failed" and "lock timeout" in bench.failed()
    assert time.monotonic() - began < 5
    holder.stdin.close()
    holder.wait(10)


def test_killed_before_its_commit_it_is_run_again(bench: Bench) -> None:
    wish = bench.write(SLOW_BODY)
    child = bench.start(wish)
    _wait(lambda: bench.server.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'") == "1")
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (bench.records / "postgres.sql.begun.json").exists() and bench.count() == 0
    bench.server.sql("INSERT INTO hurry DEFAULT VALUES")
    assert bench.apply(wish) == "committed" and bench.count() == 1, "what the killed one left is in the way"


def test_killed_at_its_commit_it_is_done_once(bench: Bench) -> None:
    """psql goes on with the COMMIT that it was given; the next go waits for that."""
    wish = bench.write(SLOW_COMMIT)
    child = bench.start(wish)
    begun = bench.await_begun()
    _wait(lambda: bench.server.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COMMIT%'") == "1")
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert bench.server.sql(f"SELECT txid_status({begun['xid']})") == "in progress"
    assert bench.apply(wish) == "committed" and bench.count() == 1
    (told,) = bench.applied()
    assert told["xid"] == begun["xid"] and told["inserted"] == 2


def test_killed_behind_its_commit_it_is_done_once(bench: Bench) -> None:
    wish = bench.write(SLOW_BEHIND)
    child = bench.start(wish)
    _wait(lambda: bench.server.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT setval%'") == "1")
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert bench.count() == 1 and bench.applied() == []
    assert bench.apply(wish) == "committed" and bench.count() == 1
    assert len(bench.applied()) == 1 and bench.server.sql("SELECT last_value FROM numbers") == "500"


def test_a_backend_that_is_ended_at_its_commit_leaves_nothing(bench: Bench) -> None:
    wish = bench.write(SLOW_COMMIT)
    child = bench.start(wish)
    bench.await_begun()
    _wait(lambda: bench.server.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COMMIT%'") == "1")
    bench.server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COMMIT%'")
    out, err = child.communicate(timeout=30)
    assert json.loads(out) == {"outcome": "failed"}, err
    assert "terminating connection" in bench.failed() and bench.count() == 0
    assert bench.apply(wish) == "committed" and bench.count() == 1


def _ctl(server: Server, *words: str) -> None:
    options = f"-c listen_addresses='' -k {server.top} -c max_prepared_transactions=5"
    server.run(
        f"{server.bin_dir}/pg_ctl", "-D", str(server.data), "-l", f"{server.top}/log", "-o", options, "-w", *words
    )


def test_a_server_that_dies_at_its_commit_tells_afterwards(bench: Bench) -> None:
    wish = bench.write(SLOW_COMMIT)
    child = bench.start(wish)
    bench.await_begun()
    _wait(lambda: bench.server.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COMMIT%'") == "1")
    _ctl(bench.server, "-m", "immediate", "stop")
    _, err = child.communicate(timeout=30)
    assert child.returncode == 74 and b"cut off at the COMMIT of transaction" in err, err
    _ctl(bench.server, "start")
    assert bench.count() == 0
    assert bench.apply(wish) == "committed" and bench.count() == 1 and len(bench.applied()) == 1


def test_a_leader_that_comes_back_on_a_new_timeline_still_tells(bench: Bench) -> None:
    """So it is where Patroni starts a leader again that was killed: it follows nobody, and is promoted."""
    server = bench.server
    wish = bench.write(SLOW_BEHIND)
    child = bench.start(wish)
    _wait(lambda: server.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT setval%'") == "1")
    child.send_signal(signal.SIGKILL)
    child.wait()
    begun = bench.await_begun()
    _ctl(server, "-m", "immediate", "stop")
    server.run("touch", f"{server.data}/standby.signal")
    _ctl(server, "start")
    _ctl(server, "promote")
    assert server.sql("SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)") == f"{begun['timeline'] + 1:08X}"
    assert bench.apply(wish) == "committed" and bench.count() == 1
    assert [each["xid"] for each in bench.applied()] == [begun["xid"]]
    # Another one that was about to commit where this branch never came is not on it, whoever has its number here.
    later = {**begun, "lsn": "F/0", "script_sha256": bench.write(SLOW_BEHIND + "\n")["sha256"]}
    assert bench.apply({**bench.write(SLOW_BEHIND + "\n"), "earlier": [later]}) == "committed" and bench.count() == 2


@pytest.mark.parametrize("lost", [{"timeline": 77}, {"system_identifier": "7"}])
def test_what_cannot_be_told_is_never_run_again(bench: Bench, lost: dict[str, Any]) -> None:
    wish = bench.write(QUICK)
    assert bench.apply(wish) == "committed"
    (told,) = bench.applied()
    system = bench.server.sql("SELECT system_identifier FROM pg_control_system()")
    begun = {**told, "system_identifier": system, **lost}
    bench.server.run("rm", "-r", str(bench.records))
    bench.server.run("mkdir", str(bench.records))
    bench.server.run("rm", "-f", *map(str, (bench.server.data / "pg_wal").glob("*.history")))
    assert bench.apply({**wish, "earlier": [begun]}) == "unknown" and bench.count() == 2
    assert [each["outcome"] for each in bench.applied()] == ["unknown"]
    assert bench.apply(wish) == "unknown" and bench.count() == 2


def test_an_earlier_form_that_was_committed_is_told_before_the_next(bench: Bench) -> None:
    wish = bench.write(SLOW_BEHIND)
    child = bench.start(wish)
    _wait(lambda: bench.server.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT setval%'") == "1")
    child.send_signal(signal.SIGKILL)
    child.wait()
    edited = bench.write(SLOW_BEHIND.replace("('a')", "('b')"))
    assert bench.apply(edited) == "failed" and "an earlier form of it" in bench.failed() and bench.count() == 1
    assert [each["script_sha256"] for each in bench.applied()] == [wish["sha256"]]
    assert bench.apply(edited) == "committed" and bench.count() == 2
