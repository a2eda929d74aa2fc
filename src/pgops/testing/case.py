"""A procedure with its parameters and a world to try it in, and the ways to run it there."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from pgops.engine.evidence import EVIDENCE_KINDS
from pgops.engine.lock import LEASE_S
from pgops.engine.operation import find_unfinished, go_on, make_plan, plan_rest, run_plan
from pgops.engine.outcome import Listener, Outcome
from pgops.errors import Refused
from pgops.observe.keys import record_prefix
from pgops.observe.snapshot import Snapshot
from pgops.plan.plan import Plan
from pgops.plan.step import FirstOf, Params, Part, Pinned, Procedure, Step
from pgops.testing.fake_cluster import FakeCluster
from pgops.testing.fake_world import FakeWorld
from pgops.testing.faults import Crash, Faults

PINNED = Pinned(datetime(2026, 11, 23, 3, 0, tzinfo=timezone.utc), "20261123-0300-abcdef", "alice", "here")
"""The pinned values of every run of the suite, so that two runs may be compared."""


_MEMORY = "/dev/shm"  # noqa: S108 - the directory in it is made by mkdtemp


def _no_setup(_world: FakeWorld) -> None:
    pass


@dataclass(frozen=True)
class Case:
    """One procedure in one world. `make_cluster` makes the same world each time.

    `set_up` gives a `FakeWorld` what it does not know by itself (commands, SQL, REST paths). `limit_s` bounds each wait of
    a step, so that a step which never reaches its goal is soon told. `not_restored` names records of pgops (`pause`) that
    the way back need not bring back, since they said nothing any more.
    """

    procedure: Procedure
    params: Params
    make_cluster: Callable[[], FakeCluster]
    set_up: Callable[[FakeWorld], None] = field(default=_no_setup)
    limit_s: float = 0.15
    not_restored: frozenset[str] = frozenset()

    @property
    def quick(self) -> Procedure:
        """The procedure, with every wait shortened."""
        steps, back = self.procedure.steps, self.procedure.way_back

        def shortened(params: Params, pinned: Pinned, first: Snapshot) -> tuple[Part, ...]:
            return tuple(map(self._shorten, steps(params, pinned, first)))

        def shortened_back(params: Params, pinned: Pinned, first: Snapshot) -> tuple[Part, ...]:
            return tuple(map(self._shorten, back(params, pinned, first))) if back else ()

        return replace(self.procedure, steps=shortened, way_back=shortened_back if back else None)

    def world(self, fake: FakeCluster | None = None, faults: Faults | None = None) -> FakeWorld:
        """A world of the engine over this cluster, or over a new one."""
        made = FakeWorld(fake or self.make_cluster(), faults)
        self.set_up(made)
        return made

    def plan(self, world: FakeWorld) -> Plan:
        """The plan of the case as that world is."""
        return make_plan(self.quick, self.params, world, PINNED)

    def run(self, world: FakeWorld, listener: Listener | None = None) -> Outcome:
        """Plan and run. May raise `Crash`."""
        return self.run_plan(world, self.plan(world), listener)

    def run_plan(self, world: FakeWorld, plan: Plan, listener: Listener | None = None) -> Outcome:
        """Run this plan."""
        return run_plan(self.quick, plan, world, confirmed=True, listener=listener, log_file=os.devnull)

    def crash(self, world: FakeWorld) -> None:
        """Run until the planned crash, then let the dead run's lease end."""
        try:
            outcome = self.run(world)
        except Crash:
            world.fake.advance(LEASE_S + 1)
            return
        raise AssertionError(f"the run did not come to its crash: {outcome}")

    def go_on(self, world: FakeWorld, *, back: bool = False) -> Outcome | None:
        """Continue the unfinished run, or abort it; None where the DCS knows of none, so that nothing was done."""
        try:
            found = find_unfinished(world, PINNED.run_id, back=back)
        except Refused:
            return None
        plan = plan_rest(self.quick, found, world, back=back)
        return go_on(world, self.quick, plan, found, back=back, log_file=os.devnull)

    def _shorten(self, part: Part) -> Part:
        if isinstance(part, FirstOf):
            return replace(part, options=tuple(map(self._shorten_step, part.options)))
        return self._shorten_step(part)

    def _shorten_step(self, step: Step) -> Step:
        return replace(step, timeout_s=min(step.timeout_s, self.limit_s))


@contextmanager
def operator_host() -> Iterator[None]:
    """A machine of an operator: an empty state directory of its own."""
    before = os.environ.get("PGOPS_STATE_DIR")
    # Every effect is flushed to the journal first: thousands of times in a suite, for which no disk has to turn.
    directory = tempfile.mkdtemp(prefix="pgops-testing-", dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None)
    os.environ["PGOPS_STATE_DIR"] = directory
    try:
        yield
    finally:
        if before is None:
            del os.environ["PGOPS_STATE_DIR"]
        else:
            os.environ["PGOPS_STATE_DIR"] = before
        shutil.rmtree(directory, ignore_errors=True)


def fingerprint(fake: FakeCluster, *, without: frozenset[str] = frozenset()) -> dict[str, object]:
    """What a cluster is like, apart from revisions, leases, turns, marks of refused starts, evidence and these records."""
    top = record_prefix(fake.config.prefix)
    shown = {key[len(top) :]: item.value for key, item in fake.dcs.dump().items() if key.startswith(top)}
    own = {name: value for name, value in shown.items() if name not in without}
    if "rest" in own:  # it tells when and where the procedure came to rest, and another run does so at another time
        rest = json.loads(own["rest"])
        own["rest"] = str({name: rest[name] for name in sorted(rest.keys() - {"since", "by", "host"})})
    members = {name: replace(member, loops=0, lease=None) for name, member in fake.members.items()}
    hosts = {
        name: (
            {path: _without_moment(content) for path, content in host.files.items()},
            host.loaded,
            host.running,
            {job.name: (job.argv, job.starts) for job in host.jobs.values()},
        )
        for name, host in fake.hosts.items()
    }
    return {"config": fake.dynamic_config(), "records": own, "members": members, "hosts": hosts}


def _without_moment(content: str) -> str:
    """Evidence tells of the moment at which the run began; of it only its kind is the same in another run."""
    kind = json.loads(content).get("kind") if content.startswith("{") else None
    return kind if kind in EVIDENCE_KINDS else content


def leftovers(fake: FakeCluster) -> list[str]:
    """Keys of an unfinished run, or a lock, that are still there."""
    top = record_prefix(fake.config.prefix)
    return [key for key in fake.dcs.dump() if key.startswith((f"{top}run", f"{top}lock/"))]
