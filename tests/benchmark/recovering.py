"""`recover split-brain` beside the steps that a widespread guide gives, on the same incident, in turns.

The guide's: stop Patroni everywhere, delete Patroni's whole prefix from etcd, start the member that is to survive, then the
others, which rewind themselves.
"""

from __future__ import annotations

import base64
import csv
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psycopg

from pgops.errors import PgopsError
from pgops.hosts.process import run
from pgops_lab import probes, supervisor
from pgops_lab.lab import Lab, Member
from pgops_lab.lab import load as load_lab
from pgops_lab.waiting import wait_for

GUIDE, OURS = "the guide's steps", "pgops recover split-brain"
_LIMIT_S = 240.0
_PATIENCE_S = 120.0
"""After the last step, all members should stream within that; one that never does counts with all of it."""
_ROWS = 200
_SETUP = "CREATE TABLE IF NOT EXISTS bench_split (id text PRIMARY KEY); TRUNCATE bench_split"
_BEAT_S = 0.02


@dataclass(frozen=True)
class Recovered:
    """One recovery: seconds until every other member streams from the survivor, the longest time for which a client of
    the survivor could not write, and how many rows that only the loser had are neither there nor kept.
    """

    protected_s: float
    silent_s: float
    lost: int


class _Client:
    """Writes to the survivor all the while, and remembers the longest time between two commits."""

    def __init__(self, lab: Lab, member: Member) -> None:
        self._lab, self._member = lab, member
        self._stop = threading.Event()
        self._commits: list[float] = []
        self._thread = threading.Thread(target=self._work, daemon=True)

    def longest_gap(self, since: float, until: float) -> float:
        """Seconds without a commit, at the worst."""
        times = [since, *(at for at in self._commits if since < at < until), until]
        return max(later - earlier for earlier, later in pairwise(times))

    @contextmanager
    def writing(self) -> Iterator[_Client]:
        """Until the block ends."""
        self._thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._thread.join(20)

    def _work(self) -> None:
        number = 0
        while not self._stop.is_set():
            try:
                with _connect(self._lab, self._member) as connection:
                    while not self._stop.is_set():
                        number += 1
                        connection.execute("INSERT INTO bench_split VALUES (%s)", (f"beat {time.time_ns()} {number}",))
                        self._commits.append(time.monotonic())
                        self._stop.wait(_BEAT_S)
            except psycopg.Error:
                self._stop.wait(_BEAT_S)


def measure_recovery(pgops: str, config: str, name: str, rounds: int) -> dict[str, list[Recovered]]:
    """Both ways in turns, by the name of the way."""
    lab = load_lab(name)
    ways: dict[str, Callable[[Lab, Member], None]] = {
        GUIDE: _as_the_guide,
        OURS: lambda _lab, survivor: _call(
            [pgops, "-c", config, "recover", "split-brain", "--survivor", survivor.name, "--yes", "-q", "--no-backup"]
        ),
    }
    found: dict[str, list[Recovered]] = {way: [] for way in ways}
    for number in range(rounds):
        for way, recover in ways.items():
            found[way].append(_measure(lab, pgops, config, f"{number} of {way}", recover))
    return found


def _measure(lab: Lab, pgops: str, config: str, word: str, recover: Callable[[Lab, Member], None]) -> Recovered:
    wait_for(
        "healthy",
        lambda: run([pgops, "-c", config, "health", "--deep"], timeout_s=60, env=os.environ).exit_code == 0,
        timeout_s=_LIMIT_S,
    )
    loser = probes.require_leader(lab)
    probes.sql(lab, loser, _SETUP, database="app")
    _call([pgops, "lab", "break", "split-brain", "--name", lab.name])
    survivor = probes.require_leader(lab)
    wanted = [f"{row} {word}" for row in range(_ROWS)]
    with _connect(lab, loser) as connection:
        connection.cursor().executemany("INSERT INTO bench_split VALUES (%s)", [(id_,) for id_ in wanted])
    others = {member.name for member in lab.members if member != survivor}
    with _Client(lab, survivor).writing() as client:
        time.sleep(1)
        began = time.monotonic()
        recover(lab, survivor)
        reached = True
        try:
            wait_for(
                "all stream",
                lambda: probes.streaming_from(lab, survivor) >= others and probes.leader(lab) == survivor,
                timeout_s=_PATIENCE_S,
            )
        except PgopsError:
            reached = False
        ended = time.monotonic()
        time.sleep(1)
    there = {row[0] for row in probes.sql(lab, survivor, "SELECT id FROM bench_split", database="app")}
    for run_id in sorted({copy.name.partition(".pgops-")[2] for copy in _copies(lab)}):
        _call([pgops, "-c", config, "salvage", run_id])
        there |= _kept(lab)
        _call([pgops, "-c", config, "copies", "remove", run_id, "--confirm", lab.name])
    _call([pgops, "lab", "mend", "--name", lab.name])
    lost = len(set(wanted) - there)
    print(f"  {word}: {ended - began:.1f} s{'' if reached else ', and not there yet'}; {lost} rows lost", flush=True)
    return Recovered(ended - began, client.longest_gap(began, ended), lost)


def _as_the_guide(lab: Lab, survivor: Member) -> None:
    for member in lab.members:
        program = f"patroni-{member.name}"
        # As systemctl stop does: SIGTERM, then SIGCONT, so that one that hangs ends as well.
        pid = supervisor.program(lab, program).pid
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGCONT)
        supervisor.stop(lab, program)
    first, after = f"/service/{lab.name}/", f"/service/{lab.name}0"
    body = {"key": base64.b64encode(first.encode()).decode(), "range_end": base64.b64encode(after.encode()).decode()}
    probes.etcd(lab.members[0], "v3/kv/deleterange", body)
    supervisor.start(lab, f"patroni-{survivor.name}", wait=True)
    wait_for("the survivor leads", lambda: probes.leader(lab) == survivor, timeout_s=_LIMIT_S)
    for member in lab.members:
        if member != survivor:
            supervisor.start(lab, f"patroni-{member.name}", wait=True)


def _copies(lab: Lab) -> list[Path]:
    return [path for member in lab.members for path in member.directory.glob("data.pgops-*") if path.is_dir()]


def _kept(lab: Lab) -> set[str]:
    """The rows of every copy that was salvaged."""
    found = set()
    for copy in _copies(lab):
        path = copy / "salvage/app/public.bench_split.csv"
        if path.exists():
            with path.open(newline="") as file:
                found |= {row["id"] for row in csv.DictReader(file)}
    return found


def _connect(lab: Lab, member: Member) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host=member.address, user="postgres", dbname="app", passfile=str(lab.pgpass), connect_timeout=2, autocommit=True
    )


def _call(argv: list[str]) -> None:
    result = run(argv, timeout_s=_LIMIT_S, env=os.environ)
    if result.exit_code != 0:
        raise SystemExit(f"{' '.join(argv)}: {result.fault}\n{result.stdout}{result.stderr}")
