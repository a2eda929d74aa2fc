"""Restores into a directory of their own, with pgBackRest and PostgreSQL themselves: what a window must agree with."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from pgops.config.loader import load
from pgops.hosts.factory import open_host
from pgops.hosts.host import Identity
from pgops.hosts.process import CommandResult
from practice.engine.desk import wait_until

_OPTIONS = {
    "listen_addresses": "",
    "archive_mode": "off",
    "archive_command": "",
    "primary_conninfo": "",
    "primary_slot_name": "",
    "synchronous_standby_names": "",
    "shared_preload_libraries": "",
    "max_logical_replication_workers": "0",
    "hot_standby": "off",
    "shared_buffers": "16MB",
    "cluster_name": "scratch",
    "recovery_prefetch": "off",
}
"""Nothing of the production cluster's may reach out of the directory; and WAL is read in order, no segment ahead."""


@dataclass(frozen=True)
class Restored:
    """How a restore ended. `rows` None: PostgreSQL refused to start, and its log says why."""

    pgbackrest: CommandResult
    rows: tuple[int, ...] | None
    log: str

    @property
    def segments(self) -> list[str]:
        """The WAL that PostgreSQL took from the archive, in order."""
        lines = [line for line in self.log.splitlines() if "restored log file" in line]
        return [name for name in (line.split('"')[1] for line in lines) if len(name) == 24]


class Scratch:
    """A place for restores on the lab's machine, for the owner of PostgreSQL's files."""

    def __init__(self, config: str) -> None:
        cluster = load(config).clusters[0]
        member = cluster.hosts[0]
        assert cluster.stanza and member.pgbackrest_config and member.bin_dir
        self.stanza = cluster.stanza
        self.production = member.pgbackrest_config
        self._bin = member.bin_dir
        self._host = open_host(member, cluster.timeouts)
        self.repository = next(
            line.partition("=")[2]
            for line in Path(self.production).read_text().splitlines()
            if line.startswith("repo1-path=")
        )
        self.top = Path(self.run("mktemp", "-d", "/tmp/pgops-scratch-XXXXXX").stdout.strip())

    def run(self, *argv: str, timeout_s: float = 60.0) -> CommandResult:
        """A command as the owner of PostgreSQL's files; it must succeed."""
        done = self.attempt(*argv, timeout_s=timeout_s)
        assert done.ok, f"{argv}: {done.stdout}{done.stderr}"
        return done

    def attempt(self, *argv: str, timeout_s: float = 60.0) -> CommandResult:
        """A command that may fail."""
        return self._host.run(argv, identity=Identity.OWNER, timeout_s=timeout_s)

    def back_up(self, kind: str) -> None:
        """A backup of the production cluster, as cron would make it."""
        self.run("pgbackrest", f"--config={self.production}", f"--stanza={self.stanza}", f"--type={kind}", "backup")

    def restore(self, *options: str) -> Restored:
        """Restore with these options of pgBackRest, start privately, promote at the target, and look at the rows."""
        self._clear()
        settings = {
            "repo1-path": self.repository,
            "lock-path": f"{self.top}/lock",
            "spool-path": f"{self.top}/spool",
            "log-path": f"{self.top}/log",
            "log-level-file": "off",
            "archive-async": "n",
        }
        lines = ["[global]", *(f"{key}={value}" for key, value in settings.items())]
        self._write("pgbackrest.conf", [*lines, f"[{self.stanza}]", f"pg1-path={self.top}/data"])
        own = [f"--config={self.top}/pgbackrest.conf", f"--stanza={self.stanza}", "--archive-mode=off"]
        restored = self.attempt("pgbackrest", *own, "--target-action=promote", *options, "restore")
        if not restored.ok:
            return Restored(restored, None, "")
        self._write("hba.conf", ["local all all trust"])
        quoted = {**_OPTIONS, "hba_file": f"{self.top}/hba.conf", "unix_socket_directories": f"{self.top}/run"}
        self._write("postgresql.conf", [f"{key} = '{value}'" for key, value in quoted.items()])
        log = f"{self.top}/postgresql.log"
        control = [f"{self._bin}/pg_ctl", "-D", f"{self.top}/data", "-w", "-t", "60"]
        self.attempt(*control, "-l", log, "-o", f"-c config_file={self.top}/postgresql.conf", "start")
        try:
            wait_until(lambda: self._is_up() or not self._runs(control), 60)
            return Restored(restored, self._rows() if self._runs(control) else None, Path(log).read_text())
        finally:
            if self._runs(control):
                self.run(*control, "-m", "immediate", "stop")

    def _is_up(self) -> bool:
        """Whether it was promoted: without hot standby it takes no connection before."""
        return self.attempt(*self._query("SELECT 1")).ok

    def _runs(self, control: list[str]) -> bool:
        return self.attempt(*control, "status").exit_code == 0

    def _rows(self) -> tuple[int, ...]:
        if self.run(*self._query("SELECT to_regclass('proof') IS NULL")).stdout.strip() == "t":
            return ()
        return tuple(int(line) for line in self.run(*self._query("SELECT n FROM proof ORDER BY n")).stdout.split())

    def _query(self, query: str) -> tuple[str, ...]:
        return ("psql", "-X", "-At", "-h", f"{self.top}/run", "-U", "postgres", "-d", "postgres", "-c", query)

    def _write(self, name: str, lines: list[str]) -> None:
        argv = ["sh", "-c", 'cat >"$1"', "write", f"{self.top}/{name}"]
        text = "".join(f"{line}\n" for line in lines).encode()
        assert self._host.run(argv, identity=Identity.OWNER, timeout_s=10, stdin=text).ok

    def _clear(self) -> None:
        self.run("find", str(self.top), "-mindepth", "1", "-delete")
        for name in ("data", "run", "lock", "spool", "log"):
            self.run("mkdir", "-m", "700", f"{self.top}/{name}")

    def close(self) -> None:
        """Remove it."""
        shutil.rmtree(self.top, ignore_errors=True)
        self._host.close()
