"""What the jobs of a drill prove: a sentence for each, and the record that is remembered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pgops.observe.facts import JobFacts
from pgops.observe.record_facts import DrillCheck, DrillRecord
from pgops.plan.step import Params, Pinned
from pgops.render.text import printable
from pgops.render.units import format_bytes
from pgops_drill import measures, stages
from pgops_drill.aims import Aim
from pgops_drill.assertions import shorten, split_statements

Jobs = Mapping[str, JobFacts]
"""By the full name of the job."""


def judge(aim: Aim, params: Params, expected_identity: str | None, jobs: Jobs) -> tuple[DrillCheck, ...]:
    """Every proof, in the order in which it was made. After a failed restore or start nothing is proven any more."""
    found: list[DrillCheck] = []
    ended = {stage: jobs.get(stages.job_name(aim.run_id, stage)) for stage in stages.STAGES}
    judges = {
        stages.PREPARE: lambda job: _plain(stages.PREPARE, job, "the scratch directory was made"),
        stages.RESTORE: lambda job: _restore(aim, job),
        stages.REPLAY: lambda job: _replay(job, ended[stages.POSTGRES]),
        stages.LOOK: lambda job: _look(expected_identity, job),
        stages.AMCHECK: _amcheck,
        stages.ASSERTIONS: lambda job: _assertions(params, job),
        stages.DUMP: lambda job: _plain(stages.DUMP, job, "the schema of every database can be dumped"),
        stages.STOP: lambda job: _stop(job, ended[stages.POSTGRES]),
        stages.CHECKSUMS: _checksums,
    }
    for stage, judge_stage in judges.items():
        job = ended[stage]
        if job is None:
            continue
        check = _killed(stage, job) or judge_stage(job)
        found.append(check)
        if stage in stages.BASIC and check.passed is not True:
            break
    return tuple(found)


def outcome_of(checks: tuple[DrillCheck, ...]) -> Literal["passed", "failed", "unmade"]:
    """`unmade`: nothing was found wrong with the backup, but not all of the drill could be made."""
    wrong = [check for check in checks if check.passed is False]
    if any(check.name != stages.PREPARE for check in wrong):
        return "failed"
    whole = {stages.RESTORE, stages.REPLAY, stages.CHECKSUMS} <= {check.name for check in checks}
    killed = any(check.passed is None and check.name != stages.CHECKSUMS for check in checks)
    return "unmade" if wrong or killed or not whole else "passed"


def make_record(
    aim: Aim, pinned: Pinned, checks: tuple[DrillCheck, ...], jobs: Jobs, before: DrillRecord | None
) -> DrillRecord:
    """What is remembered of this drill; when a restore was proven last is kept from the one before."""
    restore, replay = (jobs.get(stages.job_name(aim.run_id, stage)) for stage in (stages.RESTORE, stages.REPLAY))
    restored = restore is not None and restore.exit_code == 0
    outcome = outcome_of(checks)
    proven = outcome == "passed"
    return DrillRecord(
        run=pinned.run_id,
        by=pinned.by,
        host=pinned.host,
        began_at=pinned.moment,
        node=aim.node,
        label=aim.backup.label,
        repo_key=aim.backup.repo_key,
        outcome=outcome,
        checks=checks,
        restore_s=measures.restore_seconds(restore.log_tail) if restore and restored else None,
        restore_bytes=aim.backup.size_bytes if restored else None,
        replay_s=measures.replay_seconds(replay.log_tail) if replay else None,
        replay_bytes=measures.replay_bytes(replay.log_tail) if replay else None,
        proven_at=pinned.moment if proven else before.proven_at if before else None,
        proven_label=aim.backup.label if proven else before.proven_label if before else None,
    )


def tell(record: DrillRecord) -> str:
    """The outcome of a drill in one sentence."""
    if record.outcome == "passed":
        proofs = "; ".join(check.text for check in record.checks if check.name != stages.PREPARE)
        return f"backup {record.label} is proven: {proofs}"
    wrong = [check for check in record.checks if check.passed is False] or [
        check for check in record.checks if check.passed is None
    ]
    why = "; ".join(check.text for check in wrong) or "its jobs are gone"
    if record.outcome == "failed":
        return f"the drill of backup {record.label} failed: {why}"
    return f"the drill of backup {record.label} could not be made: {why}"


def _killed(stage: str, job: JobFacts) -> DrillCheck | None:
    if job.exit_code is None:
        return DrillCheck(stage, None, f"{stage} was killed, or its host went down")
    if job.exit_code in (128 + 9, 128 + 15):
        return DrillCheck(stage, None, f"{stage} was ended by signal {job.exit_code - 128}")
    return None


def _plain(stage: str, job: JobFacts, well: str) -> DrillCheck:
    if job.exit_code == 0:
        return DrillCheck(stage, True, well)
    return DrillCheck(stage, False, f"{stage}: {_said(job)}")


def _restore(aim: Aim, job: JobFacts) -> DrillCheck:
    if job.exit_code == 0:
        took = measures.restore_seconds(job.log_tail)
        size = format_bytes(aim.backup.size_bytes) if aim.backup.size_bytes is not None else "it"
        return DrillCheck(stages.RESTORE, True, f"{size} restored" + (f" in {took:.1f} s" if took is not None else ""))
    from pgops.pgbackrest.exit_codes import explain

    told = explain(job.exit_code, job.log_tail)
    error = next((line for line in job.log_tail.splitlines() if " ERROR: [" in line), "").partition(" ERROR: ")[2]
    said = f": {printable(error)[:300]}" if error else ""
    return DrillCheck(stages.RESTORE, False, f"the restore failed: {told.meaning} (exit code {job.exit_code}{said})")


def _replay(job: JobFacts, postgres: JobFacts | None) -> DrillCheck:
    if job.exit_code == 0:
        took, size = measures.replay_seconds(job.log_tail), measures.replay_bytes(job.log_tail)
        wal = f" and {format_bytes(size)} of WAL replayed" if size is not None else ""
        return DrillCheck(
            stages.REPLAY, True, f"PostgreSQL started{wal}" + (f" in {took:.1f} s" if took is not None else "")
        )
    said = _said(job)
    if postgres is not None and not postgres.running and postgres.log_tail.strip() and "no reason" in said:
        said = f"{said}; it said: {_said(postgres)}"
    return DrillCheck(stages.REPLAY, False, f"what was restored does not start: {said}")


def _look(expected_identity: str | None, job: JobFacts) -> DrillCheck:
    told = measures.words(job.log_tail)
    if job.exit_code != 0:
        return DrillCheck(stages.LOOK, False, f"what was restored cannot be read: {_said(job)}")
    identity = told.get("system_identifier")
    if identity is not None and expected_identity is not None and identity != expected_identity:
        text = f"it is another cluster's backup: system identifier {identity}, production has {expected_identity}"
        return DrillCheck(stages.LOOK, False, text)
    if told.get("archive_mode", "off") != "off":
        return DrillCheck(stages.LOOK, False, f"archive_mode is {told['archive_mode']} in the drill, which must not be")
    tables, databases = told.get("tables", "?"), told.get("databases", "?")
    return DrillCheck(stages.LOOK, True, f"{tables} tables in {databases} databases, of production's system identifier")


def _amcheck(job: JobFacts) -> DrillCheck:
    """Exit code 2 is corruption; source: PostgreSQL, src/bin/pg_amcheck/pg_amcheck.c."""
    if job.exit_code == 0:
        return DrillCheck(stages.AMCHECK, True, "tables and indexes are sound (pg_amcheck)")
    if job.exit_code == 127 or "is not available" in job.log_tail:
        text = f"pg_amcheck cannot be run there: {_said(job)}; install PostgreSQL's contrib package"
        return DrillCheck(stages.AMCHECK, False, text)
    what = "found damage" if job.exit_code == 2 else "did not come to its end"
    return DrillCheck(stages.AMCHECK, False, f"pg_amcheck {what}: {_first_said(job)}")


def _assertions(params: Params, job: JobFacts) -> DrillCheck:
    statements = split_statements(str(params["assertions"]))
    if job.exit_code == 0:
        return DrillCheck(stages.ASSERTIONS, True, f"all {len(statements)} SQL assertions hold")
    broken = []
    for line in job.log_tail.splitlines():
        word, _, rest = line.partition(" ")
        number, _, said = rest.partition(" ")
        if word == "assertion" and number.isdigit() and 0 < int(number) <= len(statements):
            broken.append(f"assertion {number} ({shorten(statements[int(number) - 1])}) gave {said or 'nothing'}")
    text = "; ".join(broken[:5]) or _said(job)
    more = f"; and {len(broken) - 5} more" if len(broken) > 5 else ""
    return DrillCheck(stages.ASSERTIONS, False, f"{text}{more}")


def _stop(job: JobFacts, postgres: JobFacts | None) -> DrillCheck:
    if job.exit_code == 0 and (postgres is None or postgres.exit_code == 0):
        return DrillCheck(stages.STOP, True, "PostgreSQL stopped cleanly")
    said = _said(postgres) if job.exit_code == 0 and postgres is not None else _said(job)
    return DrillCheck(stages.STOP, False, f"PostgreSQL did not stop cleanly: {said}")


def _checksums(job: JobFacts) -> DrillCheck:
    if job.exit_code == 0:
        return DrillCheck(stages.CHECKSUMS, True, "every page has its checksum (pg_checksums)")
    if "checksums are not enabled" in job.log_tail:
        return DrillCheck(stages.CHECKSUMS, None, "the cluster has no page checksums")
    failed = measures.failed_checksums(job.log_tail)
    return DrillCheck(stages.CHECKSUMS, False, f"pg_checksums: {failed or _said(job)}")


def _said(job: JobFacts) -> str:
    return printable(measures.last_line(job.log_tail))[:300]


def _first_said(job: JobFacts) -> str:
    """The tail begins somewhere within a line, when it was cut."""
    lines = [line for line in job.log_tail.splitlines() if line.strip()]
    whole = lines[1:] if len(job.log_tail) >= 4000 and len(lines) > 1 else lines
    return printable(" ".join(line.strip() for line in whole[:2]) or "it said nothing")[:300]
