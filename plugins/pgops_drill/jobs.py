"""Steps that are one job each on the drill's node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from pgops.observe.facts import JobFacts
from pgops.observe.snapshot import Snapshot, View
from pgops.plan.actions import Action, StartJob
from pgops.plan.step import Risk, Step, Verdict, needed, satisfied, unread
from pgops.readings import Known, known, reason
from pgops_drill.aims import Aim
from pgops_drill.measures import last_line
from pgops_drill.stages import BASIC, STAGES, job_name

Jobs = Mapping[str, JobFacts]

Progress = Callable[[JobFacts, datetime], tuple[str, float | None]]
"""How far a job has come, from itself and the present time: a clause, and a share of 1 where it is known."""

ENDED = JobFacts(running=False, exit_code=0, started_at=None, log_tail="")
"""A job as a plan foresees it; one that was really there has a start."""


def jobs_of(aim: Aim, now: Snapshot) -> Jobs | str:
    """The jobs on the node, or why they cannot be seen."""
    node = now.node(aim.node)
    if node is None:
        return f"no host {aim.node} is configured"
    jobs = known(node.jobs)
    return reason(node.jobs) if jobs is None else jobs


def foreseen(jobs: Jobs) -> bool:
    """Whether these are jobs of a plan, not of a host."""
    return any(job.started_at is None for job in jobs.values())


def own_names(aim: Aim, jobs: Jobs) -> list[str]:
    """The jobs of this run that are there, in the order in which they are forgotten."""
    return [name for stage in STAGES if (name := job_name(aim.run_id, stage)) in jobs]


def with_job(aim: Aim, now: Snapshot, name: str, job: JobFacts | None) -> Snapshot:
    """The snapshot with this job as foreseen, or without it."""
    node = now.node(aim.node)
    jobs = known(node.jobs) if node else None
    if node is None or jobs is None:
        return now
    kept = {key: item for key, item in jobs.items() if key != name}
    return now.with_node(replace(node, jobs=Known(kept if job is None else {**kept, name: job})))


def run_job(
    aim: Aim,
    stage: str,
    why: str,
    argv: Callable[[], tuple[str, ...]],
    settled: Callable[[Snapshot], bool],
    *,
    timeout_s: float,
    before: tuple[Action, ...] = (),
    stays: bool = False,
    progress: Progress | None = None,
    usually: str | None = None,
) -> Step:
    """Start the stage's job and wait until it ended, whatever came of it: that is judged when all of them are done.

    `settled` says that the whole drill is remembered already. `stays`: it runs on, and its start is all that is waited for.
    """
    name = job_name(aim.run_id, stage)

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        if settled(now):
            return satisfied("this drill is done")
        jobs = jobs_of(aim, now)
        if isinstance(jobs, str):
            return unread(f"the jobs of {aim.node} cannot be seen: {jobs}", "pgops health")
        job = jobs.get(name)
        if job is None:
            return needed("it was not begun yet")
        if job.running and not stays:
            return needed(*(progress(job, now.taken_at) if progress else (last_line(job.log_tail)[-160:], None)))
        if job.running:
            return satisfied("it runs")
        return satisfied(_tell_end(aim, stage, job, jobs))

    def actions(_first: Snapshot, now: Snapshot) -> tuple[Action, ...]:
        jobs = jobs_of(aim, now)
        if isinstance(jobs, str) or name in jobs:
            return ()
        return (*before, StartJob(aim.node, name, argv()))

    return job_step(
        aim,
        stage,
        why,
        check,
        actions,
        lambda now: with_job(aim, now, name, replace(ENDED, running=stays, exit_code=None if stays else 0)),
        timeout_s,
        usually,
    )


def _tell_end(aim: Aim, stage: str, job: JobFacts, jobs: Jobs) -> str:
    """How it ended; where an earlier stage failed it could come to nothing, and its own words would only mislead."""
    if job.exit_code == 0:
        return "it ended well"
    for earlier in BASIC:
        if earlier == stage:
            break
        other = jobs.get(job_name(aim.run_id, earlier))
        if other is not None and not other.running and other.exit_code != 0:
            return f"it came to nothing, since {earlier} failed"
    ended = "was killed" if job.exit_code is None else f"ended with exit code {job.exit_code}"
    return f"it {ended}: {last_line(job.log_tail)[:200]}"


def job_step(
    aim: Aim,
    id_: str,
    why: str,
    check: Callable[[Snapshot, Snapshot], Verdict],
    actions: Callable[[Snapshot, Snapshot], tuple[Action, ...]],
    expect: Callable[[Snapshot], Snapshot],
    timeout_s: float,
    usually: str | None = None,
) -> Step:
    return Step(
        id=id_,
        why=why,
        check=check,
        actions=actions,
        expect=expect,
        views=frozenset({View.JOBS}),
        hosts=frozenset({aim.node}),
        risk=Risk.CHANGE,
        timeout_s=timeout_s,
        usually=usually,
    )
