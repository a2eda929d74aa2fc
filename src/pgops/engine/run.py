"""Runs a plan: each step is observed, derived again and compared before anything is done, journalled, and proved after."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from pgops.dcs import DcsFault
from pgops.engine.evidence import fill_seen
from pgops.engine.lock import Lock, LockLost
from pgops.engine.log import RunLog
from pgops.engine.outcome import Listener, Outcome
from pgops.engine.stopping import StopWish
from pgops.engine.world import ActionFault, World
from pgops.errors import ExitCode, PgopsError
from pgops.observe.snapshot import Snapshot
from pgops.plan import documents
from pgops.plan.actions import Action, Again, render_action, shorten_action
from pgops.plan.plan import Plan, PlannedStep, derive_step
from pgops.plan.premises import describe_drift, is_blind, is_remainder, read_premises
from pgops.plan.step import FirstOf, Part, Procedure, Standing, Step, Verdict

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 5.0
_SECOND_LOOK_S = 2.0
"""How long the effect of a tool that answered with a fault may take to show all the same."""


@dataclass(frozen=True)
class Progress:
    """How far an earlier process came: it had begun action `action` of the `step`th planned step (both from 0)."""

    step: int
    action: int


@dataclass(frozen=True)
class _Failure:
    """Why a step did not reach its goal. `settled`: nothing is left to go on with, whatever the procedure says."""

    sentence: str
    code: ExitCode
    why: str | None = None
    next_step: str | None = None
    settled: bool = False

    @classmethod
    def of(cls, step: Step, verdict: Verdict) -> _Failure:
        """Of a step that is blocked."""
        if verdict.failed:
            return cls(verdict.reason, ExitCode.FAILED, next_step=verdict.next_step, settled=True)
        sentence, code = f"step {step.id} must not be done", ExitCode.PLAN_STALE
        if verdict.unread:
            sentence, code = f"whether step {step.id} may be done cannot be told", ExitCode.UNREACHABLE
        return cls(sentence, code, verdict.reason, verdict.next_step)


class Ended(Exception):
    """The run ends here with this outcome."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.sentence)
        self.outcome = outcome


