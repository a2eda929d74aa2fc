"""The procedure `pause`. Source: Patroni docs, pause.rst; effects: no failover, no watchdog, nothing started or stopped."""

from __future__ import annotations

from dataclasses import replace

from pgops.observe.snapshot import Snapshot
from pgops.plan.actions import Action
from pgops.plan.step import Params, Part, Pinned, Procedure, Risk, Step, Verdict, blocked, needed, satisfied
from pgops.readings import Known, known, reason
from pgops_pause.evidence import evidence
from pgops_pause.records import delete_record, describe, wanted_record, write_record
from pgops_pause.switching import VIEWS, acknowledgement, switch


def _steps(params: Params, pinned: Pinned, _first: Snapshot) -> tuple[Part, ...]:
    return _record(params, pinned), switch(on=True), acknowledgement(on=True)


def _way_back(params: Params, pinned: Pinned, before: Snapshot) -> tuple[Part, ...]:
    keys = known(before.keys)
    undo = (
        () if keys is not None and keys.paused else (evidence(frozenset()), switch(on=False), acknowledgement(on=False))
    )
    return (*undo, _forget(params, pinned))


def _record(params: Params, pinned: Pinned) -> Step:
    wanted = wanted_record(params, pinned)

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        keys = known(now.keys)
        if keys is None:
            return needed(f"the DCS cannot be read: {reason(now.keys)}")
        if keys.records_fault is not None:
            return blocked(
                f"pgops's own records cannot be read: {keys.records_fault}", "grant the DCS user the prefix /pgops/"
            )
        if "pause" in keys.unread_records:
            return blocked(f"a pause is recorded that cannot be read: {keys.unread_records['pause']}", "upgrade pgops")
        if keys.pause_record == wanted:
            return satisfied("owner and reason are recorded")
        if keys.paused and (keys.pause_record is not None or not wanted.reason):
            return satisfied(f"the cluster is paused already, {describe(keys)}")
        return needed("nobody is recorded as the owner of a pause")

    def actions(_first: Snapshot, now: Snapshot) -> tuple[Action, ...]:
        return write_record(now, wanted)

    def expect(now: Snapshot) -> Snapshot:
        keys = known(now.keys)
        return now if keys is None else replace(now, keys=Known(replace(keys, pause_record=wanted)))

    return Step(
        id="record",
        why="whoever finds the cluster paused must see who did it, why, and until when",
        check=check,
        actions=actions,
        expect=expect,
        views=frozenset(),
        hosts=frozenset(),
        risk=Risk.CHANGE,
        timeout_s=10.0,
        usually="under a second",
    )


def _forget(params: Params, pinned: Pinned) -> Step:
    """Only this run's own record is removed."""
    own = wanted_record(params, pinned)

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        keys = known(now.keys)
        if keys is None:
            return needed(f"the DCS cannot be read: {reason(now.keys)}")
        if keys.pause_record != own:
            return satisfied("this run's record of the pause is not there")
        return needed("this run's record of the pause is still there")

    def actions(_first: Snapshot, now: Snapshot) -> tuple[Action, ...]:
        return delete_record(now)

    return Step(
        id="forget",
        why="a pause that was taken back has no owner",
        check=check,
        actions=actions,
        views=VIEWS,
        hosts=frozenset(),
        risk=Risk.CHANGE,
        timeout_s=10.0,
    )


def _goal(_params: Params, cluster: str) -> str:
    return f"pause the cluster {cluster}"


PAUSE = Procedure(name="pause", goal=_goal, views=VIEWS, steps=_steps, way_back=_way_back)
