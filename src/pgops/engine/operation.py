"""What the command line asks of the engine: make a plan, run it, continue a run, abort one."""

from __future__ import annotations

import os
import time
from dataclasses import replace

from pgops.clients.json_text import parse_json
from pgops.dcs import DcsFault, DcsKey
from pgops.engine.lock import LEASE_S, Lock, Locked, RecordKeys, held_by, unfinished
from pgops.engine.log import RunLog
from pgops.engine.operator import pin
from pgops.engine.outcome import Listener, Outcome, Silent
from pgops.engine.record import RecordFault, Unfinished, find_run_keys, load_unfinished, read_run
from pgops.engine.run import Progress, Run
from pgops.engine.stopping import StopWish
from pgops.engine.world import Eyes, World
from pgops.errors import ExitCode, PgopsError, Refused, Unreachable
from pgops.observe.fields import ShapeFault
from pgops.observe.record_facts import LockRecord
from pgops.observe.records import parse_lock, run_name, run_value
from pgops.plan.plan import Plan, derive_plan, flatten, parts_of
from pgops.plan.step import Params, Pinned, Procedure
from pgops.readings import Known, known

_SETTLING_S = 5.0
"""What a lease may live longer than its time: the DCS looks for ended leases twice a second, later under load."""


def make_plan(procedure: Procedure, params: Params, world: Eyes, pinned: Pinned | None = None) -> Plan:
    """Look at the cluster and derive the plan; reads only. Raises `Unreachable` when the DCS gave no answer."""
    first = world.observe(procedure.views, procedure.hosts(params) if procedure.hosts else None)
    if not isinstance(first.keys, Known):
        reason = getattr(first.keys, "reason", "")
        raise Unreachable(
            "the DCS gave no answer, so no plan can be made",
            where=", ".join(world.cluster.dcs.endpoints),
            why=reason,
            next_step="pgops health",
        )
    return derive_plan(procedure, params, pinned or pin(), first)


def refuse_blocked(plan: Plan) -> None:
    """Raise `Refused` when a step of the plan must not be done, `Unreachable` when that cannot be told."""
    step = plan.blocked
    if step is not None:
        kind, what = (Unreachable, "cannot") if step.verdict.unread else (Refused, "refused to")
        raise kind(
            f"{what} {plan.goal}",
            where=f"step {step.id}",
            why=step.verdict.reason,
            next_step=step.verdict.next_step,
        )


def refuse_unfinished(procedure: Procedure, plan: Plan) -> None:
    """Raise `Locked` when an unfinished run, or one under way, bars this one, as it was seen for the plan."""
    keys = known(plan.first.keys)
    name = run_name(procedure.lock)
    record = keys.run_under(procedure.lock) if keys else None
    if keys is None or plan.is_empty or (record is None and name not in keys.unread_records):
        return
    if any(lock.name == procedure.lock for lock in keys.locks):
        return  # it runs: taking the lock says who
    if record is None:
        raise Locked("an unfinished run blocks this, and its record cannot be read", why=keys.unread_records[name])
    raise unfinished(DcsKey(name, run_value(record), 0))


def refuse_resting(procedure: Procedure, plan: Plan) -> None:
    """Raise `Refused` while the cluster rests where a person must decide, unless this procedure is an answer to that."""
    keys = known(plan.first.keys)
    rest = keys.rest_record if keys else None
    if plan.is_empty or keys is None:
        return
    if "rest" in keys.unread_records:
        raise Refused(
            f"refused to {plan.goal}",
            why=f"a state of rest is recorded that cannot be read: {keys.unread_records['rest']}",
        )
    if rest is not None and rest.state not in procedure.answers:
        raise Refused(
            f"refused to {plan.goal}: {rest.procedure} rests at {rest.state}, and somebody must decide first",
            why=f"{rest.text}; left so by {rest.by} on {rest.host} at {rest.since.isoformat()}",
            next_step="one of: " + "; ".join(rest.answers),
        )
    if rest is None and procedure.answers:
        raise Refused(
            f"refused to {plan.goal}", why=f"the cluster rests at none of: {', '.join(sorted(procedure.answers))}"
        )


