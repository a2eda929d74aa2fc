"""A backup's run whose pgops died: its job may go on, or have ended well; then the next `pgops backup` sees to it."""

from __future__ import annotations

from pgops.cli.acting import Choices, find_procedure, tell_outcome
from pgops.cli.streams import say
from pgops.config.model import Config
from pgops.engine import operation
from pgops.engine.operator import pin
from pgops.engine.outcome import Listener
from pgops.engine.real_world import RealWorld
from pgops.engine.record import Unfinished
from pgops.observe.facts import JobFacts
from pgops.observe.snapshot import View
from pgops.pgbackrest.exit_codes import explain
from pgops_backup.jobs import find_job


def settle_left(world: RealWorld, config: Config, listener: Listener, choices: Choices) -> int | None:
    """Go on with a run that was left, where its job runs or ended well: the exit code. Else clear it away: None.

    Either is said on standard error, since somebody should know that a pgops, or a host, died. Raises `PgopsError`.
    """
    run_id = operation.find_run_id(world, "backup")
    if run_id is None:
        return None
    found = operation.find_unfinished(world, run_id, back=True)
    procedure = find_procedure(found.header.procedure)
    if procedure.name != "backup":  # an expiry: it is gone on with, or taken back, by a person
        return None
    node = str(found.header.params["node"])
    job = find_job(node, f"backup-{run_id}", world.observe(frozenset({View.JOBS}), frozenset({node})))
    whose = f"the backup run {run_id}, which {found.record.by} on {found.record.host} began, was left unfinished"
    if isinstance(job, JobFacts) and (job.running or job.exit_code == 0) and not found.record.back:
        state = f"its job still runs on {node}" if job.running else f"its job ended well on {node}"
        say(f"{whose}: {state}; going on with it")
        plan = operation.plan_rest(procedure, found, world, back=False)
        outcome = operation.go_on(
            world, procedure, plan, found, back=False, listener=listener, log_file=config.log_file
        )
        return tell_outcome(outcome, plan, choices)
    if isinstance(job, str):
        say(f"{whose}, and its job on {node} cannot be seen: {job}; it is forgotten")
        operation.forget_run(world, run_id, pin())
        return None
    say(f"{whose}: {_tell_end(job, node)}; it is cleared away, and judged anew whether a backup is due")
    _clear(world, found, config)
    return None


def _clear(world: RealWorld, found: Unfinished, config: Config) -> None:
    procedure = find_procedure("backup")
    plan = operation.plan_rest(procedure, found, world, back=True)
    outcome = operation.go_on(world, procedure, plan, found, back=True, log_file=config.log_file)
    if outcome.run_id is not None and outcome.code:
        operation.forget_run(world, found.record.id, pin())


def _tell_end(job: JobFacts | None, node: str) -> str:
    if job is None:
        return f"its job never began on {node}"
    if job.exit_code is None:
        return f"its job on {node} was killed, or the host was booted"
    return f"its job on {node} failed: {explain(job.exit_code, job.log_tail).told}"