class Run:
    """One pass over a plan's steps. `earlier` says how far a process that died had come."""

    def __init__(
        self,
        procedure: Procedure,
        plan: Plan,
        parts: Sequence[Part],
        world: World,
        lock: Lock | None,
        log: RunLog,
        listener: Listener,
        wish: StopWish,
        earlier: Progress | None = None,
        *,
        back: bool = False,
    ) -> None:
        self._procedure = procedure
        self._plan = plan
        self._parts = parts
        self._world = world
        self._lock = lock
        self._log = log
        self._listener = listener
        self._wish = wish
        self._earlier = earlier
        self._back = back
        self._moved: frozenset[str] = frozenset()
        self._unproven: list[Verdict] = []
        self._effects = 0
        self._maybe = earlier is not None
        """Whether something was done, or may have been."""

    def go(self) -> Outcome:
        """Run to the end, or to where it must stop. Raises nothing but what a bug raises."""
        try:
            try:
                self._run_parts()
            except LockLost as lost:
                self._stop(lost.what, ExitCode.LOCKED, why=lost.why)
            except DcsFault as fault:
                self._stop("the DCS gave no answer", ExitCode.UNREACHABLE, why=str(fault))
            except PgopsError as error:
                self._stop(str(error), error.exit_code, next_step=error.next_step)
            except KeyboardInterrupt:
                self._stop("a second signal ended pgops at once", ExitCode.INTERRUPTED)
            return self._finish()
        except Ended as ended:
            return ended.outcome

    def _run_parts(self) -> None:
        at = 0
        for part in self._parts:
            options = part.options if isinstance(part, FirstOf) else (part,)
            planned = self._plan.steps[at : at + len(options)]
            self._run_branch(options, planned, at)
            at += len(options)

    def _run_branch(self, options: Sequence[Step], planned: Sequence[PlannedStep], at: int) -> None:
        """The first option that is not blocked and reaches its goal; a plain step is a branch of one."""
        earlier = self._earlier
        if earlier is not None and at + len(options) <= earlier.step:
            for step, item in zip(options, planned, strict=True):
                self._moved |= step.moves if item.actions else frozenset()
            return
        for offset, (step, item) in enumerate(zip(options, planned, strict=True)):
            number = at + offset
            if earlier is not None and number < earlier.step:
                self._moved |= step.moves if item.actions else frozenset()
                continue  # an option that was tried before the process died, and did not reach its goal
            begun = earlier.action if earlier is not None and number == earlier.step else None
            if begun is not None:
                self._moved |= step.moves  # what was cut off may have happened
            failure = self._run_step(step, item, number, begun)
            if failure is None:
                return
            if offset == len(options) - 1:
                self._fail(failure)
            self._log.note("skipped", step=step.id, reason=failure.sentence)
            self._tell(number, item, "skipped", failure.why or failure.sentence)

    def _run_step(self, step: Step, planned: PlannedStep, number: int, begun: int | None) -> _Failure | None:
        """None when the step's goal is reached; else why not."""
        now = self._look(step)
        derived = derive_step(step, planned.option_of, self._plan.first, now)
        verdict = derived.verdict
        if verdict.standing is Standing.BLOCKED:
            return _Failure.of(step, verdict)
        if verdict.passed and (begun is not None or step.may_settle):
            self._moved |= step.moves if planned.actions else frozenset()
            self._log.note("settled", step=step.id, reason=verdict.reason)
        else:
            chosen = self._compare(step, planned, derived.actions, begun)
            if chosen:
                self._moved |= step.moves
            for at, action in zip(chosen, derived.actions, strict=True):
                self._refuse_second(step, action, again=begun == at)
                failure = self._perform(step, planned, action, number, at, now)
                if failure is not None:
                    return failure
        if not verdict.passed:
            verdict = self._await(step, planned, number, step.timeout_s)
        if verdict.standing is Standing.BLOCKED:
            if verdict.failed or verdict.unread:
                return _Failure.of(step, verdict)
            return _Failure(f"step {step.id} failed", ExitCode.FAILED, verdict.reason, verdict.next_step)
        if not verdict.passed:
            sentence = f"step {step.id} did not reach its goal within {step.timeout_s:g} s"
            return _Failure(sentence, ExitCode.FAILED, verdict.reason)
        shown = "unproven" if verdict.standing is Standing.UNPROVEN else "done"
        if shown == "unproven":
            self._unproven.append(verdict)
        self._log.note("done", step=step.id, reason=verdict.reason)
        self._tell(number, planned, shown, verdict.reason)
        return None

    def _refuse_second(self, step: Step, action: Action, *, again: bool) -> None:
        if again and action.again is Again.NEVER:
            self._stop(
                f"step {step.id}: whether it happened cannot be told: {render_action(action)}",
                ExitCode.OUTCOME_UNKNOWN,
                why="it was begun when an earlier process was cut off, and must not be done twice",
            )

    def _perform(
        self, step: Step, planned: PlannedStep, action: Action, number: int, at: int, now: Snapshot
    ) -> _Failure | None:
        """Write down that it begins, perform it. A tool that fails after its effect is believed less than a look."""
        assert self._lock is not None  # noqa: S101 - a plan with actions is run under a lock
        self._heed_wish()
        self._tell(number, planned, "acting", render_action(shorten_action(action)))
        tied = self._log.begin_action(self._lock, step.id, number, at, action)
        untouched = not self._maybe
        self._maybe = True
        try:
            self._world.perform(fill_seen(action, self._plan.first), self._lock, now, tied)
        except LockLost:
            self._maybe = not untouched
            raise
        except ActionFault as fault:
            sure = fault.happened is False
            seen = self._await(
                step, planned, number, min(step.timeout_s, _SECOND_LOOK_S) if fault.answered else step.timeout_s
            )
            if not seen.passed:
                self._log.note("failed", step=step.id, action=at, said=str(fault))
                self._maybe = not (sure and untouched)
                why = f"looking afterwards: {seen.reason}"
                if sure:
                    return _Failure(f"step {step.id} failed: {fault}", ExitCode.FAILED, why)
                code = ExitCode.OUTCOME_UNKNOWN if action.again is Again.NEVER else ExitCode.FAILED
                self._stop(f"step {step.id} failed: {fault}", code, why=why)
            self._log.note("contradicted", step=step.id, action=at, said=str(fault), seen=seen.reason)
        self._effects += 1
        self._log.note("performed", step=step.id, action=at)
        return None

    def _compare(self, step: Step, planned: PlannedStep, derived: Sequence[Action], begun: int | None) -> list[int]:
        """Which planned actions the derived ones are, by number. They must be all; after a cut, those that are left."""
        if begun is None and planned.actions == derived:
            return list(range(len(derived)))
        plan = [documents.to_document(action) for action in planned.actions]
        seen = [documents.to_document(action) for action in derived]
        if begun is None:
            if len(plan) != len(seen) or not all(map(documents.matches, plan, seen)):
                self._drift(step, planned, derived)
            return list(range(len(plan)))
        chosen: list[int] = []
        at = 0
        for document, action in zip(seen, derived, strict=True):
            while at < len(plan) and not documents.matches(plan[at], document):
                at += 1
            if at == len(plan) or (at < begun and action.again is not Again.SAFE):
                self._drift(step, planned, derived)
            chosen.append(at)
            at += 1
        return chosen

    def _drift(self, step: Step, planned: PlannedStep, derived: Sequence[Action]) -> NoReturn:
        wanted = "; ".join(map(render_action, planned.actions)) or "nothing"
        now = "; ".join(map(render_action, derived)) or "nothing"
        self._stop(
            f"the plan no longer fits the cluster: step {step.id} would do something else now",
            ExitCode.PLAN_STALE,
            why=f"planned: {wanted}\nnow: {now}",
        )

    def _look(self, step: Step) -> Snapshot:
        """Observe for a step, and compare the premises."""
        self._heed_wish()
        now = self._world.observe(step.views, step.hosts)
        seen = read_premises(self._plan.premises, now)
        if is_blind(self._plan.premises, seen, self._moved):
            reason = getattr(now.keys, "reason", "it cannot be read")
            self._stop("the DCS gave no answer, so the plan cannot be compared", ExitCode.UNREACHABLE, why=reason)
        moved = self._moved
        if self._earlier is not None and is_remainder(self._plan.premises, seen):
            moved |= {"members"}  # the key of a member that died since expired: that must not bar the way on
        drift = describe_drift(self._plan.premises, seen, moved)
        if drift:
            self._stop("the plan no longer fits the cluster", ExitCode.PLAN_STALE, why=drift)
        return now

    def _await(self, step: Step, planned: PlannedStep, number: int, limit_s: float) -> Verdict:
        """Look until the step's goal is reached or blocked, at most for `limit_s` seconds; the last verdict."""
        clock = self._world.clock
        begun = clock.now_s()
        deadline = begun + limit_s
        pause_s = _FIRST_PAUSE_S
        while True:
            now = self._world.observe(step.views, step.hosts)
            verdict = step.check(self._plan.first, now)
            left_s = deadline - clock.now_s()
            if verdict.standing is not Standing.NEEDED or left_s <= 0:
                return verdict
            self._tell(number, planned, "waiting", verdict.reason, verdict.progress)
            self._heed_wish()
            clock.sleep(min(pause_s, left_s), self._wish)
            pause_s = _choose_pause(clock.now_s() - begun)

    def _heed_wish(self) -> None:
        if self._wish.name:
            self._stop(f"stopped by {self._wish.name}", ExitCode.INTERRUPTED)

    def _tell(self, number: int, planned: PlannedStep, state: str, detail: str, progress: float | None = None) -> None:
        self._listener.step(number + 1, len(self._plan.steps), planned, state, detail, progress)

    def _finish(self) -> Outcome:
        """All steps are done: say so in the journal, forget the record, free the lock."""
        run_id = self._log.run_id if self._log.is_open else None
        if self._unproven:
            sentence, code = f"done as far as can be seen: {self._plan.goal}", ExitCode.OUTCOME_UNKNOWN
        else:
            sentence, code = f"done: {self._plan.goal}", ExitCode.DONE
        told = tuple(verdict.reason for verdict in self._unproven)
        next_step = next((verdict.next_step for verdict in self._unproven if verdict.next_step), None)
        if self._procedure.afterwards is not None and self._maybe and not self._unproven and not self._back:
            next_step = self._procedure.afterwards(self._plan.params, self._plan.pinned, self._plan.first)
        outcome = Outcome(code, sentence, self._effects, run_id, next_step=next_step, unproven=told)
        rest = (
            self._procedure.rest(self._plan.params, self._plan.first)
            if self._procedure.rest and not self._back
            else None
        )
        answered = bool(self._procedure.answers) and not self._back
        note = self._log.end(self._lock, outcome, rest, answered=answered)
        if rest is not None and self._lock is not None:
            outcome = replace(outcome, rest=rest)
        return replace(outcome, why=note) if note else outcome

    def _fail(self, failure: _Failure) -> NoReturn:
        """A step did not reach its goal, and there is no other way."""
        settles = self._procedure.settles or failure.settled
        if not (settles and self._maybe) or self._back or failure.code is ExitCode.UNREACHABLE:
            self._stop(failure.sentence, failure.code, why=failure.why, next_step=failure.next_step)
        outcome = Outcome(
            ExitCode.FAILED, failure.sentence, self._effects, self._log.run_id, failure.why, failure.next_step
        )
        note = self._log.end(self._lock, outcome)
        raise Ended(replace(outcome, why="\n".join(text for text in (failure.why, note) if text)))

    def _stop(self, sentence: str, code: ExitCode, *, why: str | None = None, next_step: str | None = None) -> NoReturn:
        """Stop here: with nothing done the run is forgotten, else its record stays and blocks until it is gone on with."""
        if not self._maybe:
            outcome = Outcome(code, f"{sentence}; nothing was done", 0, None, why, next_step)
            note = self._log.end(self._lock, outcome)
            raise Ended(replace(outcome, why="\n".join(text for text in (why, note) if text)) if note else outcome)
        run_id = self._log.run_id
        unknown = code is ExitCode.OUTCOME_UNKNOWN
        on = f"pgops runs continue {run_id}, or pgops runs abort {run_id}"
        outcome = Outcome(
            code if unknown else ExitCode.STOPPED_MIDWAY,
            sentence,
            self._effects,
            run_id,
            why,
            f"{next_step}; then {on}" if next_step else on,
        )
        with contextlib.suppress(DcsFault, PgopsError):
            self._log.stop(self._lock, outcome)
        raise Ended(outcome)


def _choose_pause(waited_s: float) -> float:
    """Between two looks: what is soon done is soon seen, and work of hours is not looked at all the time."""
    quick_s = min(waited_s / 20, 1.0)
    return max(_FIRST_PAUSE_S, min(max(quick_s, waited_s / 120), _LONGEST_PAUSE_S))
