"""How fast the account of a branch reads WAL, beside plain `pg_waldump` on the same files: WAL that pgbench made."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from pgops_recover.programs import source_of

MIB = 1024 * 1024
SEGMENT_BYTES = 16 * MIB
KINDS = {"with page images": {"checkpoint_timeout": "30s"}, "dense": {"full_page_writes": "off"}}
"""What the WAL is like, with the settings that make it so: checkpoints as a busy server has them; small records alone."""
_SCALE = 10
_CLIENTS = 8


@dataclass(frozen=True)
class Wal:
    """WAL files of timeline 1, with the places from and to which they are read."""

    pg_waldump: str
    directory: Path
    begin: str
    end: str
    size_bytes: int


@contextmanager
def made_wal(size_bytes: int, more: Mapping[str, str]) -> Iterator[Wal]:
    """WAL of pgbench's own transactions, at least that much of it, made by a server of its own that is then stopped."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pgbench"), key=lambda path: int(path.parts[4]))
    if not found:
        raise SystemExit("needs PostgreSQL's programs, pgbench among them")
    programs = found[-1].parent
    top = Path(tempfile.mkdtemp(prefix="pgops-wal-", dir="/tmp"))
    become = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if become:
        shutil.chown(top, "postgres", "postgres")

    def run(name: str, *words: str) -> str:
        done = subprocess.run(
            [*become, str(programs / name), *words], capture_output=True, text=True, check=True, cwd="/"
        )
        return done.stdout.strip()

    def ask(statement: str) -> str:
        return run("psql", "-h", str(top), "-U", "postgres", "-XAtqc", statement)

    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(top),
        "fsync": "off",
        "max_wal_size": "100GB",
        "wal_keep_size": "100GB",
        "wal_level": "replica",
        "shared_buffers": "256MB",
        **more,
    }
    try:
        run("initdb", "-D", f"{top}/data", "-A", "trust", "-U", "postgres", "--no-sync")
        with (top / "data/postgresql.conf").open("a") as file:
            file.writelines(f"{key}='{value}'\n" for key, value in settings.items())
        run("pg_ctl", "-D", f"{top}/data", "-w", "-s", "-l", f"{top}/log", "start")
        try:
            bench = ["-h", str(top), "-U", "postgres", "-n", "-c", str(_CLIENTS), "-j", "2", "postgres"]
            run("pgbench", "-h", str(top), "-U", "postgres", "-i", "-q", "-s", str(_SCALE), "postgres")
            ask("CHECKPOINT")
            begin, made = ask("SELECT pg_current_wal_insert_lsn()"), 0
            while made < size_bytes:
                run("pgbench", "-T", "10", *bench)
                end = ask("SELECT pg_current_wal_flush_lsn()")
                made = int(ask(f"SELECT pg_wal_lsn_diff('{end}', '{begin}')::bigint"))
        finally:
            run("pg_ctl", "-D", f"{top}/data", "-w", "-s", "-m", "fast", "stop")
        yield Wal(str(programs / "pg_waldump"), top / "data/pg_wal", begin, end, made)
    finally:
        shutil.rmtree(top, ignore_errors=True)


def account_argv(wal: Wal, into: Path | None) -> list[str]:
    """The account as it runs on a host: into a directory (a recovery), or counted alone (the dry run)."""
    wish = {
        "pg_waldump": wal.pg_waldump,
        "wal_dirs": [str(wal.directory)],
        "segment_bytes": SEGMENT_BYTES,
        "pieces": [{"timeline": 1, "from": wal.begin, "to": wal.end}],
        "ancestors": [],
        "reached": None,
        "into": None if into is None else str(into),
        "archive": None,
    }
    return [sys.executable, "-I", "-c", source_of("account"), json.dumps(wish)]


def measure_account(wal: Wal, rounds: int) -> dict[str, list[float]]:
    """MB/s (of 1000000 bytes of WAL) of each way to read it, in turns, so that other work meets all of them alike."""
    plain = [wal.pg_waldump, "-p", str(wal.directory), "-t", "1", "-s", wal.begin, "-e", wal.end]
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="pgops-account-") as top:
        for number in range(rounds + 1):
            ways: dict[str, Sequence[str]] = {
                "pg_waldump > /dev/null": plain,
                "account, dry run": account_argv(wal, None),
                "account, kept": account_argv(wal, Path(top) / str(number)),
            }
            for name, argv in ways.items():
                began = time.monotonic()
                subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, cwd="/")
                if number:  # the first round warms the caches
                    found.setdefault(name, []).append(wal.size_bytes / 1e6 / (time.monotonic() - began))
    return found


def tell_account(kind: str, wal: Wal, found: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Print the medians, and give them."""
    load = os.getloadavg()[0]
    print(f"\naccount of WAL {kind}: {wal.size_bytes / 1e6:.0f} MB of pgbench's, load {load:.1f}")
    for name, rates in found.items():
        print(f"  {name:28} {median(rates):7.0f} MB/s  ({min(rates):.0f} to {max(rates):.0f})", flush=True)
    return {name: median(rates) for name, rates in found.items()}
