"""How long commands take, side by side in one run: medians, ratios, and the targets beside them.

Usage: .venv/bin/python tests/benchmark/bench.py [--rounds N] [--start-only | --recovery N | --account MB]. It brings up a lab
of its own and takes it down; for `--account` pgbench makes WAL in a server of its own instead. The commands of one table take
turns, so that whatever else the machine does meets all of them alike.
Exit code 1: a target was missed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from pgops.config.model import Timeouts
from pgops.hosts.process import run

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmark.accounting import KINDS, made_wal, measure_account, tell_account
from benchmark.acting import measure_engine
from benchmark.backing_up import measure_backup
from benchmark.recovering import GUIDE, OURS, Recovered, measure_recovery

PYTHON = sys.executable
PGOPS = str(Path(PYTHON).parent / "pgops")
ONE_TIMEOUT_S = Timeouts().connect_s + Timeouts().answer_s
DCS_GONE_LIMIT_S = 3.0
RUN_LIMIT_S, STEP_LIMIT_S = 0.015, 0.002
BESIDE_LIMIT_S = 1.0
ACCOUNT_MB_S = 100.0


@dataclass(frozen=True)
class Row:
    """One measured command. `limit` is the target: at most so many times the first row of its table.

    `after` puts things back, unmeasured.
    """

    name: str
    argv: Sequence[str]
    limit: float | None = None
    codes: tuple[int, ...] = (0,)
    after: Sequence[str] = ()


class Bench:
    """Measures tables of commands and remembers whether every target was met."""

    def __init__(self, rounds: int) -> None:
        self.rounds = rounds
        self.missed: list[str] = []

    def table(self, title: str, rows: Sequence[Row]) -> dict[str, float]:
        """Run the commands in turns and print their medians; gives them in seconds by name."""
        times: dict[str, list[float]] = {row.name: [] for row in rows}
        for number in range(self.rounds + 1):
            for row in rows:
                seconds = measure(row)
                if number:  # the first round warms the caches
                    times[row.name].append(seconds)
        medians = {name: median(taken) for name, taken in times.items()}
        base = medians[rows[0].name]
        print(f"\n{title} (median of {self.rounds})")
        for row in rows:
            ratio = medians[row.name] / base
            spread = f"{min(times[row.name]) * 1000:.0f} to {max(times[row.name]) * 1000:.0f}"
            line = f"  {row.name:28} {medians[row.name] * 1000:7.0f} ms  ({spread})  {ratio:5.2f} x"
            print(line + (f"  {self.judge(row.name, ratio, row.limit)}" if row.limit else ""), flush=True)
        return medians

    def limit(self, name: str, seconds: float, limit_s: float) -> None:
        """Print a time that has a limit of its own."""
        ms = f"{seconds * 1000:7.1f}" if limit_s < 0.1 else f"{seconds * 1000:7.0f}"
        print(f"  {name:28} {ms} ms  {self.judge(name, seconds, limit_s, ' s')}", flush=True)

    def judge(self, name: str, value: float, limit: float, unit: str = " x") -> str:
        """Whether the target was met, in words; what was missed is remembered."""
        if value > limit:
            self.missed.append(name)
        return f"target {limit:g}{unit}: {'MISSED' if value > limit else 'met'}"


def measure(row: Row) -> float:
    """Seconds of one run. Raises `SystemExit` when the command ends otherwise than it should."""
    result = run(row.argv, timeout_s=60, env=os.environ)
    if result.exit_code not in row.codes:
        raise SystemExit(f"{row.name}: {result.fault}\n{result.stdout}{result.stderr}")
    if row.after:
        run(row.after, timeout_s=60, env=os.environ)
    return result.duration_s


def bench_start(bench: Bench) -> None:
    """What every start costs."""
    complete = {"_PGOPS_COMPLETE": "bash_complete", "COMP_WORDS": "pgops he", "COMP_CWORD": "1"}
    tab = ["env", *(f"{name}={value}" for name, value in complete.items()), PGOPS]
    bench.table(
        "start",
        [
            Row("python -c pass", [PYTHON, "-c", "pass"]),
            Row("pgops --version", [PGOPS, "--version"], 1.5),
            Row("pgops --help", [PGOPS, "--help"], 5.0),
            Row("pgops health --help", [PGOPS, "health", "--help"]),
            Row("TAB after pgops he", tab),
        ],
    )


def bench_account(bench: Bench, megabytes: int) -> None:
    """The account of WAL beside plain pg_waldump; the target is the dry run's, for which a person waits."""
    for kind, settings in KINDS.items():
        with made_wal(megabytes * 1_000_000, settings) as wal:
            rate = tell_account(kind, wal, measure_account(wal, bench.rounds))["account, dry run"]
            name = f"account {kind}"
            if rate < ACCOUNT_MB_S:
                bench.missed.append(name)
            print(f"  target {ACCOUNT_MB_S:g} MB/s: {'MISSED' if rate < ACCOUNT_MB_S else 'met'}", flush=True)


