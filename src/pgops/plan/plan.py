"""The plan: what folding a procedure's steps over a snapshot gives. It is the value that is shown, compared and run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pgops.observe.snapshot import Snapshot
from pgops.plan import documents
from pgops.plan.actions import Action, render_action
from pgops.plan.premises import read_premises
from pgops.plan.step import SYMBOLIC, FirstOf, Params, Part, Pinned, Procedure, Risk, Standing, Step, Verdict

NOT_REACHED = "an earlier step is blocked"


@dataclass(frozen=True)
class PlannedStep:
    """A step as the plan has it. `option_of` names the branch that this step is an option of."""

    id: str
    why: str
    verdict: Verdict
    actions: tuple[Action, ...]
    risk: Risk
    timeout_s: float
    usually: str | None = None
    interrupts: str | None = None
    option_of: str | None = None

    def document(self) -> dict[str, Any]:
        """As JSON: all that the digest covers. The reason is left out: it may tell ages, which move by themselves."""
        return {
            "id": self.id,
            "why": self.why,
            "option_of": self.option_of,
            "verdict": self.verdict.standing.value,
            "actions": [documents.to_document(action) for action in self.actions],
            "risk": self.risk.value,
            "timeout_s": self.timeout_s,
            "interrupts": self.interrupts,
        }


@dataclass(frozen=True)
class Plan:
    """What a procedure would do to this cluster as it was seen."""

    procedure: str
    cluster: str
    prefix: str
    goal: str
    params: Params
    pinned: Pinned
    steps: tuple[PlannedStep, ...]
    premises: Mapping[str, str]
    digest: str
    first: Snapshot

    @property
    def risk(self) -> Risk:
        """The worst of the steps that have something to do."""
        return max((step.risk for step in self.steps if step.actions), key=lambda risk: risk.rank, default=Risk.READ)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to perform; there may still be something to wait for."""
        return not any(step.actions for step in self.steps)

    @property
    def blocked(self) -> PlannedStep | None:
        """The first step that must not be done, or None. An option of a branch blocks only where no other one is left."""
        open_branches = {
            step.option_of for step in self.steps if step.option_of and step.verdict.standing is not Standing.BLOCKED
        }
        for step in self.steps:
            if step.verdict.standing is Standing.BLOCKED and step.option_of not in (open_branches or {""}):
                return step
        return None

    @property
    def unproven(self) -> tuple[PlannedStep, ...]:
        """The steps that are done only as far as can be seen."""
        return tuple(step for step in self.steps if step.verdict.standing is Standing.UNPROVEN)


def derive_plan(
    procedure: Procedure, params: Params, pinned: Pinned, first: Snapshot, *, back_from: Snapshot | None = None
) -> Plan:
    """Fold the procedure's steps over what was seen. Pure.

    `back_from` is what was seen when a run began that is now to be undone: then the steps are those of its way back.
    """
    cluster = first.cluster
    steps = _fold(parts_of(procedure, params, pinned, first, back_from=back_from), first)
    symbolic = _fold(parts_of(procedure, params, SYMBOLIC, first, back_from=back_from), first)
    premises = read_premises((*procedure.premises, "rest"), first)
    goal = procedure.goal(params, cluster.name)
    if back_from is not None:
        goal = f"undo: {goal}"
    digest = documents.digest(
        {
            "schema": documents.SCHEMA,
            "procedure": procedure.name,
            "cluster": cluster.name,
            "prefix": cluster.prefix,
            "goal": goal,
            "params": dict(params),
            "premises": premises,
            "steps": [step.document() for step in symbolic],
        }
    )
    return Plan(procedure.name, cluster.name, cluster.prefix, goal, params, pinned, steps, premises, digest, first)


def parts_of(
    procedure: Procedure, params: Params, pinned: Pinned, first: Snapshot, *, back_from: Snapshot | None = None
) -> tuple[Part, ...]:
    """The procedure's steps, or those of the way back from a run that began at `back_from`."""
    if back_from is None:
        return procedure.steps(params, pinned, first)
    return procedure.way_back(params, pinned, back_from) if procedure.way_back else ()


def flatten(parts: Sequence[Part]) -> tuple[Step, ...]:
    """Every step in order, the options of a branch one after the other."""
    return tuple(step for part in parts for step in (part.options if isinstance(part, FirstOf) else (part,)))


def derive_step(step: Step, option_of: str | None, first: Snapshot, now: Snapshot) -> PlannedStep:
    """One step as it stands now."""
    verdict = step.check(first, now)
    actions = step.actions(first, now) if verdict.standing is Standing.NEEDED else ()
    return PlannedStep(
        step.id, step.why, verdict, actions, step.risk, step.timeout_s, step.usually, step.interrupts, option_of
    )


def _fold(parts: Sequence[Part], first: Snapshot) -> tuple[PlannedStep, ...]:
    """Each step judged on what the earlier ones are predicted to leave; after a blocked one nothing is reached."""
    ids = [step.id for step in flatten(parts)]
    if len(set(ids)) < len(ids):
        raise ValueError(f"two steps have one id: {', '.join(sorted(ids))}")
    now = first
    stopped = False
    planned: list[PlannedStep] = []
    for part in parts:
        options = part.options if isinstance(part, FirstOf) else (part,)
        branch = part.id if isinstance(part, FirstOf) else None
        if stopped:
            unreached = Verdict(Standing.BLOCKED, NOT_REACHED)
            planned += [
                PlannedStep(step.id, step.why, unreached, (), step.risk, step.timeout_s, option_of=branch)
                for step in options
            ]
            continue
        judged = [derive_step(step, branch, first, now) for step in options]
        planned += judged
        chosen = next((at for at, item in enumerate(judged) if item.verdict.standing is not Standing.BLOCKED), None)
        stopped = chosen is None
        if chosen is not None and judged[chosen].verdict.standing is Standing.NEEDED:
            now = options[chosen].expect(now)
    return tuple(planned)


def plan_document(plan: Plan) -> dict[str, Any]:
    """A plan as `--plan-out` saves it and `-f json` prints it."""
    document = {
        "schema": documents.SCHEMA,
        "kind": "pgops-plan",
        "procedure": plan.procedure,
        "cluster": plan.cluster,
        "prefix": plan.prefix,
        "goal": plan.goal,
        "params": dict(plan.params),
        "premises": dict(plan.premises),
        "risk": plan.risk.value,
        "empty": plan.is_empty,
        "made_at": plan.pinned.moment.isoformat(),
        "made_by": plan.pinned.by,
        "steps": [
            {
                **step.document(),
                "reason": step.verdict.reason,
                "next": step.verdict.next_step,
                "usually": step.usually,
                "does": [render_action(action) for action in step.actions],
            }
            for step in plan.steps
        ],
        "digest": plan.digest,
    }
    return {**document, "seal": seal_plan(document)}


def seal_plan(document: Mapping[str, Any]) -> str:
    """The digest of all that a plan's document says, its own seal apart: it shows that the text is as it was made."""
    return documents.digest({name: value for name, value in document.items() if name != "seal"})
