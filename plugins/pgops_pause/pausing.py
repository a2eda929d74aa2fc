"""The procedure `pause`. Source: Patroni docs, pause.rst; effects: no failover, no watchdog, nothing started or stopped."""

from __future__ import annotations

from pgops.observe.snapshot import Snapshot
from pgops.plan.step import Params, Part, Pinned, Procedure
from pgops.readings import known
from pgops.steps.switching import VIEWS, acknowledgement, switch
from pgops_pause import recording
from pgops_pause.evidence import evidence
from pgops_pause.records import wanted_record


def _steps(params: Params, pinned: Pinned, first: Snapshot) -> tuple[Part, ...]:
    keys = known(first.keys)
    wanted = wanted_record(params, pinned)
    # A pause that nobody is recorded for gets an owner only where somebody says why.
    adopt = keys is None or not keys.paused or (keys.pause_record is None and bool(wanted.reason))
    return recording.write(wanted, adopt=adopt), switch(on=True), acknowledgement(on=True)


def _way_back(params: Params, pinned: Pinned, before: Snapshot) -> tuple[Part, ...]:
    keys = known(before.keys)
    was_paused = keys is not None and keys.paused
    undo = () if was_paused else (evidence(frozenset()), switch(on=False), acknowledgement(on=False))
    return (*undo, recording.delete(wanted_record(params, pinned)))


def _goal(_params: Params, cluster: str) -> str:
    return f"pause the cluster {cluster}"


PAUSE = Procedure(name="pause", goal=_goal, views=VIEWS, steps=_steps, way_back=_way_back)
