"""Steps about what is remembered of the drill: the record in the DCS, and the run's own end by it."""

from __future__ import annotations

from dataclasses import replace

from pgops.dcs import Put
from pgops.observe.keys import record_prefix
from pgops.observe.record_facts import DrillRecord
from pgops.observe.records import drill_value
from pgops.observe.snapshot import DcsKeys, Snapshot, View
from pgops.plan.actions import Action, Hole, PutLater
from pgops.plan.keys import change_seen, foresee_keys
from pgops.plan.step import Params, Pinned, Risk, Step, Verdict, failed, needed, satisfied, unread
from pgops.readings import known, reason
from pgops_drill.aims import Aim
from pgops_drill.jobs import foreseen, jobs_of
from pgops_drill.results import judge, make_record, tell


def own_record(run_id: str, now: Snapshot) -> DrillRecord | None:
    """The record, where this run wrote it."""
    keys = known(now.keys)
    record = keys.drill_record if keys else None
    return record if record is not None and record.run == run_id else None


def remember(aim: Aim, params: Params, pinned: Pinned) -> Step:
    """Write the outcome down, whatever it is."""

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        record = own_record(aim.run_id, now)
        if record is not None:
            return satisfied(tell(record))
        keys = known(now.keys)
        if keys is None or keys.records_fault is not None:
            return unread(f"pgops's own records cannot be read: {keys.records_fault if keys else reason(now.keys)}")
        if isinstance(jobs_of(aim, now), str):
            return unread(f"what the drill's jobs found cannot be seen: {jobs_of(aim, now)}")
        return needed("the outcome of this drill is not remembered yet")

    def actions(first: Snapshot, now: Snapshot) -> tuple[Action, ...]:
        key, keys, jobs = _key(now), known(now.keys), jobs_of(aim, now)
        if keys is None or isinstance(jobs, str):
            return ()
        if foreseen(jobs):
            return change_seen(now, PutLater(key, Hole("the outcome")))
        checks = judge(aim, params, _identity(first), jobs)
        record = make_record(aim, pinned, checks, jobs, keys.drill_record)
        return change_seen(now, Put(key, drill_value(record)))

    def expect(now: Snapshot) -> Snapshot:
        def passed(keys: DcsKeys) -> DcsKeys:
            record = make_record(aim, pinned, (), {}, keys.drill_record)
            return replace(keys, drill_record=replace(record, outcome="passed"))

        return foresee_keys(now, passed)

    return Step(
        id="remember",
        why="health tells from it when a restore was proven last, and how long one takes",
        check=check,
        actions=actions,
        expect=expect,
        views=frozenset({View.JOBS}),
        hosts=frozenset({aim.node}),
        risk=Risk.CHANGE,
    )


def prove(aim: Aim, *, kept: bool) -> Step:
    """The drill's own verdict, after everything was cleared away."""

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        record = own_record(aim.run_id, now)
        if record is None:
            return needed("the drill has no outcome yet")
        left = f"; it is left in {aim.scratch} on {aim.node}" if kept else ""
        if not record.checks:
            return satisfied("the drill's outcome is the run's own")
        if record.outcome == "passed":
            return satisfied(f"{tell(record)}{left}")
        return failed(
            f"{tell(record)}{left}", f"see what is wrong with it: pgops drill restore --set {record.label} --keep"
        )

    why = "what does not restore is no backup"
    return Step(id="prove", why=why, check=check, views=frozenset(), hosts=frozenset(), timeout_s=1.0)


def _key(now: Snapshot) -> str:
    return f"{record_prefix(now.cluster.prefix)}drill"


def _identity(first: Snapshot) -> str | None:
    keys: DcsKeys | None = known(first.keys)
    return keys.initialize or None if keys else None
