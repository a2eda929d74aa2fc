"""What is written of a run before and after each effect: the journal here, the record in the DCS, the audit line."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import cached_property
from types import TracebackType
from typing import Any

from pgops.dcs import DcsFault, Delete, Put
from pgops.engine.audit import log_run
from pgops.engine.journal import Journal, prune_journals
from pgops.engine.lock import Lock, LockLost
from pgops.engine.operator import name_operator
from pgops.engine.outcome import Outcome
from pgops.engine.record import header_document, header_value
from pgops.engine.state import open_runs_directory
from pgops.errors import PgopsError
from pgops.observe.record_facts import RestRecord, RunRecord
from pgops.observe.records import rest_value, run_value
from pgops.plan.actions import Action, ChangeKeys, render_action
from pgops.plan.plan import Plan
from pgops.plan.step import Pinned, Rest

_KEPT = timedelta(days=366)
"""Journals of runs that ended longer ago are removed at the end of a run; `pgops runs prune` removes younger ones."""


class RunLog:
    """The journal and the record of one run; both begin with the first effect, since nothing to do leaves no trace.

    `here` is who works on it now (another operator than the run's own, where it is continued). `known` is its record,
    where it was begun before.
    """

    def __init__(
        self,
        plan: Plan,
        here: Pinned,
        *,
        back: bool = False,
        known: RunRecord | None = None,
        log_file: str | None = None,
    ) -> None:
        self._plan = plan
        self._here = here
        self._log_file = log_file
        self._journal: Journal | None = None
        self._known = known is not None
        self._earlier = known
        self.warnings: list[str] = []
        self.record = RunRecord(
            id=plan.pinned.run_id,
            procedure=plan.procedure,
            goal=plan.goal,
            by=here.by,
            host=here.host,
            pid=os.getpid(),
            since=known.since if known else plan.pinned.moment,
            state="running",
            step="",
            step_number=0,
            steps=len(plan.steps),
            why="",
            digest=plan.digest,
            token=0,
            journal="",
            back=back,
        )
        if known is not None:
            kept = replace(self.record, action=known.action, step=known.step, step_number=known.step_number)
            self.record = self.record if back and not known.back else kept

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._close()

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.record.id

    @cached_property
    def _header(self) -> dict[str, Any]:
        return header_document(self._plan)

    @property
    def is_open(self) -> bool:
        """Whether anything was written of this run."""
        return self._known or self._journal is not None

    def begin_action(self, lock: Lock, step: str, number: int, at: int, action: Action) -> tuple[Put, ...]:
        """Write down that this action begins, here and in the DCS, while the lock is ours.

        For a change of keys the record's own changes are given back, to go in the same transaction. Raises
        `JournalFault`, `LockLost`, `DcsFault`; then the action must not be performed.
        """
        journal = self._open()
        # Nothing of a run stands in the DCS before its journal is seen to take it; and a change of keys is the effect itself.
        ahead = isinstance(action, ChangeKeys) or not journal.flushed
        journal.append("begun", durable=ahead, step=step, number=number, action=at, does=render_action(action))
        self.record = replace(
            self.record,
            step=step,
            step_number=number + 1,
            action=at,
            token=lock.token,
            journal=str(journal.path),
            journal_digest=journal.flushed,
        )
        changes = [Put(lock.keys.run, run_value(self.record))]
        if not self._known:
            changes.append(Put(lock.keys.header, header_value(self._header)))
        if isinstance(action, ChangeKeys):
            self._known = True
            return tuple(changes)
        if ahead:
            lock.transact((), changes)
        else:
            lock.put_during(changes, journal.flush)
        self._known = True
        return ()

    def note(self, what: str, **content: Any) -> None:
        """A line in the journal, where there is one. Raises `JournalFault`."""
        if self._journal is not None:
            self._journal.append(what, **content)

    def end(
        self, lock: Lock | None, outcome: Outcome, rest: Rest | None = None, *, answered: bool = False
    ) -> str | None:
        """The run ended and needs no going on: forget its record and free the lock. What went wrong there, or None.

        `rest` is where it leaves the cluster for a person to decide; `answered` says that it went on from such a state.
        """
        fault = None
        if lock is not None:
            changes: list[Put | Delete] = [Delete(lock.keys.run), Delete(lock.keys.header)] if self.is_open else []
            if rest is not None:
                changes.append(Put(lock.keys.rest, rest_value(self._rest_record(rest))))
            elif answered:
                changes.append(Delete(lock.keys.rest))
            try:
                lock.release(changes)
            except LockLost:
                lock.abandon()
            except (DcsFault, PgopsError) as error:
                lock.abandon()
                fault = f"the run's record could not be removed from the DCS: {error}" if self.is_open else None
        self._conclude("ended", outcome)
        return fault

    def stop(self, lock: Lock | None, outcome: Outcome) -> None:
        """The run stands still midway: its record stays, and says why."""
        why = f"{outcome.sentence}{f': {outcome.why}' if outcome.why else ''}"
        self.record = replace(self.record, state="stopped", why=why[:500])
        if lock is not None:
            try:
                changes = [Put(lock.keys.run, run_value(self.record))]
                if self._earlier is None:  # it went with the first effect, which may not have happened
                    changes.append(Put(lock.keys.header, header_value(self._header)))
                lock.release(changes)
            except (DcsFault, PgopsError):
                lock.abandon()
        self._conclude("stopped", outcome)

    def _rest_record(self, rest: Rest) -> RestRecord:
        now = datetime.now(timezone.utc).replace(microsecond=0)
        here = self._here
        return RestRecord(
            rest.state, rest.text, rest.answers, self._plan.procedure, self.run_id, here.by, here.host, now
        )

    def _open(self) -> Journal:
        if self._journal is None:
            directory = open_runs_directory()
            path = directory / f"{self.run_id}.jsonl"
            exists = path.is_file()
            if exists:
                known = self._earlier
                ours = known is not None and (known.journal, known.host) == (str(path), self._here.host)
                digest = known.journal_digest if known is not None and ours else ""
                self._journal = Journal.reopen(directory, self.run_id, digest)
            else:
                self._journal = Journal.create(directory, self.run_id)
            self._journal.append(
                "run",
                header=self._header,
                plan=[step.document() for step in self._plan.steps],
                by=self._here.by,
                host=self._here.host,
                pid=os.getpid(),
                back=self.record.back,
            )
            self._audit(f"{'continues' if exists else 'begins'} run {self.run_id}: {self._plan.goal}", "begun")
        return self._journal

    def _close(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _conclude(self, what: str, outcome: Outcome) -> None:
        if self._journal is None and self._known:
            with contextlib.suppress(PgopsError):
                self._open()
        if self._journal is None:
            return
        with contextlib.suppress(PgopsError):
            self._journal.append(
                what,
                durable=True,
                code=int(outcome.code),
                sentence=outcome.sentence,
                why=outcome.why,
                effects=outcome.effects,
            )
        with contextlib.suppress(PgopsError, OSError):
            prune_journals(self._journal.path.parent, datetime.now(timezone.utc) - _KEPT)
        self._close()
        self._audit(f"run {self.run_id} {what}, exit {int(outcome.code)}: {outcome.sentence}", what)

    def _audit(self, message: str, state: str) -> None:
        fields = {"run": self.run_id, "procedure": self._plan.procedure, "cluster": self._plan.cluster, "state": state}
        fault = log_run(f"{name_operator()} {message}", fields, self._log_file)
        if fault is not None and fault not in self.warnings:
            self.warnings.append(fault)
