"""Steps that write and delete the record of a pause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pgops.observe.record_facts import PauseRecord
from pgops.observe.snapshot import DcsKeys, Snapshot
from pgops.plan.actions import Action
from pgops.plan.keys import foresee_keys
from pgops.plan.step import Risk, Step, Verdict, blocked, needed, satisfied
from pgops.readings import known, reason
from pgops_pause.records import delete_record, describe, write_record


def write(wanted: PauseRecord, *, adopt: bool) -> Step:
    """The record of this pause. Without `adopt` a pause that somebody else made is left as it is."""

    def judge(keys: DcsKeys) -> Verdict:
        if keys.records_fault is not None:
            fault = f"pgops's own records cannot be read: {keys.records_fault}"
            return blocked(fault, "grant the DCS user the prefix /pgops/")
        if "pause" in keys.unread_records:
            return blocked(f"a pause is recorded that cannot be read: {keys.unread_records['pause']}", "upgrade pgops")
        if keys.pause_record == wanted:
            return satisfied("owner and reason are recorded")
        if keys.paused and not adopt:
            return satisfied(f"the cluster is paused already, {describe(keys)}")
        return needed("nobody is recorded as the owner of a pause")

    return _step(
        "record",
        "whoever finds the cluster paused must see who did it, why, and until when",
        judge,
        lambda now: write_record(now, wanted),
        wanted,
    )


def delete(own: PauseRecord | None) -> Step:
    """No record of a pause; with `own`, only that one is removed."""

    def judge(keys: DcsKeys) -> Verdict:
        if own is not None and keys.pause_record != own:
            return satisfied("this run's record of a pause is not there")
        if keys.pause_record is None and "pause" not in keys.unread_records:
            return satisfied("no owner of a pause is recorded")
        return needed("the owner of the pause is still recorded")

    why = "a cluster that is not paused has no owner of a pause"
    return _step("forget", why, judge, delete_record, None)


def _step(
    name: str,
    why: str,
    judge: Callable[[DcsKeys], Verdict],
    change: Callable[[Snapshot], tuple[Action, ...]],
    after: PauseRecord | None,
) -> Step:
    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        keys = known(now.keys)
        return needed(f"the DCS cannot be read: {reason(now.keys)}") if keys is None else judge(keys)

    def expect(now: Snapshot) -> Snapshot:
        return foresee_keys(now, lambda keys: replace(keys, pause_record=after))

    return Step(
        id=name,
        why=why,
        check=check,
        actions=lambda _first, now: change(now),
        expect=expect,
        views=frozenset(),
        hosts=frozenset(),
        risk=Risk.CHANGE,
        timeout_s=10.0,
        usually="under a second",
    )
