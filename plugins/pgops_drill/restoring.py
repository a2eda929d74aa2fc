"""The procedure `drill-restore`: restore a backup aside, start it privately, prove it, remember the outcome, clear it away.

Every stage is a job that runs whatever became of the one before (after a failed restore the next ones end at once), so that
the plan is the same whichever way it goes; what they found is judged together, remembered, and is the run's own end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from pgops.observe.snapshot import Snapshot, View
from pgops.plan.actions import WriteFile
from pgops.plan.plan import flatten
from pgops.plan.step import (
    FirstOf,
    Params,
    Part,
    Pinned,
    Procedure,
    Step,
    Verdict,
    blocked,
    needed,
    satisfied,
    unread,
)
from pgops.readings import known
from pgops_drill import stages
from pgops_drill.aims import Aim, choose_aim, choose_backup, target_of
from pgops_drill.assertions import split_statements, write_file
from pgops_drill.clearing import forget_jobs, halt, remove_scratch, stop_postgres
from pgops_drill.jobs import Progress, jobs_of, run_job
from pgops_drill.measures import tell_restore
from pgops_drill.recording import own_record, prove, remember

_DAY_S = 86400.0
_RESTORE_S = 7 * _DAY_S
_SHORT_S = 120.0


def _steps(params: Params, pinned: Pinned, first: Snapshot) -> tuple[Part, ...]:
    aim = choose_aim(params, pinned, first)
    if isinstance(aim, Verdict):
        return (_refuse(aim),)
    job = partial(_job, aim, params)
    version = _server_version(first)
    checked: tuple[Part, ...] = ()
    if version is None or version >= stages.AMCHECK_SINCE:
        checked += (job(stages.AMCHECK, "each table and index is walked, page by page", _DAY_S),)
    if params.get("assertions"):
        checked += (_assert(aim, params),)
    stop = job(stages.STOP, "only a server that stopped cleanly can have its checksums proven", _DAY_S)
    clearing: tuple[Part, ...] = ()
    if not params.get("keep"):
        clearing = (remove_scratch(aim, stages.stage_argv(aim, params, stages.REMOVE), _settled(aim)),)
    before: tuple[Part, ...] = (
        job(
            stages.PREPARE,
            "a private directory with a marker and its own pgBackRest configuration: production's spool, locks and logs "
            "are not touched",
            _SHORT_S,
        ),
        job(
            stages.RESTORE,
            "what does not restore is no backup; gently, since others work there",
            _RESTORE_S,
            progress=partial(tell_restore, aim.backup.size_bytes),
        ),
        job(stages.POSTGRES, "private: no TCP, own socket, archiving off, nothing connects out", _SHORT_S, stays=True),
        job(stages.REPLAY, "a backup is whole only when its WAL is there as well", _RESTORE_S),
        job(stages.LOOK, "it must be production's, with its databases and tables", _SHORT_S * 5),
        *checked,
        job(stages.DUMP, "every catalogue must be readable", _DAY_S),
        stop_postgres(aim, stop, stages.POSTGRES),
        job(stages.CHECKSUMS, "every page is read once and its checksum compared", _DAY_S),
    )
    made = {step.id for step in flatten((*before, *clearing))}
    return (
        _choose(aim, params),
        *before,
        remember(aim, params, pinned),
        *clearing,
        forget_jobs(aim, _settled(aim), made),
        prove(aim, kept=bool(params.get("keep"))),
    )


def _way_back(params: Params, pinned: Pinned, first: Snapshot) -> tuple[Part, ...]:
    aim = choose_aim(params, pinned, first)
    if isinstance(aim, Verdict):
        return ()
    argv = stages.stage_argv(aim, params, stages.REMOVE)
    return halt(aim), remove_scratch(aim, argv, lambda _now: True), forget_jobs(aim, lambda _now: True)


def _refuse(verdict: Verdict) -> Step:
    why = "a drill needs a good backup, a host and room"
    return Step(id="choose", why=why, check=lambda _first, _now: verdict, views=frozenset(), hosts=frozenset())


def _choose(aim: Aim, params: Params) -> Step:
    """What was chosen when the plan was made must still be there."""

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        if own_record(aim.run_id, now) is not None:
            return satisfied("this drill is done")
        node = now.node(aim.node)
        stanza = known(node.stanza) if node else None
        if stanza is None:
            return unread(f"the backups cannot be seen from {aim.node}", "pgops health --check backup")
        named = {**params, "set": aim.backup.label, "repo": aim.backup.repo_key}
        if isinstance(choose_backup(named, stanza), str):
            return blocked(f"the backup {aim.backup.label} is gone", "pgops backup list")
        return satisfied(aim.describe())

    return Step(
        id="choose",
        why="a drill needs a good backup, a host and room",
        check=check,
        views=frozenset({View.BACKUP}),
        hosts=frozenset({aim.node}),
    )


def _job(
    aim: Aim,
    params: Params,
    stage: str,
    why: str,
    timeout_s: float,
    *,
    stays: bool = False,
    progress: Progress | None = None,
) -> Step:
    return run_job(
        aim,
        stage,
        why,
        lambda: stages.stage_argv(aim, params, stage),
        _settled(aim),
        timeout_s=timeout_s,
        stays=stays,
        progress=progress,
    )


def _assert(aim: Aim, params: Params) -> FirstOf:
    """A file is written for them, so they have no place where there is no scratch directory."""
    text = write_file(split_statements(str(params["assertions"])))
    file = WriteFile(aim.node, stages.assertions_path(aim), text)
    step = run_job(
        aim,
        stages.ASSERTIONS,
        "what must be true of the content, as the file says it",
        lambda: stages.stage_argv(aim, params, stages.ASSERTIONS),
        _settled(aim),
        timeout_s=_DAY_S,
        before=(file,),
    )
    prepare = stages.job_name(aim.run_id, stages.PREPARE)

    def made(now: Snapshot) -> bool:
        jobs = jobs_of(aim, now)
        return isinstance(jobs, str) or (prepare in jobs and jobs[prepare].exit_code == 0)

    def check(first: Snapshot, now: Snapshot) -> Verdict:
        if own_record(aim.run_id, now) is None and not made(now):
            return blocked("there is no scratch directory")
        return step.check(first, now)

    passed_over = Step(
        id="no-assertions",
        why="where nothing was made there is nothing to ask",
        check=lambda _first, now: needed("assertions are made") if made(now) else satisfied("nothing was made"),
        views=step.views,
        hosts=step.hosts,
        timeout_s=1.0,
    )
    options = (replace(step, check=check), passed_over)
    return FirstOf("assertions", "what was restored must say what it should", options)


def _settled(aim: Aim) -> Callable[[Snapshot], bool]:
    return lambda now: own_record(aim.run_id, now) is not None


def _server_version(first: Snapshot) -> int | None:
    """The version of any member's server; a cluster has one major version."""
    told = [facts.version_num for node in first.nodes if (facts := known(node.sql)) is not None]
    return max(told, default=None)


def _goal(params: Params, cluster: str) -> str:
    label, target = params.get("set"), target_of(params)
    what = f"the backup {label}" if label else "the newest backup"
    until = f" to {target.isoformat()}" if target else " with all WAL" if params.get("to_end") else ""
    return f"restore {what} of the cluster {cluster}{until} aside, and prove it"


RESTORE = Procedure(
    name="drill-restore",
    goal=_goal,
    views=frozenset({View.DCS, View.SQL, View.BACKUP, View.HOST, View.JOBS}),
    steps=_steps,
    way_back=_way_back,
    # Who leads, and on which timeline, does not matter to a restore aside; whose data it is, does.
    premises=("system_identifier",),
    lock="drill",
)
"""Restore a backup to a scratch directory, prove it, and remember the outcome."""
