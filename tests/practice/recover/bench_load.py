"""pgbench itself as clients, and what its own invariant tells of a member: independent of pgops's reading of WAL.

Each transaction adds one delta to an account, a teller and a branch, and writes a row of history with it. So a balance is the
sum of the deltas of the history rows that name it. Source: PostgreSQL docs, pgbench ("What is the transaction actually
performed in pgbench?").
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pgops_lab.lab import Lab, Member

CLIENTS = 4
SCALE = 2
RATE = 120
"""Transactions a second on each member, so that two of them and a cluster have room on a small machine."""
BALANCES = {
    "pgbench_accounts": ("aid", "abalance"),
    "pgbench_tellers": ("tid", "tbalance"),
    "pgbench_branches": ("bid", "bbalance"),
}
_LONGEST_S = 600
_PROCESSED = re.compile(r"number of transactions actually processed: (\d+)")

Row = tuple[str, str, str, str, str]
"""Of the history: teller, branch, account, delta, time. It has no key, so that rows are counted."""


@dataclass(frozen=True)
class Tables:
    """All that pgbench wrote on one member: the rows of the history, and each table's balances by key."""

    history: Counter[Row]
    balances: Mapping[str, Mapping[str, int]]

    def check(self) -> None:
        """Its own invariant. Balances that nobody changed are 0."""
        for column, (table, found) in zip((2, 0, 1), self.balances.items(), strict=True):
            sums: Counter[str] = Counter()
            for row, times in self.history.items():
                sums[row[column]] += int(row[3]) * times
            wrong = {key: value for key, value in found.items() if value != sums[key]}
            assert not wrong, f"{table}: {list(wrong.items())[:5]}"

    def of(self, rows: Counter[Row]) -> dict[str, dict[str, int]]:
        """The balances, by table, that these rows of the history changed."""
        return {
            table: {key: found[key] for key in {row[column] for row in rows}}
            for column, (table, found) in zip((2, 0, 1), self.balances.items(), strict=True)
        }


class Bench:
    """A pgbench that runs against one member until that ends its sessions."""

    def __init__(self, lab: Lab, member: Member) -> None:
        argv = [
            f"{lab.pg_bin}/pgbench",
            *_at(member),
            "-n",
            "-R",
            str(RATE),
            "-b",
            "tpcb-like",
            "-c",
            str(CLIENTS),
            "-j",
            "2",
            "-T",
            str(_LONGEST_S),
            "app",
        ]
        self._child = subprocess.Popen(
            argv, env=_environment(lab), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def end(self) -> int:
        """Wait until all its sessions were ended; how many transactions it was told are committed."""
        said, _ = self._child.communicate(timeout=60)
        found = _PROCESSED.search(said)
        assert found and "terminat" in said, said[-500:]
        return int(found[1])

    def kill(self) -> None:
        """End it, whatever it does."""
        self._child.kill()
        self._child.wait(30)


@dataclass
class Running:
    """The pgbenches of a test, by member."""

    lab: Lab
    benches: dict[str, Bench] = field(default_factory=dict)

    def start(self, name: str) -> None:
        """Have clients on this member from now on."""
        self.benches[name] = Bench(self.lab, self.lab.member(name))


@contextmanager
def benches(lab: Lab) -> Iterator[Running]:
    """None of them is left at the end."""
    running = Running(lab)
    try:
        yield running
    finally:
        for bench in running.benches.values():
            bench.kill()


def initialise(lab: Lab, name: str) -> None:
    """pgbench's tables, new."""
    argv = [f"{lab.pg_bin}/pgbench", *_at(lab.member(name)), "-i", "-q", "-s", str(SCALE), "app"]
    subprocess.run(argv, env=_environment(lab), capture_output=True, text=True, check=True, timeout=120)


@contextmanager
def opened(lab: Lab, data_dir: Path) -> Iterator[list[str]]:
    """A copy of a data directory that was stopped cleanly, opened by PostgreSQL alone; gives the words of a psql for it."""
    top = Path(tempfile.mkdtemp(prefix="pgops-truth-", dir="/tmp"))
    become = ["runuser", "-u", lab.user, "--"] if lab.user and os.geteuid() == 0 else []
    config = top / "postgresql.conf"
    config.write_text(
        f"listen_addresses=''\nunix_socket_directories='{top}'\nhba_file='{top}/pg_hba.conf'\nfsync=off\n"
    )
    (top / "pg_hba.conf").write_text("local all all trust\n")
    if become:
        for path in (top, *top.iterdir()):
            shutil.chown(path, str(lab.user))
    pg_ctl = [*become, f"{lab.pg_bin}/pg_ctl", "-D", f"{top}/data", "-w", "-s"]
    try:
        subprocess.run([*become, "cp", "-a", str(data_dir), f"{top}/data"], check=True, timeout=120)
        start = [*pg_ctl, "-l", f"{top}/log", "-o", f"-c config_file={config}", "start"]
        subprocess.run(start, check=True, timeout=120, stdin=subprocess.DEVNULL, cwd="/")
        try:
            yield [*become, f"{lab.pg_bin}/psql", "-XAtq", "-F", "\t", "-h", str(top), "-U", "postgres", "-d", "app"]
        finally:
            subprocess.run([*pg_ctl, "-m", "immediate", "stop"], check=True, timeout=60, cwd="/")
    finally:
        shutil.rmtree(top)


def read(psql: list[str], env: Mapping[str, str] | None = None) -> Tables:
    """All that is there, by a server's own word."""
    history = Counter(
        _five(line) for line in _ask(psql, "SELECT tid, bid, aid, delta, mtime FROM pgbench_history", env)
    )
    balances = {}
    for table, (key, balance) in BALANCES.items():
        lines = _ask(psql, f"SELECT {key}, {balance} FROM {table}", env)  # noqa: S608 - names of ours
        balances[table] = {one: int(other) for one, other in (line.split("\t") for line in lines)}
    return Tables(history, balances)


def read_member(lab: Lab, name: str) -> Tables:
    """The same of a member that runs."""
    psql = [f"{lab.pg_bin}/psql", "-XAtq", "-F", "\t", *_at(lab.member(name)), "-d", "app"]
    return read(psql, _environment(lab))


def _ask(psql: list[str], statement: str, env: Mapping[str, str] | None) -> list[str]:
    argv = [*psql, "-c", statement]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True, timeout=120, cwd="/")
    return done.stdout.splitlines()


def _five(line: str) -> Row:
    tid, bid, aid, delta, mtime = line.split("\t")
    return tid, bid, aid, delta, mtime


def _at(member: Member) -> list[str]:
    return ["-h", member.address, "-U", "postgres"]


def _environment(lab: Lab) -> dict[str, str]:
    return {"PGPASSFILE": str(lab.pgpass), "PATH": "/usr/bin:/bin", "LC_ALL": "C"}
