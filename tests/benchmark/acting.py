"""What journal, lock and record of a run cost over the bare calls, with a real DCS and a real journal."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from pgops.config.loader import load
from pgops.config.model import ClusterConfig
from pgops.dcs import Dcs, Delete, Put
from pgops.dcs.opening import open_dcs
from pgops.engine.lock import Lock
from pgops.engine.operation import make_plan, run_plan
from pgops.engine.stopping import Clock
from pgops.observe.gather import observe
from pgops.observe.keys import record_prefix
from pgops.observe.snapshot import Snapshot, View
from pgops.plan.actions import Action, CallRest
from pgops.plan.step import Params, Part, Pinned, Procedure, Step, Verdict, needed, satisfied


class StillWorld:
    """The cluster as it was seen once, in which an action costs nothing: what is left is the engine's own work."""

    def __init__(self, cluster: ClusterConfig, dcs: Dcs, seen: Snapshot) -> None:
        self.cluster = cluster
        self.dcs = dcs
        self._seen = seen
        self.done = 0
        self.clock = Clock()

    def observe(self, views: frozenset[View], hosts: frozenset[str] | None) -> Snapshot:
        """What was seen, with the number of actions so far where the steps look for it."""
        return replace(self._seen, warnings=("x",) * self.done)

    def perform(self, action: Action, lock: Lock, now: Snapshot, tied: Sequence[Put] = ()) -> None:
        """Nothing but counting."""
        self.done += 1

    def close(self) -> None:
        """Nothing is kept open here."""


def _step(number: int) -> Step:
    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        return satisfied("done") if len(now.warnings) > number else needed("not yet")

    def actions(_first: Snapshot, _now: Snapshot) -> tuple[Action, ...]:
        return (CallRest("PATCH", "/config", {"number": number}),)

    def expect(now: Snapshot) -> Snapshot:
        return replace(now, warnings=(*now.warnings, "x"))

    return Step(f"step-{number}", "to be measured", check, frozenset(), actions, expect, frozenset())


def _steps(params: Params, _pinned: Pinned, _first: Snapshot) -> tuple[Part, ...]:
    return tuple(_step(number) for number in range(int(str(params["steps"]))))


NOTHING = Procedure("measure", lambda _params, cluster: f"measure {cluster}", frozenset(), _steps)
FEW, MANY = 1, 21


def measure_engine(config_file: str, rounds: int) -> tuple[float, float, float]:
    """(milliseconds a run, milliseconds a step) that the engine adds, medians of so many rounds, which take turns.

    The third is what one write to the DCS takes by itself meanwhile, in milliseconds: no step can take less.
    """
    config = load(config_file)
    cluster = config.clusters[0]
    dcs = open_dcs(cluster)
    try:
        seen = observe(cluster, frozenset(), dcs=dcs)
        with TemporaryDirectory() as directory:
            Path(directory).chmod(0o700)
            os.environ["PGOPS_STATE_DIR"] = f"{directory}/state"
            taken: dict[int, list[float]] = {FEW: [], MANY: []}
            bare: list[float] = []
            for _ in range(rounds):
                for count, times in taken.items():
                    times.append(_time(cluster, dcs, seen, count))
                bare.append(_time_bare(cluster, dcs))
    finally:
        dcs.close()
    few, many = median(taken[FEW]) * 1000, median(taken[MANY]) * 1000
    step_ms = (many - few) / (MANY - FEW)
    return few - step_ms * FEW, step_ms, median(bare) * 1000


def _time_bare(cluster: ClusterConfig, dcs: Dcs) -> float:
    """Seconds of one write of a record's size, the mean of as many as `MANY` steps make."""
    key = f"{record_prefix(cluster.prefix)}measure"
    started = time.perf_counter()
    for _ in range(MANY):
        dcs.transact((), (Put(key, "x" * 700),))
    seconds = (time.perf_counter() - started) / MANY
    dcs.transact((), (Delete(key),))
    return seconds


def _time(cluster: ClusterConfig, dcs: Dcs, seen: Snapshot, count: int) -> float:
    world = StillWorld(cluster, dcs, seen)
    plan = make_plan(NOTHING, {"steps": count}, world)
    started = time.perf_counter()
    outcome = run_plan(NOTHING, plan, world, confirmed=True)
    seconds = time.perf_counter() - started
    if outcome.effects != count:
        raise SystemExit(f"the measured run did not do its work: {outcome}")
    return seconds