def run_plan(
    procedure: Procedure,
    plan: Plan,
    world: World,
    *,
    confirmed: bool,
    listener: Listener | None = None,
    log_file: str | None = None,
) -> Outcome:
    """Run a plan under the lock. Raises `Locked`, `Refused`, `Unreachable`; then nothing was done.

    `confirmed`: a person agreed to this very plan. Else a plan that was overtaken, where its goal is reached now, is done.
    """
    refuse_blocked(plan)
    refuse_unfinished(procedure, plan)
    refuse_resting(procedure, plan)
    listener = listener or Silent()
    parts = parts_of(procedure, plan.params, plan.pinned, plan.first)
    with StopWish() as wish, RunLog(plan, plan.pinned, log_file=log_file) as log:
        lock = None
        if not plan.is_empty:
            lock = _acquire(world, procedure, plan.goal, plan.pinned)
        listener.begin(plan, plan.pinned.run_id)
        outcome = Run(procedure, plan, parts, world, lock, log, listener, wish).go()
    if outcome.code is ExitCode.PLAN_STALE and outcome.run_id is None and not confirmed:
        return _see_whether_reached(procedure, plan, world, listener) or outcome
    return _with_warnings(outcome, log)


def find_unfinished(world: World, run_id: str, *, back: bool) -> Unfinished:
    """The unfinished run of this id. Raises `Refused`, `RecordFault`, `Unreachable`."""
    try:
        found = load_unfinished(world.dcs, world.cluster, run_id)
    except DcsFault as fault:
        raise _unreachable(fault) from None
    if found.record.back and not back:
        raise Refused(
            f"the run {run_id} is being aborted", why="it is on its way back", next_step=f"pgops runs abort {run_id}"
        )
    return found


def plan_rest(procedure: Procedure, found: Unfinished, world: Eyes, *, back: bool) -> Plan:
    """The plan of the run itself or, with `back`, of its way back. Raises `Refused`, `RecordFault`, `Unreachable`."""
    return _derive_back(procedure, found, world) if back else _rederive(procedure, found)


def go_on(
    world: World,
    procedure: Procedure,
    plan: Plan,
    found: Unfinished,
    *,
    back: bool,
    listener: Listener | None = None,
    log_file: str | None = None,
) -> Outcome:
    """Go on with an unfinished run, forward or back. Raises `Refused`, `Locked`, `Unreachable`."""
    refuse_blocked(plan)
    here = pin()
    listener = listener or Silent()
    parts = parts_of(procedure, plan.params, plan.pinned, plan.first, back_from=found.header.first if back else None)
    # The way back is derived from what is seen now: it begins anew, however far it came before.
    earlier = Progress(-1, -1) if back else Progress(max(0, found.record.step_number - 1), found.record.action)
    with StopWish() as wish, RunLog(plan, here, back=back, known=found.record, log_file=log_file) as log:
        lock = _acquire_again(world, found, here, wish, f"{'abort' if back else 'continue'}: {plan.goal}")
        listener.begin(plan, plan.pinned.run_id)
        outcome = Run(procedure, plan, parts, world, lock, log, listener, wish, earlier, back=back).go()
    return _with_warnings(outcome, log)


def _rederive(procedure: Procedure, found: Unfinished) -> Plan:
    """The plan of an unfinished run, from what was pinned. Raises `RecordFault` when it is not the one that was begun."""
    header = found.header
    plan = derive_plan(procedure, header.params, header.pinned, header.first)
    if plan.digest != header.digest:
        raise RecordFault(
            "the plan of this run cannot be derived again as it was",
            why="this pgops, or the plugin of the procedure, is another version than the one that began it",
            next_step=f"continue it with that version, or pgops runs abort {found.record.id}",
        )
    return plan


def _derive_back(procedure: Procedure, found: Unfinished, world: Eyes) -> Plan:
    """The plan of the way back, from what is seen now. Raises `Refused` when the procedure has none."""
    header = found.header
    if procedure.way_back is None:
        raise Refused(
            f"there is no way back from: {header.goal}",
            next_step=f"pgops runs continue {found.record.id}; or pgops runs abort {found.record.id} --forget",
        )
    steps = flatten(parts_of(procedure, header.params, header.pinned, header.first, back_from=header.first))
    views = frozenset().union(*(step.views for step in steps))
    everywhere = any(step.hosts is None for step in steps)
    now = world.observe(views, None if everywhere else frozenset().union(*(step.hosts or () for step in steps)))
    if not isinstance(now.keys, Known):
        raise Unreachable("the DCS gave no answer, so no plan can be made", why=getattr(now.keys, "reason", ""))
    return derive_plan(procedure, header.params, header.pinned, now, back_from=header.first)


def forget_run(world: World, run_id: str, pinned: Pinned) -> None:
    """Remove the record of an unfinished run and do nothing else. Raises `Refused`, `Locked`, `Unreachable`."""
    from pgops.dcs import Delete
    from pgops.engine.record import find_run

    try:
        name, run = find_run(world.dcs, world.cluster, run_id)
        keys = RecordKeys.of(world.cluster.prefix, name, run_id)
        lock = Lock.acquire(world.dcs, keys, _record(pinned, name, "forget", run_id), run_revision=run.revision)
        lock.release((Delete(keys.run), Delete(keys.header)))
    except DcsFault as fault:
        raise _unreachable(fault) from None


