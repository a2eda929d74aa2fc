"""The record of a guard that stands in links: the DCS itself says nothing of it, and health reads no host for it."""

from __future__ import annotations

from dataclasses import replace

from pgops.dcs import Delete, Put
from pgops.observe.keys import record_prefix
from pgops.observe.record_facts import GuardRecord
from pgops.observe.records import guard_value
from pgops.observe.snapshot import Snapshot
from pgops.plan.actions import Action
from pgops.plan.keys import change_seen, foresee_keys
from pgops.plan.step import Pinned, Risk, Step, Verdict, needed, satisfied, unread
from pgops.readings import known, reason


def remember(names: tuple[str, ...], pinned: Pinned) -> Step:
    """These members and no other."""
    record = GuardRecord(tuple(sorted(names)), pinned.run_id, pinned.by, pinned.host, pinned.moment)
    return _step("remember", "health tells from it, without a look at any host, that rewinds are guarded", record)


def forget_record() -> Step:
    """No record."""
    return _step("forget-record", "nothing is guarded by links any more", None)


def remember_again(record: GuardRecord) -> Step:
    """The record as it was."""
    return _step("remember-again", "it was so before", record)


def _step(id_: str, why: str, wanted: GuardRecord | None) -> Step:
    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        keys = known(now.keys)
        if keys is None or keys.records_fault is not None:
            told = keys.records_fault if keys else reason(now.keys)
            return unread(f"pgops's own records cannot be read: {told}", "grant the DCS user the prefix /pgops/")
        there = keys.guard_record
        if "guard" not in keys.unread_records and (there.members if there else None) == _members(wanted):
            return satisfied(f"{', '.join(wanted.members)} are recorded" if wanted else "no guard in links is recorded")
        return needed(f"{', '.join(there.members) if there else 'no member'} is recorded as guarded by links")

    def actions(_first: Snapshot, now: Snapshot) -> tuple[Action, ...]:
        key = f"{record_prefix(now.cluster.prefix)}guard"
        return change_seen(now, Put(key, guard_value(wanted)) if wanted else Delete(key))

    def expect(now: Snapshot) -> Snapshot:
        return foresee_keys(now, lambda keys: replace(keys, guard_record=wanted))

    return Step(
        id=id_,
        why=why,
        check=check,
        actions=actions,
        expect=expect,
        views=frozenset(),
        hosts=frozenset(),
        risk=Risk.CHANGE,
        timeout_s=10.0,
        usually="under a second",
    )


def _members(record: GuardRecord | None) -> tuple[str, ...] | None:
    return record.members if record else None
