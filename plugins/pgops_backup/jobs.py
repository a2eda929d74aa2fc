"""The jobs of a backup's run on its node, as they are seen and as a plan foresees them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pgops.observe.facts import JobFacts, StanzaFacts
from pgops.observe.snapshot import Snapshot
from pgops.pgbackrest.exit_codes import explain
from pgops.plan.step import Verdict, failed, needed, satisfied
from pgops.readings import Known, known, reason
from pgops.render.units import format_bytes, format_duration

_FORESEEN = JobFacts(running=False, exit_code=0, started_at=None, log_tail="")
_PREFIXES = ("backup-", "expire-")


def jobs_of(node: str, now: Snapshot) -> Mapping[str, JobFacts] | str:
    """The jobs there, or why they cannot be seen."""
    found = now.node(node)
    if found is None:
        return f"no node is named {node}"
    jobs = known(found.jobs)
    return reason(found.jobs) if jobs is None else jobs


def find_job(node: str, name: str, now: Snapshot) -> JobFacts | str | None:
    """The job; None: there is none; a text: why that cannot be seen."""
    jobs = jobs_of(node, now)
    return jobs if isinstance(jobs, str) else jobs.get(name)


def done_jobs(node: str, run_id: str, now: Snapshot) -> list[str]:
    """The jobs of backups that are there: this run's, and what earlier runs that failed left as evidence."""
    jobs = jobs_of(node, now)
    if isinstance(jobs, str):
        return []
    return sorted(
        name
        for name, job in jobs.items()
        if name.startswith(_PREFIXES) and (name.endswith(f"-{run_id}") or not job.running)
    )


def judge_job(job: JobFacts, now: Snapshot, node: str) -> Verdict:
    """Waited for while it runs; blocked where it ended badly, with what pgBackRest's exit code means."""
    if job.running:
        found = now.node(node)
        return _tell_progress(job, known(found.stanza) if found else None, now)
    if job.exit_code == 0:
        return satisfied("pgBackRest ended well")
    if job.exit_code is None:
        what = "the job was killed together with what watched it, or the host was booted"
        return failed(f"{what}; its last words: {_last_words(job)}", "run it again: what was copied is taken up")
    told = explain(job.exit_code, job.log_tail)
    return failed(told.told, told.next_step)


def _tell_progress(job: JobFacts, stanza: StanzaFacts | None, now: Snapshot) -> Verdict:
    elapsed_s = (now.taken_at - job.started_at).total_seconds() if job.started_at else 0.0
    done, size = (stanza.progress_done_bytes, stanza.progress_size_bytes) if stanza else (None, None)
    if not size or done is None:
        return needed(f"{_last_words(job)} ({format_duration(elapsed_s)} so far)")
    rate = done / elapsed_s if elapsed_s > 0 else 0.0
    left = f", {format_duration((size - done) / rate)} left" if rate > 0 else ""
    text = f"{format_bytes(done)} of {format_bytes(size)} copied, {format_bytes(round(rate))}/s{left}"
    return needed(text, min(1.0, done / size))


def _last_words(job: JobFacts) -> str:
    lines = [line.strip() for line in job.log_tail.splitlines() if line.strip()]
    return lines[-1].partition("INFO: ")[2][:160] or lines[-1][:160] if lines else "nothing was said yet"


def with_job(node: str, now: Snapshot, name: str) -> Snapshot:
    """The snapshot with this job ended well, as a plan foresees it."""
    jobs = jobs_of(node, now)
    return now if isinstance(jobs, str) else _with_jobs(node, now, {**jobs, name: _FORESEEN})


def end_jobs(node: str, run_id: str, now: Snapshot) -> Snapshot:
    """The snapshot with the jobs of this run ended."""
    jobs = jobs_of(node, now)
    if isinstance(jobs, str):
        return now
    ended = {name: _FORESEEN if name.endswith(f"-{run_id}") else job for name, job in jobs.items()}
    return _with_jobs(node, now, ended)


def without_jobs(node: str, run_id: str, now: Snapshot) -> Snapshot:
    """The snapshot without these jobs."""
    jobs = jobs_of(node, now)
    own = done_jobs(node, run_id, now)
    return (
        now
        if isinstance(jobs, str)
        else _with_jobs(node, now, {key: job for key, job in jobs.items() if key not in own})
    )


def _with_jobs(node: str, now: Snapshot, jobs: Mapping[str, JobFacts]) -> Snapshot:
    found = now.node(node)
    return now if found is None else now.with_node(replace(found, jobs=Known(jobs)))
