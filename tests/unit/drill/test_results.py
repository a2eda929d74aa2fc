"""What the jobs of a drill prove, in sentences."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from contract.procedures.drill_worlds import NEW, PARAMS, USUAL, stanza
from pgops.config.model import HostConfig
from pgops.observe.facts import JobFacts
from pgops.observe.record_facts import DrillCheck
from pgops_drill.aims import Aim
from pgops_drill.results import judge, outcome_of
from pgops_drill.stages import STAGES, job_name

MOMENT = datetime(2026, 11, 23, 3, 0, tzinfo=timezone.utc)
IDENTITY = "7711286246463316910"
AIM = Aim(
    "RUN",
    "n2",
    "it was named",
    HostConfig("n2"),
    "demo",
    next(item for item in stanza(*USUAL).backups if item.label == NEW),
    "/srv",
    "/data",
    1,
    None,
)
LOOK = f"system_identifier {IDENTITY}\narchive_mode off\nsize_bytes 1\ndatabases 2\ntables 7\n"


def judged(params: dict[str, Any] | None = None, **jobs: Any) -> tuple[DrillCheck, ...]:
    """Of a drill in which all went well but these stages."""
    told: dict[str, Any] = {stage: (0, LOOK if stage == "look" else "") for stage in STAGES} | jobs
    facts = {job_name("RUN", stage): JobFacts(False, code, MOMENT, log) for stage, (code, log) in told.items()}
    return judge(AIM, {**PARAMS, "assertions": "select true; select 1 = 2", **(params or {})}, IDENTITY, facts)


def test_all_well() -> None:
    checks = judged()
    assert all(check.passed for check in checks) and outcome_of(checks) == "passed"
    assert "7 tables in 2 databases, of production's system identifier" in [check.text for check in checks]


@pytest.mark.parametrize(
    ("stage", "code", "log", "words"),
    [
        (
            "restore",
            26,
            "P00  ERROR: [026]: error restoring 'x': actual checksum 'a'\n",
            "(exit code 26: [026]: error rest",
        ),
        (
            "replay",
            74,
            "PostgreSQL did not come up: FATAL: no\n",
            "what was restored does not start: PostgreSQL did not",
        ),
        (
            "look",
            0,
            LOOK.replace(IDENTITY, "7000000000000000009"),
            "another cluster's backup: system identifier 7000000000",
        ),
        ("look", 0, LOOK.replace("mode off", "mode on"), "archive_mode is on in the drill"),
        ("look", 74, "the database app cannot be read\n", "cannot be read: the database app"),
        (
            "amcheck",
            2,
            'heap table "app.public.t", block 3:\n    xmin 1 is bad\n',
            'found damage: heap table "app.public.t"',
        ),
        ("amcheck", 1, "pg_amcheck: error: connection to server was lost\n", "did not come to its end"),
        ("amcheck", 127, "nice: pg_amcheck: No such file\n", "contrib"),
        ("assertions", 1, "assertion 2 f\nfailed 1\n", "assertion 2 (select 1 = 2) gave f"),
        ("assertions", 1, "assertion 2 \nfailed 1\n", "gave nothing"),
        ("dump", 1, "pg_dump: error: no\n", "dump: pg_dump: error: no"),
        ("stop", 1, "pg_ctl: server does not shut down\n", "did not stop cleanly"),
        ("postgres", 2, "killed\n", "did not stop cleanly: killed"),
        ("checksums", 1, "pg_checksums: error: cluster must be shut down\n", "cluster must be shut down"),
    ],
)
def test_what_is_wrong(stage: str, code: int, log: str, words: str) -> None:
    jobs: dict[str, Any] = {stage: (code, log)}
    checks = judged(**jobs)
    assert outcome_of(checks) == "failed"
    assert any(check.passed is False and words in check.text for check in checks), checks


def test_nothing_is_said_of_what_came_after_a_failed_restore() -> None:
    assert [check.name for check in judged(restore=(29, ""))] == ["prepare", "restore"]


@pytest.mark.parametrize(
    "jobs",
    [{"prepare": (74, "too little room\n")}, {"restore": (None, "")}, {"restore": (143, "")}, {"dump": (137, "")}],
    ids=["no-room", "host-went-down", "signal", "killed"],
)
def test_a_drill_that_could_not_be_made_blames_no_backup(jobs: dict[str, Any]) -> None:
    assert outcome_of(judged(**jobs)) == "unmade"


def test_damage_outweighs_a_killed_check() -> None:
    assert outcome_of(judged(dump=(137, ""), checksums=(1, "Bad checksums: 1\n"))) == "failed"


def test_a_cluster_without_checksums_is_no_failure() -> None:
    checks = judged(checksums=(1, "pg_checksums: error: data checksums are not enabled in cluster\n"))
    assert checks[-1].passed is None and outcome_of(checks) == "passed"


def test_jobs_that_are_gone_prove_nothing() -> None:
    assert outcome_of(()) == "unmade"
