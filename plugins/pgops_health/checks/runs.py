"""What pgops itself does to the cluster now, and what it left unfinished."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pgops.checks import Check, Finding, ok, unknown, unread, warning
from pgops.observe.keys import record_prefix
from pgops.observe.record_facts import LockRecord, RunRecord
from pgops.observe.records import LOCKS, TOPOLOGY
from pgops.observe.snapshot import DcsKeys, Snapshot, View
from pgops.readings import known
from pgops.render.units import format_duration, format_time


def find_runs(snapshot: Snapshot) -> Iterator[Finding]:
    """No run of pgops was left unfinished. A lock lives by its holder's lease: without it nobody works on the run."""
    keys = known(snapshot.keys)
    if keys is None:
        yield unread("pgops's own records could not be read", snapshot.keys)
        return
    place = record_prefix(snapshot.cluster.prefix)
    if keys.records_fault:
        yield unknown(
            f"whether a run of pgops is under way is not known: its records could not be read ({keys.records_fault})",
            next_step=f"let the role of pgops.yml read the keys under {place}",
        )
        return
    unreadable = {
        name: why
        for name, why in keys.unread_records.items()
        if name.partition("/")[0] in ("run", "lock") or name == "rest"
    }
    for name, why in unreadable.items():
        what = f"the lock {name.removeprefix('lock/')}" if name.startswith("lock/") else f"a {name} record"
        yield unknown(
            f"{what} is there that this pgops cannot read: {why}",
            next_step=f"change nothing in the cluster until you know what {place}{name} says",
        )
    runs = {lock: run for lock in LOCKS if (run := keys.run_under(lock)) is not None}
    for lock, run in runs.items():
        yield _judge(snapshot.taken_at, lock, run, keys)
    rest = keys.rest_record
    if rest is not None:
        yield warning(
            f"{rest.procedure} came to rest at {rest.state}: {rest.text}; {rest.by}@{rest.host} left it so at "
            f"{format_time(rest.since)}, and nothing else acts on the cluster until it is answered",
            next_step="one of: " + "; ".join(rest.answers),
        )
    ids = {run.id for run in runs.values()}
    yield from (ok(_describe(held, snapshot.taken_at)) for held in keys.locks if held.run not in ids)
    if not runs and rest is None and not keys.locks and not unreadable:
        yield ok("no run is under way, none is unfinished")


def _judge(now: datetime, lock: str, run: RunRecord, keys: DcsKeys) -> Finding:
    age_s = (now - run.since).total_seconds()
    numbers: dict[str, Any] = {"step_number": run.step_number, "steps_count": run.steps, "age_s": round(age_s, 1)}
    doing = f"the way back of {run.procedure}" if run.back else run.procedure
    at = f"step {run.step_number} of {run.steps}" + (f" ({run.step})" if run.step else "")
    began = f"since {format_time(run.since)} ({format_duration(age_s)})"
    held = next((held for held in keys.locks if held.run == run.id), None)
    if held is not None:
        return ok(f"{doing} runs: {held.by}@{held.host}, {at}, {began}; run {run.id}", "", **numbers)
    whose = f"{doing} of {run.by}@{run.host}, {began}"
    unreadable = [name for name in keys.unread_records if name.startswith("lock/")]
    if unreadable:
        text = f"whether anybody works on {whose}, at {at}, is not known: {unreadable[0]} cannot be read"
        return unknown(text, next_step=f"pgops runs show {run.id}", **numbers)
    if run.state == "stopped":
        ended = f"stopped at {at}" + (f": {run.why}" if run.why else "")
    else:
        ended = f"broke off at {at}: process {run.pid} on {run.host} died or lost its lock"
    abort = f"pgops runs abort {run.id}"
    step = abort if run.back else f"pgops runs continue {run.id} (or take it back: {abort})"
    bars = "nothing else acts on the cluster" if lock == TOPOLOGY else f"no other {lock} is made"
    text = f"{whose}, {ended}; {bars} until it is settled"
    return warning(text, next_step=step, **numbers)


def _describe(lock: LockRecord, now: datetime) -> str:
    held_s = (now - lock.since).total_seconds()
    run = f", run {lock.run}" if lock.run else ""
    holder = f"{lock.by}@{lock.host}, process {lock.pid}"
    return (
        f"lock {lock.name}: {holder}, for {lock.what}{run}, since {format_time(lock.since)} ({format_duration(held_s)})"
    )


CHECKS = (Check("runs", "no run of pgops was left unfinished", frozenset({View.DCS}), find_runs),)
