"""Known writes on both sides of a split brain, and what there is of them afterwards."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from pgops.hosts import process
from pgops_lab import probes
from pgops_lab.lab import Lab, Member, load

SETUP = """
CREATE TABLE IF NOT EXISTS both_sides (id text PRIMARY KEY, note text);
CREATE SCHEMA IF NOT EXISTS "Odd Name";
CREATE TABLE IF NOT EXISTS "Odd Name"."a table" (key int, body text);
INSERT INTO both_sides SELECT 'old ' || n, 'before' FROM generate_series(1, 10) n;
"""

ON_THE_LOSER = """
INSERT INTO both_sides VALUES ('lost 1', 'alone');
BEGIN; INSERT INTO both_sides VALUES ('lost 2', 'outer'); SAVEPOINT s; INSERT INTO both_sides VALUES ('lost 3', 'inner');
RELEASE s; SAVEPOINT t; INSERT INTO both_sides VALUES ('never', 'rolled back'); ROLLBACK TO t; COMMIT;
BEGIN; INSERT INTO both_sides VALUES ('never either', 'rolled back'); ROLLBACK;
UPDATE both_sides SET note = 'changed there' WHERE id = 'old 1';
DELETE FROM both_sides WHERE id = 'old 2';
INSERT INTO "Odd Name"."a table" SELECT n, repeat('long ', 20000) FROM generate_series(1, 3) n;
"""
"""Six transactions that commit: 4 with rows of both_sides, and one more table; two sub-transactions, one rolled back."""

ACROSS = """
BEGIN; INSERT INTO both_sides VALUES ('lost across 1', 'begun before'); SELECT pg_sleep(45);
INSERT INTO both_sides VALUES ('lost across 2', 'ended after'); COMMIT;
"""
"""Begins before the leader's Patroni freezes, and commits when another member leads."""


@dataclass(frozen=True)
class Sides:
    """A lab with its members, asked as the superuser."""

    lab: Lab

    @classmethod
    def of(cls, name: str) -> Sides:
        """Of the lab of this name."""
        return cls(load(name))

    def member(self, name: str) -> Member:
        """The member of this name."""
        return self.lab.member(name)

    def sql(self, name: str, statement: str) -> list[list[str]]:
        """The rows of a statement in the database of the application."""
        return probes.sql(self.lab, self.member(name), statement, database="app", timeout_s=60)

    def state(self, name: str) -> str:
        """The state of its data directory, as pg_controldata says it."""
        argv = [f"{self.lab.pg_bin}/pg_controldata", "-D", str(self.member(name).data_dir)]
        said = process.run(argv, timeout_s=10, user=self.lab.user, env={"LC_ALL": "C"})
        return next((line for line in said.stdout.splitlines() if line.startswith("Database cluster state")), "")

    def push(self, name: str, file: str) -> None:
        """Have this member archive a file of its pg_wal."""
        member = self.member(name)
        argv = [
            "pgbackrest",
            f"--config={member.pgbackrest_config}",
            f"--stanza={self.lab.name}",
            "--log-level-file=off",
        ]
        argv += [f"--pg1-path={member.data_dir}", "archive-push", f"{member.data_dir}/pg_wal/{file}"]
        done = process.run(argv, timeout_s=60, user=self.lab.user)
        assert done.ok, done.stdout + done.stderr

    def run_file(self, name: str, path: Path) -> str:
        """What psql says of this script, run in its folder in the database of the application; it must end well."""
        argv = [f"{self.lab.pg_bin}/psql", "-XAt", "-h", self.member(name).address, "-U", "postgres", "-d", "app"]
        ended = subprocess.run(
            [*argv, "-f", path.name],
            cwd=path.parent,
            env={"PGPASSFILE": str(self.lab.pgpass), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def begin_across(self, name: str) -> subprocess.Popen[bytes]:
        """The transaction that is open across the fork, in a process of its own."""
        member = self.member(name)
        argv = [f"{self.lab.pg_bin}/psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", member.address, "-U", "postgres"]
        child = subprocess.Popen(
            [*argv, "-d", "app"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={"PGPASSFILE": str(self.lab.pgpass), "PATH": "/usr/bin:/bin"},
        )
        assert child.stdin is not None
        child.stdin.write(ACROSS.encode())
        child.stdin.close()
        return child