def _see_whether_reached(procedure: Procedure, plan: Plan, world: World, listener: Listener) -> Outcome | None:
    """Somebody else was faster: where the goal is reached now, and there is nothing left to do, that is well."""
    again = make_plan(procedure, plan.params, world)
    if again.blocked or not again.is_empty:
        return None
    parts = parts_of(procedure, again.params, again.pinned, again.first)
    with StopWish() as wish:
        return Run(procedure, again, parts, world, None, RunLog(again, again.pinned), listener, wish).go()


def find_holder(world: World, lock: str) -> Locked | None:
    """Who works under this lock now, as a refusal; None: nobody, or a process of this machine that is seen to be dead.

    Raises `Unreachable`.
    """
    key = RecordKeys.of(world.cluster.prefix, lock, "").lock
    try:
        held = world.dcs.read_keys((key,)).get(key)
    except DcsFault as fault:
        raise _unreachable(fault) from None
    holder = _read_lock(held) if held is not None else None
    return None if held is None or (holder is not None and is_dead(holder)) else held_by(held)


def find_run_id(world: World, lock: str) -> str | None:
    """The unfinished run under this lock, under way or left. Raises `Unreachable`, `RecordFault`."""
    try:
        run = find_run_keys(world.dcs, world.cluster).get(lock)
    except DcsFault as fault:
        raise _unreachable(fault) from None
    return None if run is None else read_run(run).id


def _acquire(world: World, procedure: Procedure, what: str, here: Pinned) -> Lock:
    """The lock; that of a process of this machine which is seen to be dead need not be waited for."""
    keys = RecordKeys.of(world.cluster.prefix, procedure.lock, here.run_id)
    record = _record(here, procedure.lock, what, here.run_id)
    try:
        try:
            return Lock.acquire(world.dcs, keys, record)
        except Locked:
            found = world.dcs.read_keys((keys.lock, keys.run))
            held, run = found.get(keys.lock), found.get(keys.run)
            holder = _read_lock(held) if held is not None else None
            if held is None or holder is None or not is_dead(holder):
                raise
            if run is not None:
                raise unfinished(run) from None
            return Lock.acquire(world.dcs, keys, record, dead_token=held.revision)
    except DcsFault as fault:
        raise _unreachable(fault) from None


def _acquire_again(world: World, found: Unfinished, here: Pinned, wish: StopWish, what: str) -> Lock:
    """The lock, once that of the dead process has ended; at once where we can see that it is dead."""
    run_id = found.record.id
    keys = RecordKeys.of(world.cluster.prefix, found.lock, run_id)
    record = _record(here, found.lock, what, run_id)
    deadline = time.monotonic() + LEASE_S + _SETTLING_S
    while True:
        try:
            held = world.dcs.read_keys((keys.lock,)).get(keys.lock)
            holder = _read_lock(held) if held is not None else None
            theirs = holder is not None and holder.run == run_id
            dead = held.revision if held is not None and holder is not None and theirs and is_dead(holder) else 0
            return Lock.acquire(world.dcs, keys, record, run_revision=found.revision, dead_token=dead)
        except DcsFault as fault:
            raise _unreachable(fault) from None
        except Locked:
            if not theirs or dead or time.monotonic() > deadline or wish.name:
                raise
            wish.sleep(0.5)


def is_dead(record: LockRecord) -> bool:
    """Whether the holder was a process of this very machine that is gone: its journal lies here, and no such pid lives."""
    from pgops.engine.state import runs_directory

    if record.host != pin().host or record.run is None or not (runs_directory() / f"{record.run}.jsonl").exists():
        return False
    try:
        os.kill(record.pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False


def _read_lock(held: DcsKey) -> LockRecord | None:
    try:
        return parse_lock(held.key.rpartition("/")[2], parse_json(held.value.encode()))
    except (ShapeFault, ValueError):
        return None


def _record(here: Pinned, lock: str, what: str, run_id: str) -> LockRecord:
    now = pin()
    return LockRecord(lock, run_id, here.by, here.host, os.getpid(), what, now.moment)


def _unreachable(fault: DcsFault) -> PgopsError:
    return Unreachable(
        "the DCS did not give us the lock, so nothing was done",
        why=str(fault),
        next_step="pgops health",
    )


def _with_warnings(outcome: Outcome, log: RunLog) -> Outcome:
    return replace(outcome, warnings=tuple(log.warnings)) if log.warnings else outcome
