"""Steps and procedures: pure functions from what was first seen and what is seen now to verdicts and actions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum

from pgops.observe.snapshot import Snapshot, View
from pgops.plan.actions import Action

Scalar = str | int | float | bool | None
Params = Mapping[str, Scalar]
"""A procedure's parameters: plain values, which stand in plans, journals and records."""


class Standing(str, Enum):
    """How a step stands. UNPROVEN: done as far as can be seen, and what cannot be seen is named; it ends in exit 8."""

    SATISFIED = "satisfied"
    NEEDED = "needed"
    BLOCKED = "blocked"
    UNPROVEN = "unproven"


@dataclass(frozen=True)
class Verdict:
    """What a step's check says, always with a reason a person can read; `next_step` is the command to run when blocked.

    `unread`: blocked for want of something that could not be read. `failed`: what was done shows that the goal is not to be
    had. `progress`: how much of what is awaited is done, 0 to 1.
    """

    standing: Standing
    reason: str
    next_step: str | None = None
    unread: bool = False
    failed: bool = False
    progress: float | None = None

    @property
    def passed(self) -> bool:
        """Whether a later step may build on it."""
        return self.standing in (Standing.SATISFIED, Standing.UNPROVEN)


def satisfied(reason: str) -> Verdict:
    """The step's goal is reached."""
    return Verdict(Standing.SATISFIED, reason)


def needed(reason: str, progress: float | None = None) -> Verdict:
    """There is something to do, or to wait for."""
    return Verdict(Standing.NEEDED, reason, progress=progress)


def blocked(reason: str, next_step: str | None = None) -> Verdict:
    """It must not be done as things are."""
    return Verdict(Standing.BLOCKED, reason, next_step)


def unread(reason: str, next_step: str | None = None) -> Verdict:
    """Whether it may be done cannot be told, since something could not be read: the command ends as unreachable."""
    return Verdict(Standing.BLOCKED, reason, next_step, unread=True)


def failed(reason: str, next_step: str | None = None) -> Verdict:
    """All was done, and the goal is not to be had: the run ends with this reason as its sentence, and nothing blocks."""
    return Verdict(Standing.BLOCKED, reason, next_step, failed=True)


def unproven(reason: str, next_step: str | None = None) -> Verdict:
    """Reached wherever one can look; `reason` names where one cannot."""
    return Verdict(Standing.UNPROVEN, reason, next_step)


class Risk(str, Enum):
    """What a step may do to others: `interrupt` is noticed by clients, after `destroy` data is gone."""

    READ = "read"
    CHANGE = "change"
    INTERRUPT = "interrupt"
    DESTROY = "destroy"

    @property
    def rank(self) -> int:
        """Higher is worse."""
        return list(Risk).index(self)


@dataclass(frozen=True)
class Pinned:
    """What a run fixes at its start and every derivation repeats: the moment, the run's id, who runs it and from where."""

    moment: datetime
    run_id: str
    by: str
    host: str


SYMBOLIC = Pinned(datetime(2000, 1, 1, tzinfo=timezone.utc), "RUN", "OPERATOR", "HERE")
"""Stands for the pinned values in a plan's digest, which must not change with the clock."""

Check = Callable[[Snapshot, Snapshot], Verdict]
Derive = Callable[[Snapshot, Snapshot], tuple[Action, ...]]


def no_actions(_first: Snapshot, _now: Snapshot) -> tuple[Action, ...]:
    """Of a step that only looks, or waits."""
    return ()


def unchanged(now: Snapshot) -> Snapshot:
    """The prediction of a step that changes nothing which later steps read."""
    return now


@dataclass(frozen=True)
class Step:
    """One step. `check` and `actions` get (first, now): the evidence of when the plan was made, and what is seen.

    `expect` predicts the snapshot after it, as far as later steps read it. `views` and `hosts` are all that is read for
    it (hosts None: every one). `moves` names premises that its own actions move. `timeout_s` bounds the wait for its
    check after its actions; `usually` and `interrupts` are told in the plan. Without actions a needed step waits.
    `may_settle`: its goal may come about without us between plan and run (a process that dies, a manager that gives up);
    then nothing is done, and that is no drift.
    """

    id: str
    why: str
    check: Check
    views: frozenset[View]
    actions: Derive = no_actions
    expect: Callable[[Snapshot], Snapshot] = unchanged
    hosts: frozenset[str] | None = None
    risk: Risk = Risk.READ
    timeout_s: float = 30.0
    moves: frozenset[str] = frozenset()
    usually: str | None = None
    interrupts: str | None = None
    may_settle: bool = False


@dataclass(frozen=True)
class FirstOf:
    """A branch that only the run can decide: the first option that is not blocked and does what it should.

    All options are shown in the plan, and the worst risk of them counts.
    """

    id: str
    why: str
    options: tuple[Step, ...]


Part = Step | FirstOf


@dataclass(frozen=True)
class Rest:
    """A state in which a procedure ends because a person must decide how it goes on; safe to leave.

    `state` is the name by which a procedure answers it (`Procedure.answers`), `text` how things stand, and `answers` the
    commands to choose from. It is recorded in the DCS and shown by health; no other procedure acts until it is answered.
    """

    state: str
    text: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Procedure:
    """One runbook procedure. Everything in it is pure.

    `goal` is a clause ("pause the cluster demo"). `steps` and `way_back` get (params, pinned, first). `way_back` derives
    the steps that undo a run which was stopped midway, None: there is none. `premises` names what must not move between
    plan and run: of `leader`, `timeline`, `system_identifier`, `members`, and `key:NAME` for a key of Patroni's.
    `views` is what the first look reads. `hosts` (params) restricts it, None: every host. `rest` (params,
    first) is where it comes to rest when all its steps are done; `answers` names the states of rest that it answers, and
    it alone may act in one of them. `lock` is one of `pgops.observe.records.LOCKS`: runs under different ones do not bar
    each other. `settles`: where a step fails, what was done needs neither going on nor a way back, so its record goes
    and nothing stays blocked; a run that was killed leaves its record all the same. `afterwards` (params, pinned, first) is
    what a person should do next, once a run did something and all went well; None: nothing.
    """

    name: str
    goal: Callable[[Params, str], str]
    views: frozenset[View]
    steps: Callable[[Params, Pinned, Snapshot], tuple[Part, ...]]
    way_back: Callable[[Params, Pinned, Snapshot], tuple[Part, ...]] | None = None
    premises: tuple[str, ...] = ("leader", "timeline", "system_identifier", "members", "key:config")
    hosts: Callable[[Params], frozenset[str] | None] | None = None
    lock: str = "topology"
    rest: Callable[[Params, Snapshot], Rest] | None = None
    answers: frozenset[str] = frozenset()
    settles: bool = False
    afterwards: Callable[[Params, Pinned, Snapshot], str | None] | None = None
