"""A PostgreSQL of the test's own, archived and backed up by the real pgBackRest, without any port."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pgops.config.model import HostConfig, Timeouts
from pgops.hosts.factory import open_host
from pgops.hosts.host import Host, Identity
from pgops.hosts.process import CommandResult
from pgops.pgbackrest.commands import Stanza
from pgops.pgbackrest.runner import PgbackrestFault, run_pgbackrest

NAME = "demo"
_SETTINGS = (
    "listen_addresses=''",
    "archive_mode=on",
    "fsync=off",
    "shared_buffers=16MB",
    "max_wal_senders=3",
    "wal_level=replica",
)


def find_programs() -> Path:
    """The directory of PostgreSQL's programs, the newest installed. Skips the test without them or pgBackRest."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if not found or not shutil.which("pgbackrest"):
        pytest.skip("needs PostgreSQL's programs and pgBackRest")
    return found[-1].parent


@dataclass
class Site:
    """One host: a server, its repository, and a configuration file for pgBackRest. All below `top`."""

    top: Path
    bin_dir: Path
    options: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        owner = "postgres" if os.geteuid() == 0 else None
        self.host: Host = open_host(
            HostConfig("n1", become=owner), Timeouts(connect_s=2.0, answer_s=3.0, command_s=10.0)
        )
        self.stanza = Stanza(NAME, str(self.top / "pgbackrest.conf"))
        self.config = self.top / "pgbackrest.conf"
        self.server = self.top / "server"
        self.repository = self.top / "repository"

    def run(self, *argv: str, timeout_s: float = 30.0) -> CommandResult:
        """A command as the owner of PostgreSQL's files; it must succeed."""
        done = self.attempt(*argv, timeout_s=timeout_s)
        assert done.ok, f"{argv}: {done.stdout}{done.stderr}"
        return done

    def attempt(self, *argv: str, timeout_s: float = 30.0) -> CommandResult:
        """A command that may fail."""
        return self.host.run(argv, identity=Identity.OWNER, timeout_s=timeout_s)

    def pgbackrest(self, argv: Sequence[str], timeout_s: float = 60.0) -> str:
        """What a command of pgBackRest printed; it must succeed."""
        return run_pgbackrest(self.host, argv, timeout_s=timeout_s).stdout

    def fault(self, argv: Sequence[str], timeout_s: float = 60.0) -> PgbackrestFault:
        """How a command of pgBackRest failed, as its caller sees it."""
        with pytest.raises(PgbackrestFault) as caught:
            run_pgbackrest(self.host, argv, timeout_s=timeout_s)
        return caught.value

    def write_config(self, options: Mapping[str, str] | None = None, stanza: str = NAME, **paths: Path) -> Stanza:
        """Another configuration of pgBackRest for this server (`server=`) and repository (`repository=`)."""
        common = {
            "repo1-path": str(paths.get("repository", self.repository)),
            "repo1-retention-full": "2",
            "log-path": str(self.top / "log"),
            "log-level-file": "off",
            "spool-path": str(self.top / "spool"),
            "lock-path": str(self.top / "lock"),
            "start-fast": "y",
            "compress-level": "1",
            "archive-timeout": "10",
            **self.options,
            **(options or {}),
        }
        server = {"pg1-path": str(paths.get("server", self.server)), "pg1-socket-path": str(self.top)}
        lines = ["[global]", *(f"{key}={value}" for key, value in common.items())]
        lines += [f"[{stanza}]", *(f"{key}={value}" for key, value in server.items())]
        path = paths.get("config", self.config)
        path.write_text("\n".join(lines) + "\n")
        path.chmod(0o644)
        return Stanza(stanza, str(path))

    def make(self) -> None:
        """Server, stanza and configuration; the server runs."""
        for each in ("repository", "log", "spool", "lock"):
            self.run("mkdir", str(self.top / each))
        self.write_config()
        self.make_server(self.server)
        self.start()
        self.run("pgbackrest", f"--config={self.config}", f"--stanza={NAME}", "stanza-create")

    def make_server(self, path: Path) -> None:
        """A fresh server, with a system identifier of its own, that archives into the stanza."""
        self.run(str(self.bin_dir / "initdb"), "-D", str(path), "-A", "trust", "-U", "postgres", "--no-sync")
        push = f"pgbackrest --config={self.config} --stanza={NAME} archive-push %p"
        self._append(path / "postgresql.conf", [*_SETTINGS, f"unix_socket_directories='{self.top}'"])
        self._append(path / "postgresql.conf", [f"archive_command='{push}'"])

    def start(self, path: Path | None = None) -> None:
        """Start it and wait until it takes connections."""
        where = str(path or self.server)
        self.run(str(self.bin_dir / "pg_ctl"), "-D", where, "-w", "-s", "-l", str(self.top / "server.log"), "start")

    def stop(self, path: Path | None = None) -> None:
        """Stop it, where it runs."""
        self.attempt(
            str(self.bin_dir / "pg_ctl"), "-D", str(path or self.server), "-w", "-s", "-m", "immediate", "stop"
        )

    def query(self, statement: str) -> str:
        """One statement as superuser; what it gave, unaligned."""
        argv = (str(self.bin_dir / "psql"), "-h", str(self.top), "-U", "postgres", "-XAtqc", statement)
        return self.run(*argv).stdout.strip()

    def _append(self, path: Path, lines: Sequence[str]) -> None:
        with path.open("a") as file:
            file.write("\n".join(lines) + "\n")


def open_site() -> Site:
    """A place that the owner of PostgreSQL's files may write in, and nothing in it yet."""
    top = Path(tempfile.mkdtemp(prefix="pgops-site-"))
    if os.geteuid() == 0:
        shutil.chown(top, "postgres")
    return Site(top, find_programs())


def close_site(site: Site) -> None:
    """Stop what runs and remove the place."""
    site.stop()
    site.host.close()
    shutil.rmtree(site.top, ignore_errors=True)
