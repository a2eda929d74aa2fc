"""Production, as a drill must leave it: the repository, each member's spool and locks, and the processes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgops.hosts.process import run
from practice.engine.desk import Desk


@dataclass(frozen=True)
class Production:
    """The lab of a desk, looked at from outside of pgops."""

    desk: Desk

    @property
    def top(self) -> Path:
        """The lab's directory."""
        return Path(self.desk.lab.config).parent

    @property
    def repo(self) -> Path:
        """The pgBackRest repository."""
        return self.top / "repo"

    def untouchables(self) -> dict[str, tuple[int, int]]:
        """Every file that is production's alone, with its size and time of change; WAL that is archived meanwhile apart."""
        roots = [self.repo, *(self.top / name / kind for name in ("n1", "n2", "n3") for kind in ("spool", "lock"))]
        found = {}
        for root in roots:
            for path in sorted(root.rglob("*")):
                if not path.is_dir():
                    seen = path.stat()
                    found[str(path)] = (seen.st_size, seen.st_mtime_ns)
        return found

    def leftovers(self) -> list[str]:
        """What a drill left: files under the members' own places, accounts of jobs, processes."""
        owned = [self.top / name / "pgops/owner" for name in ("n1", "n2", "n3")]
        places = [path for owner in owned for pattern in ("pgops-drill-*", "jobs/*") for path in owner.glob(pattern)]
        return [str(path) for path in places] + self.processes()

    def processes(self) -> list[str]:
        """The command lines that name a drill's directory in this lab."""
        mark = f"{self.top}/".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = path.read_bytes()
            except OSError:
                continue
            if mark in line and b"/pgops-drill-" in line:
                found.append(line.replace(b"\0", b" ").decode("utf-8", "replace"))
        return found

    def record(self) -> dict[str, Any]:
        """What is remembered of the last drill; empty for nothing."""
        key = self.desk.etcd.own().get("drill")
        found: dict[str, Any] = json.loads(key.value) if key else {}
        return found

    def health(self) -> tuple[int | None, dict[str, Any]]:
        """The exit code and the finding of the check."""
        code, cluster = self.desk.lab.health("--check", "drill")
        (finding,) = [item for item in cluster["findings"] if item["check"] == "drill"]
        return code, finding

    def sql(self, statement: str, database: str = "app") -> str:
        """Run it on the leader as the superuser."""
        address = self.desk.cluster["hosts"][self.desk.leader()]["sql_host"]
        done = run(
            [
                "psql",
                "-XAtqw",
                "-v",
                "ON_ERROR_STOP=1",
                "-h",
                address,
                "-U",
                "postgres",
                "-d",
                database,
                "-c",
                statement,
            ],
            timeout_s=60,
            env={"PGPASSFILE": str(self.top / "pgpass"), "PATH": "/usr/bin:/bin"},
        )
        assert done.ok, done.stderr
        return done.stdout.strip()

    def backup(self, kind: str = "full") -> str:
        """Make a backup as cron would; its label."""
        member = self.top / self.desk.leader() / "pgbackrest.conf"
        words = ["pgbackrest", f"--config={member}", f"--stanza={self.desk.cluster['stanza']}"]
        before = self._labels(words)
        done = run([*words, f"--type={kind}", "--no-expire-auto", "backup"], timeout_s=120, user=self.owner)
        assert done.exit_code == 0, done.stdout + done.stderr
        (made,) = self._labels(words) - before
        return made

    @property
    def owner(self) -> str | None:
        """Who owns PostgreSQL's files; None: whoever we are."""
        found: str | None = self.desk.cluster["become"]
        return found

    def _labels(self, words: list[str]) -> set[str]:
        done = run([*words, "info", "--output=json"], timeout_s=30, user=self.owner)
        return {item["label"] for item in json.loads(done.stdout)[0]["backup"]}
