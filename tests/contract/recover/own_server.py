"""A place and the programs for PostgreSQL servers of a test's own, kept by an unprivileged user."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pgops.config.model import HostConfig, Timeouts
from pgops.hosts.factory import open_host
from pgops.hosts.host import Host, Identity
from pgops.hosts.process import CommandResult
from pgops_recover.programs import argv_of


@contextmanager
def place_for_servers(word: str) -> Iterator[tuple[Path, Path]]:
    """(a directory whose owner may run PostgreSQL, where its programs are); the directory goes at the end.

    The programs are those in `PGOPS_TEST_BIN_DIR`, for a look at another release, or else the newest that are installed.
    """
    wished = os.environ.get("PGOPS_TEST_BIN_DIR")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if not found and not wished:
        pytest.skip("needs PostgreSQL's programs")
    top = Path(tempfile.mkdtemp(prefix=f"pgops-{word}-", dir="/tmp"))
    if os.geteuid() == 0:
        shutil.chown(top, "postgres", "postgres")
    try:
        yield top, Path(wished) if wished else found[-1].parent
    finally:
        shutil.rmtree(top, ignore_errors=True)


class Server:
    """A PostgreSQL of the test's own, without a port."""

    def __init__(self, top: Path, bin_dir: Path) -> None:
        self.top, self.bin_dir, self.data = top, bin_dir, top / "keep" / "data"
        owner = "postgres" if os.geteuid() == 0 else None
        self.host: Host = open_host(
            HostConfig("n1", become=owner), Timeouts(connect_s=2.0, answer_s=3.0, command_s=10.0)
        )

    def attempt(self, *argv: str, stdin: str | None = None) -> CommandResult:
        """A command as the owner."""
        given = None if stdin is None else stdin.encode()
        return self.host.run(argv, identity=Identity.OWNER, timeout_s=120, stdin=given)

    def run(self, *argv: str, stdin: str | None = None) -> str:
        """A command that must end well."""
        done = self.attempt(*argv, stdin=stdin)
        assert done.ok, f"{argv[:3]}: {done.stdout[-500:]}{done.stderr[-1500:]}"
        return done.stdout

    def sql(self, statements: str) -> str:
        """What psql prints."""
        return self.ask("postgres", statements)

    def ask(self, database: str, statements: str) -> str:
        """What psql prints in that database."""
        argv = (f"{self.bin_dir}/psql", "-XAtq", "-h", str(self.top), "-d", database, "-U", "boss")
        return self.run(*argv, stdin=statements).strip()

    def start(self) -> None:
        """Make it and start it."""
        self.run("mkdir", str(self.top / "keep"))
        self.run(f"{self.bin_dir}/initdb", "-D", str(self.data), "-A", "trust", "-U", "boss", "--no-sync")
        options = f"-c listen_addresses='' -k {self.top} -c fsync=off -c max_prepared_transactions=5 -c autovacuum=off"
        log = str(self.top / "log")
        self.run(f"{self.bin_dir}/pg_ctl", "-D", str(self.data), "-l", log, "-o", options, "-w", "start")

    def program(self, name: str, wish: dict[str, Any]) -> dict[str, Any]:
        """The document of a program that runs as on a host."""
        found: dict[str, Any] = json.loads(self.run(*argv_of(name, wish)))
        return found

    def read(self, place: str) -> str:
        """A file of the folder, which is its owner's alone."""
        return self.run("cat", str(self.top / "keep" / place))
