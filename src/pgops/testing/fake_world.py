"""The world of the engine over a fake cluster: looks through its snapshot, performs every kind of action on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pgops.dcs import Dcs, Put
from pgops.engine.evidence import keys_file
from pgops.engine.key_changes import change_keys
from pgops.engine.lock import Lock
from pgops.engine.stopping import Clock, StopWish
from pgops.engine.world import ActionFault
from pgops.observe.snapshot import Snapshot, View
from pgops.plan.actions import (
    Action,
    CallRest,
    CarryFolder,
    ChangeKeys,
    ForgetJob,
    RunCommand,
    RunSql,
    SaveKeys,
    StartJob,
    StopJob,
    WriteFile,
)
from pgops.readings import Known
from pgops.testing.fake_cluster import FakeCluster
from pgops.testing.fake_snapshot import full_snapshot, restrict
from pgops.testing.fake_tools import carry_between_fake_hosts, perform_on_fake_host
from pgops.testing.faults import Crash, Faults

Serve = Callable[[FakeCluster, str, Mapping[str, Any] | None], int]
"""(cluster, member, body) -> HTTP status."""
Execute = Callable[[FakeCluster, str, tuple[str, ...]], None]
"""(cluster, member, parameters); raises `ActionFault`."""
Command = Callable[[FakeCluster, str, tuple[str, ...]], int]
"""(cluster, host, argv) -> exit code."""
Carried = Callable[[FakeCluster, CarryFolder], None]
"""What comes of a folder that was carried, where that is more than its files."""


class FakeClock(Clock):
    """Time that passes by sleeping alone, so that a slow machine changes no outcome."""

    def __init__(self) -> None:
        self._now_s = 0.0

    def now_s(self) -> float:
        """See `pgops.engine.stopping.Clock`."""
        return self._now_s

    def sleep(self, seconds: float, wish: StopWish) -> None:
        """See `pgops.engine.stopping.Clock`."""
        self._now_s += seconds


class FakeWorld:
    """Implements `pgops.engine.world.World`.

    `rest` (by method and path), `sql` (by statement) and `commands` (by the first word) serve what the fake cluster
    does not know by itself, and `carried` what a carried folder brings about. `asked` are the actions it was asked to
    perform, done or not; what really happened stands in `fake.effects`. `looks` counts observations.
    """

    def __init__(self, fake: FakeCluster, faults: Faults | None = None) -> None:
        self.fake = fake
        self.cluster = fake.config
        self.faults = faults or Faults()
        self.rest: dict[tuple[str, str], Serve] = {("PATCH", "/config"): _patch_config}
        self.sql: dict[str, Execute] = {}
        self.commands: dict[str, Command] = {}
        self.carried: Carried | None = None
        self.asked: list[Action] = []
        self.looks = 0
        self.clock = FakeClock()
        self._old: Snapshot | None = None
        self._stale_looks = 0
        self._stale_keys = False

    @property
    def dcs(self) -> Dcs:
        """See `pgops.engine.world.World`."""
        return self.fake.dcs

    def observe(self, views: frozenset[View], hosts: frozenset[str] | None) -> Snapshot:
        """See `pgops.engine.world.World`. Every look lets the Patronis turn once."""
        for look, change in self.faults.drifts:
            if look == self.looks:
                change(self.fake)
        self.looks += 1
        self.fake.turn()
        if self._old is not None and self._stale_looks > 0:
            self._stale_looks -= 1
            old = self._old if self._stale_keys else replace(self._old, keys=full_snapshot(self.fake).keys)
            return restrict(old, views, hosts)
        return self.fake.snapshot(views, hosts)

    def perform(self, action: Action, lock: Lock, now: Snapshot, tied: Sequence[Put] = ()) -> None:
        """See `pgops.engine.world.World`."""
        number = len(self.asked)
        self.asked.append(action)
        faults = self.faults
        if number in faults.crashes_before:
            raise Crash(f"before effect {number}")
        if number in faults.refusals:
            raise ActionFault("refused", happened=False)
        if number in faults.stale_after:
            self._old = full_snapshot(self.fake)
            self._stale_looks, self._stale_keys = faults.stale_after[number]
        if number in faults.lies:
            if isinstance(action, ChangeKeys):
                lock.transact((), tied)
            return
        self._do(action, lock, now, tied)
        self.fake.effects.append(action)
        if number in faults.drifts_after:
            faults.drifts_after[number](self.fake)
        if number in faults.crashes_after:
            raise Crash(f"after effect {number}")
        if number in faults.failures_after:
            raise ActionFault("the connection broke before the answer came", answered=True)

    def close(self) -> None:
        """Nothing is open."""

    def _do(self, action: Action, lock: Lock, now: Snapshot, tied: Sequence[Put]) -> None:
        if isinstance(action, ChangeKeys):
            change_keys(action, lock, tied)
        elif isinstance(action, CallRest):
            self._call_rest(action, now)
        elif isinstance(action, RunSql):
            self._run_sql(action)
        elif isinstance(action, SaveKeys):
            file = keys_file(action, self.cluster.prefix, self.dcs)
            perform_on_fake_host(self.fake, file, lock.token, self.commands)
        elif isinstance(action, CarryFolder):
            carry_between_fake_hosts(self.fake, action, lock.token, self.carried)
        elif isinstance(action, (RunCommand, StartJob, StopJob, ForgetJob, WriteFile)):
            perform_on_fake_host(self.fake, action, lock.token, self.commands)
        else:
            raise TypeError(f"{type(action).__name__} is no action")

    def _call_rest(self, action: CallRest, now: Snapshot) -> None:
        """By the member that is named, or any whose REST API answered when it was looked at."""
        live = [node.name for node in now.nodes if isinstance(node.rest, Known) and action.member in (None, node.name)]
        live = [name for name in live if self.fake.members[name].turns]
        if not live:
            raise ActionFault("no member's REST API is known to answer", happened=False)
        serve = self.rest.get((action.method, action.path))
        if serve is None:
            raise ActionFault(f"{action.method} {action.path} on {live[0]}: HTTP 501", happened=False)
        status = serve(self.fake, live[0], action.body)
        if status not in action.accepts:
            sure = False if 400 <= status < 500 else None
            raise ActionFault(
                f"{action.method} {action.path} on {live[0]}: HTTP {status}", happened=sure, answered=True
            )

    def _run_sql(self, action: RunSql) -> None:
        member = self.fake.members.get(action.member)
        if member is None or member.postgres != "running" or not member.host_up:
            raise ActionFault(f"SQL on {action.member}: connection refused", happened=False)
        execute = self.sql.get(action.statement)
        if execute is None:
            raise ActionFault(f"SQL on {action.member}: this fake does not know the statement", happened=False)
        execute(self.fake, action.member, action.parameters)


def _patch_config(fake: FakeCluster, _member: str, body: Mapping[str, Any] | None) -> int:
    if not body:
        return 400
    fake.patch_config(body)
    return 200
