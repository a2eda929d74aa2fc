"""Steps that end a drill and clear it away: the server, the scratch directory, and the accounts of its jobs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from pgops.observe.snapshot import Snapshot
from pgops.plan.actions import Action, ForgetJob, StartJob, StopJob
from pgops.plan.step import Step, Verdict, blocked, needed, satisfied, unread
from pgops.readings import known
from pgops_drill.aims import Aim
from pgops_drill.jobs import ENDED, job_step, jobs_of, own_names, with_job
from pgops_drill.measures import last_line
from pgops_drill.stages import PREFIX, PREPARE, REMOVE, STAGES, job_name


def stop_postgres(aim: Aim, stop: Step, postgres: str) -> Step:
    """The stage that stops the server, which has done its work when no server runs any more."""
    server, stopper = job_name(aim.run_id, postgres), job_name(aim.run_id, stop.id)

    def check(first: Snapshot, now: Snapshot) -> Verdict:
        verdict = stop.check(first, now)
        jobs = jobs_of(aim, now)
        if not verdict.passed or isinstance(jobs, str) or server not in jobs or not jobs[server].running:
            return verdict
        if jobs[stopper].exit_code == 0:
            return needed("PostgreSQL is about to end")
        return unread(
            f"PostgreSQL of the drill still runs on {aim.node}: {last_line(jobs[stopper].log_tail)[:200]}",
            f"see {aim.scratch}/log/postgres.log there",
        )

    def expect(now: Snapshot) -> Snapshot:
        jobs = jobs_of(aim, now)
        done = stop.expect(now)
        return with_job(aim, done, server, ENDED) if server in jobs else done

    return replace(stop, check=check, expect=expect)


def remove_scratch(aim: Aim, argv: tuple[str, ...], settled: Callable[[Snapshot], bool]) -> Step:
    """Remove what the drill made. An earlier try that failed is forgotten, so that it can be tried again."""
    name, maker = job_name(aim.run_id, REMOVE), job_name(aim.run_id, PREPARE)

    def check(first: Snapshot, now: Snapshot) -> Verdict:
        jobs = jobs_of(aim, now)
        if isinstance(jobs, str):
            return unread(f"the jobs of {aim.node} cannot be seen: {jobs}", "pgops health")
        job = jobs.get(name)
        if job is None and maker not in jobs and settled(now):
            return satisfied("nothing of it is left")
        if job is None or job.running:
            return needed(f"{aim.scratch} is still there")
        if job.exit_code == 0:
            return satisfied(f"{aim.scratch} is gone")
        before = known(node.jobs) if (node := first.node(aim.node)) else None
        if before is not None and before.get(name) == job:
            return needed(f"an earlier try failed: {last_line(job.log_tail)[:200]}")
        return blocked(f"{aim.scratch} on {aim.node} is left: {last_line(job.log_tail)[:300]}", "mend that")

    def actions(_first: Snapshot, now: Snapshot) -> tuple[Action, ...]:
        jobs = jobs_of(aim, now)
        if isinstance(jobs, str) or (name in jobs and jobs[name].running):
            return ()
        again: tuple[Action, ...] = (ForgetJob(aim.node, name),) if name in jobs else ()
        return (*again, StartJob(aim.node, name, argv))

    why = "a copy of production's data must not lie about; only what bears this run's marker is removed"
    return job_step(aim, REMOVE, why, check, actions, lambda now: with_job(aim, now, name, ENDED), timeout_s=3600.0)


def forget_jobs(aim: Aim, settled: Callable[[Snapshot], bool], made: Collection[str] | None = None) -> Step:
    """Forget the accounts of all jobs of this drill, and those that earlier ones left behind.

    `made` are the stages that the plan has, of which a branch may have left one out; None: those that are there.
    """
    planned = [job_name(aim.run_id, stage) for stage in STAGES if made is not None and stage in made]

    def left(first: Snapshot, now: Snapshot) -> list[str] | str:
        jobs = jobs_of(aim, now)
        if isinstance(jobs, str):
            return jobs
        own = own_names(aim, jobs)
        node = first.node(aim.node)
        seen = known(node.jobs) if node else None
        old = [
            name
            for name, job in sorted((seen or {}).items())
            if name.startswith(PREFIX) and name not in own and not job.running and name in jobs
        ]
        return [*(name for name in old if not name.startswith(f"{PREFIX}{aim.run_id}-")), *own]

    def check(first: Snapshot, now: Snapshot) -> Verdict:
        names = left(first, now)
        if isinstance(names, str):
            return unread(f"the jobs of {aim.node} cannot be seen: {names}", "pgops health")
        if names or not settled(now):
            return needed(f"{len(names)} jobs are still accounted for on {aim.node}")
        return satisfied("no account of a drill's job is left")

    def actions(first: Snapshot, now: Snapshot) -> tuple[Action, ...]:
        names = left(first, now)
        if isinstance(names, str):
            return ()
        others = [name for name in names if name not in planned]
        return tuple(ForgetJob(aim.node, name) for name in (*others, *planned))

    def expect(now: Snapshot) -> Snapshot:
        jobs = jobs_of(aim, now)
        for name in () if isinstance(jobs, str) else [name for name in jobs if name.startswith(PREFIX)]:
            now = with_job(aim, now, name, None)
        return now

    return job_step(aim, "forget", "their names and logs are of no use any more", check, actions, expect, 60.0)


def halt(aim: Aim) -> Step:
    """Stop whatever of this drill runs: the clients before the server, so that it ends cleanly."""

    def running(now: Snapshot) -> list[str] | str:
        jobs = jobs_of(aim, now)
        if isinstance(jobs, str):
            return jobs
        names = [name for name in own_names(aim, jobs) if jobs[name].running]
        return sorted(names, key=lambda name: name.endswith("-postgres"))

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        names = running(now)
        if isinstance(names, str):
            return unread(f"the jobs of {aim.node} cannot be seen: {names}", "pgops health")
        return needed(f"{', '.join(names)} still runs") if names else satisfied("no job of this drill runs")

    def actions(_first: Snapshot, now: Snapshot) -> tuple[Action, ...]:
        names = running(now)
        return () if isinstance(names, str) else tuple(StopJob(aim.node, name) for name in names)

    def expect(now: Snapshot) -> Snapshot:
        jobs = jobs_of(aim, now)
        for name in () if isinstance(jobs, str) else own_names(aim, jobs):
            now = with_job(aim, now, name, ENDED)
        return now

    return job_step(aim, "halt", "what still runs would write into what is removed", check, actions, expect, 120.0)
