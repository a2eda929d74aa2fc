"""A plan for people: for each step why, how it stands, and literally what would be done."""

from __future__ import annotations

from pgops.plan.actions import render_action, shorten_action
from pgops.plan.plan import Plan, PlannedStep
from pgops.plan.step import Standing
from pgops.readings import known
from pgops.render.text import printable
from pgops.render.units import format_time

_SIGN = {Standing.SATISFIED: "ok", Standing.NEEDED: "do", Standing.BLOCKED: "NO", Standing.UNPROVEN: "??"}


def render_plan(plan: Plan) -> str:
    """Many lines, with a newline at the end."""
    lines = [f"plan: {plan.goal}"]
    branch = None
    for number, step in enumerate(plan.steps, 1):
        if step.option_of and step.option_of != branch:
            lines.append(f"  the first of these that works ({step.option_of}):")
        branch = step.option_of
        lines += _render_step(number, step)
    premises = ", ".join(f"{name.removeprefix('key:')} {value or 'none'}" for name, value in plan.premises.items())
    lines.append(f"  only while: {premises}")
    lines += [f"  note: {text}" for text in notes(plan)]
    if plan.blocked is not None:
        lines.append("  this would be refused: a step must not be done")
    elif plan.is_empty:
        lines.append("  nothing to do")
    else:
        lines.append(f"  risk: {plan.risk.value}; plan {plan.digest[:12]}")
    return "".join(f"{printable(line)}\n" for line in lines)


def notes(plan: Plan) -> list[str]:
    """What the operator should know beside the plan: locks that are held now, a run that is unfinished."""
    keys = known(plan.first.keys)
    if keys is None:
        return []
    told = [
        f"{lock.name} is locked now by {lock.by} on {lock.host} ({lock.what}) since {format_time(lock.since)}"
        for lock in keys.locks
    ]
    if keys.rest_record is not None:
        told.append(f"{keys.rest_record.procedure} rests at {keys.rest_record.state}: {keys.rest_record.text}")
    if keys.run_record is not None and not any(lock.name == "topology" for lock in keys.locks):
        told.append(f"the unfinished run {keys.run_record.id} blocks this: pgops runs show {keys.run_record.id}")
    for lock, run in keys.side_runs.items():
        if not any(held.name == lock for held in keys.locks):
            told.append(f"an unfinished {lock} run {run.id}: pgops runs show {run.id}")
    return told


def _render_step(number: int, step: PlannedStep) -> list[str]:
    about = ", ".join(
        part for part in (step.risk.value if step.actions else "", step.usually if step.actions else "") if part
    )
    lines = [
        f"  {number}. [{_SIGN[step.verdict.standing]}] {step.id}: {step.verdict.reason}{f'  ({about})' if about else ''}"
    ]
    lines.append(f"       why: {step.why}")
    lines += [f"       does: {render_action(shorten_action(action))}" for action in step.actions]
    if step.actions and step.interrupts:
        lines.append(f"       then: {step.interrupts}")
    if step.verdict.standing is Standing.NEEDED and not step.actions:
        lines.append(f"       waits for it, at most {step.timeout_s:g} s")
    if step.verdict.next_step:
        lines.append(f"       next: {step.verdict.next_step}")
    return lines
