"""Steps about a job of pgBackRest on a node: run it to its end, have it end, forget its account. Pure."""

from __future__ import annotations

from collections.abc import Callable

from pgops.observe.snapshot import Snapshot, View
from pgops.pgbackrest.commands import Stanza
from pgops.plan.actions import Action, ForgetJob, StartJob, StopJob
from pgops.plan.step import Risk, Step, Verdict, blocked, needed, satisfied, unchanged, unread
from pgops_backup.jobs import done_jobs, end_jobs, find_job, jobs_of, judge_job, with_job, without_jobs

_JOBS = frozenset({View.JOBS})
_LONGEST_S = 7 * 86400.0


def stanza_of(node: str, now: Snapshot) -> Stanza:
    """The cluster's stanza, through the node's configuration file."""
    config = next((host.pgbackrest_config for host in now.cluster.hosts if host.name == node), None)
    return Stanza(now.cluster.stanza or "", config)


def run_job(
    node: str,
    name: str,
    *,
    id: str,
    why: str,
    unstarted: Callable[[Snapshot], Verdict],
    argv: Callable[[Snapshot], tuple[str, ...]],
    expect: Callable[[Snapshot], Snapshot] = unchanged,
    views: frozenset[View] = frozenset(),
    risk: Risk = Risk.CHANGE,
    usually: str = "seconds",
) -> Step:
    """Start the job, unless it was started, and wait for its end. `unstarted` judges where there is none.

    `expect` is what it changes, `views` what is looked at meanwhile beside jobs: nothing that takes pgBackRest's lock.
    """

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        job = find_job(node, name, now)
        if isinstance(job, str):
            return needed(f"the job cannot be seen: {job}")
        return unstarted(now) if job is None else judge_job(job, now, node)

    def actions(_first: Snapshot, now: Snapshot) -> tuple[Action, ...]:
        seen = jobs_of(node, now)
        return () if name in (seen if not isinstance(seen, str) else {}) else (StartJob(node, name, argv(now)),)

    return Step(
        id=id,
        why=why,
        check=check,
        actions=actions,
        expect=lambda now: with_job(node, expect(now), name),
        views=_JOBS | views,
        hosts=frozenset({node}),
        risk=risk,
        timeout_s=_LONGEST_S,
        usually=usually,
    )


def halt(node: str, run_id: str, *, keeps: str = "") -> Step:
    """Have the run's jobs end; `keeps` tells what stays of their work."""

    def running(now: Snapshot) -> list[str]:
        seen = jobs_of(node, now)
        there = {} if isinstance(seen, str) else seen
        return [name for name in done_jobs(node, run_id, now) if there[name].running]

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        seen = jobs_of(node, now)
        if isinstance(seen, str):
            return unread(f"the jobs of {node} cannot be seen: {seen}")
        return needed(f"{', '.join(running(now))} runs on {node}") if running(now) else satisfied("no job of it runs")

    return Step(
        id="halt",
        why=f"pgBackRest is asked to end (SIGTERM){keeps}",
        check=check,
        actions=lambda _first, now: tuple(StopJob(node, name) for name in running(now)),
        expect=lambda now: end_jobs(node, run_id, now),
        views=_JOBS,
        hosts=frozenset({node}),
        risk=Risk.CHANGE,
        timeout_s=60.0,
    )


def tidy(node: str, run_id: str) -> Step:
    """Forget the accounts of the run's jobs, and of failed ones that earlier runs left as evidence."""

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        seen = jobs_of(node, now)
        if isinstance(seen, str):
            return unread(f"the jobs of {node} cannot be seen: {seen}")
        left = done_jobs(node, run_id, now)
        running = [name for name in left if seen[name].running]
        if running:
            return blocked(f"{', '.join(running)} still runs on {node}", f"pgops runs continue {run_id}")
        return needed(f"{', '.join(left)} left their accounts") if left else satisfied("no job left an account")

    return Step(
        id="tidy",
        why="the jobs' accounts are not needed any more",
        check=check,
        actions=lambda _first, now: tuple(ForgetJob(node, name) for name in done_jobs(node, run_id, now)),
        expect=lambda now: without_jobs(node, run_id, now),
        views=_JOBS,
        hosts=frozenset({node}),
        risk=Risk.CHANGE,
    )