def bench_lab(bench: Bench, name: str) -> None:
    """`health` beside `patronictl list`, with one node silent, and with the DCS gone."""
    status = lab_status(name)
    health = [PGOPS, "-c", status["config"], "health"]
    patronictl = Path(_cmdline(_pid(status, "patroni-n1"))[1]).parent / "patronictl"
    well = bench.table(
        "three nodes, all well",
        [
            Row("patronictl list", [str(patronictl), "-c", f"{status['directory']}/n1/patroni.yml", "list"]),
            Row("pgops health", health, 1.0),
            Row("pgops health --quick", [*health, "--quick"], 0.6),
            Row("pgops health --deep", [*health, "--deep"]),
        ],
    )
    bench_pause(bench, status, patronictl)
    bench_backup(bench, status, patronictl)
    silent = next(member["name"] for member in status["members"] if "replica" in member["patroni_says"])
    with stopped(_node_pids(status, silent)):
        rows = [
            Row("pgops health", health, codes=(1, 2, 3)),
            Row("pgops health --quick", [*health, "--quick"], codes=(1, 2, 3)),
        ]
        slow = bench.table(f"{silent} accepts connections and never answers", rows)
    for row in rows:
        bench.limit(f"added to {row.name}", slow[row.name] - well[row.name], ONE_TIMEOUT_S)
    lab("break", "dcs-lost", "--name", name)
    rows = [
        Row("pgops health", health, codes=(2, 3)),
        Row("pgops health --quick", [*health, "--quick"], codes=(2, 3)),
    ]
    gone = bench.table("the DCS gone", rows)
    for row in rows:
        bench.limit(row.name, gone[row.name], DCS_GONE_LIMIT_S)


def bench_pause(bench: Bench, status: Mapping[str, Any], patronictl: Path) -> None:
    """`pause`, verified on every member, beside `patronictl pause --wait`; and what the engine's own work costs."""
    resume = [PGOPS, "-c", status["config"], "resume", "-q"]
    bench.table(
        "pause",
        [
            Row(
                "patronictl pause --wait",
                [str(patronictl), "-c", f"{status['directory']}/n1/patroni.yml", "pause", "--wait"],
                after=resume,
            ),
            Row("pgops pause", [PGOPS, "-c", status["config"], "pause", "-q"], 0.3, after=resume),
        ],
    )
    run_ms, step_ms, write_ms = measure_engine(status["config"], bench.rounds)
    print(f"\nthe engine over the bare calls (median of {bench.rounds}); a write to the DCS alone: {write_ms:.2f} ms")
    bench.limit("journal and lock, a run", run_ms / 1000, RUN_LIMIT_S)
    bench.limit("journal and lock, a step", step_ms / 1000, STEP_LIMIT_S)


def bench_backup(bench: Bench, status: Mapping[str, Any], patronictl: Path) -> None:
    """`backup` where it is not the leader's turn, beside `patronictl list`; and what it adds to pgBackRest on the leader."""
    replica = next(member["name"] for member in status["members"] if "replica" in member["patroni_says"])
    leader = next(member["name"] for member in status["members"] if "replica" not in member["patroni_says"])
    patroni = f"{status['directory']}/n1/patroni.yml"
    bench.table(
        "backup from cron on a replica",
        [
            Row("patronictl list", [str(patronictl), "-c", patroni, "list"]),
            Row("pgops backup, silent", [PGOPS, "-c", status["config"], "backup", "--node", replica], 0.5),
        ],
    )
    logs = Path(status["directory"]) / "log" / f"pgbackrest-{leader}"
    beside_s = measure_backup(PGOPS, status["config"], leader, logs, max(3, bench.rounds // 2))
    print("\nbackup on the leader")
    bench.limit("beside pgBackRest's own time", beside_s, BESIDE_LIMIT_S)


def bench_recovery(bench: Bench, name: str, rounds: int) -> None:
    """`recover split-brain` from its start to a cluster whose members all stream, beside a guide's own steps."""
    found = measure_recovery(PGOPS, lab_status(name)["config"], name, rounds)
    print(f"\na split brain (median of {rounds})")

    def middle(way: str, value: Callable[[Recovered], float]) -> float:
        return median(value(each) for each in found[way])

    for way, each in found.items():
        print(
            f"  {way:28} {middle(way, lambda one: one.protected_s):6.1f} s until all stream, "
            f"{middle(way, lambda one: one.silent_s):5.1f} s without a commit on the survivor, "
            f"{sum(one.lost for one in each)} rows lost"
        )
    ratio = middle(OURS, lambda one: one.protected_s) / middle(GUIDE, lambda one: one.protected_s)
    print(f"  {OURS:28} {ratio:6.2f} x  {bench.judge(OURS, ratio, 1.0)}")
    print(
        f"  {'rows lost by pgops':28} {bench.judge('rows lost', sum(one.lost for one in found[OURS]), 0, ' rows')}",
        flush=True,
    )


def _pid(status: Mapping[str, Any], program: str) -> int:
    return next(int(each["pid"]) for each in status["programs"] if each["name"] == program)


def _cmdline(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


def _node_pids(status: Mapping[str, Any], node: str) -> list[int]:
    """etcd, Patroni and every process of PostgreSQL of one member."""
    data = f"{status['directory']}/{node}/data"
    servers = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str((entry / "cwd").readlink()) == data:
                servers.append(int(entry.name))
        except OSError:  # it ended meanwhile, or is not ours to see
            continue
    return [_pid(status, f"etcd-{node}"), _pid(status, f"patroni-{node}"), *servers]


@contextmanager
def stopped(pids: Sequence[int]) -> Iterator[None]:
    """These processes stopped: their sockets accept and nobody answers."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def lab(*arguments: str) -> str:
    """`pgops lab ...`; raises `SystemExit` when it fails."""
    result = run([PGOPS, "lab", *arguments], timeout_s=400, env=os.environ)
    if not result.ok:
        raise SystemExit(f"pgops lab {' '.join(arguments)}: {result.fault}")
    return result.stdout


@contextmanager
def own_lab() -> Iterator[str]:
    """The name of a lab that lives for that long."""
    name = f"bench-{os.getpid()}"
    try:
        lab("up", name, "--patroni", "4.1")
        yield name
    finally:
        lab("down", "--name", name)


def lab_status(name: str) -> dict[str, Any]:
    """`pgops lab status` as it tells programs."""
    status: dict[str, Any] = json.loads(lab("status", "--name", name, "-f", "json"))
    return status


def main() -> int:
    """Measure, print, and say with the exit code whether all targets were met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--start-only", action="store_true", help="bring up no lab")
    parser.add_argument(
        "--recovery", type=int, metavar="N", help="measure N recoveries of a split brain, and nothing else"
    )
    parser.add_argument(
        "--account", type=int, metavar="MB", help="measure the account of so much WAL of each kind, and nothing else"
    )
    options = parser.parse_args()
    bench = Bench(options.rounds)
    if options.recovery:
        with own_lab() as name:
            bench_recovery(bench, name, options.recovery)
    elif options.account:
        bench_account(bench, options.account)
    else:
        bench_start(bench)
    if not (options.start_only or options.recovery or options.account):
        with own_lab() as name:
            bench_lab(bench, name)
    print(f"\nmissed: {', '.join(bench.missed)}" if bench.missed else "\nall targets met")
    return 1 if bench.missed else 0


if __name__ == "__main__":
    sys.exit(main())
