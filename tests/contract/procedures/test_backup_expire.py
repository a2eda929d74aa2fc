"""`backup-expire` under the contract, what it refuses, and what it says of a job that ends badly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from contract.procedures.drill_worlds import stanza
from pgops.errors import ExitCode, Unreachable
from pgops.observe.facts import (
    Backup,
    ExpiringBackup,
    ExpiringHistory,
    ExpiringWal,
    ExpiryFacts,
    StanzaDatabase,
    StanzaFacts,
)
from pgops.plan.actions import ForgetJob, StartJob
from pgops.plan.step import Risk
from pgops.readings import Known, Unknown
from pgops.testing.case import Case, leftovers, operator_host
from pgops.testing.contract import CHECKS, check_refused
from pgops.testing.fake_cluster import FakeCluster, Work, fake_config
from pgops.testing.fake_host import FakeJob
from pgops.testing.fake_snapshot import EPOCH
from pgops_backup.expiring import EXPIRE

NAMES = ("n1", "n2", "n3")
POLICY: dict[str, Any] = {"node": "n1", "set": None, "repo": None}
A, AD, AI, B = (
    "20261101-010000F",
    "20261101-010000F_20261102-010000D",
    "20261101-010000F_20261103-010000I",
    "20261120-010000F",
)
SET = {**POLICY, "set": A}
WAL = ExpiringWal(1, "15-1", "000000010000000000000001", "000000010000000000000009")


def made(label: str, *references: str, **changes: Any) -> Backup:
    kind = {"F": "full", "D": "diff", "I": "incr"}[label[-1]]
    stopped = EPOCH - timedelta(days=20 - int(label[6:8]) % 20)
    backup = Backup(label, kind, 1, stopped - timedelta(minutes=5), stopped, False, 1, 1, references=references)
    return replace(backup, **changes)


def facts(*backups: Backup) -> StanzaFacts:
    databases = (StanzaDatabase(1, 1, "7711099966935465950", "15"),)
    return replace(stanza(), backups=backups, databases=databases, current_database_id=1, code=0, message="ok")


ALL = facts(made(A), made(AD, A), made(AI, A, AD), made(B))
GOING = ExpiryFacts(tuple(ExpiringBackup(1, label) for label in (A, AD, AI)), (WAL,))


def world(
    seen: StanzaFacts = ALL, expiry: Any = None, *, code: int = 0, idle: bool = False
) -> Callable[[], FakeCluster]:
    """Makes a cluster whose pgBackRest ends with `code`; `idle`: it says that it did, and removes nothing."""

    def make() -> FakeCluster:
        fake = FakeCluster(NAMES, config=fake_config(NAMES, stanza="demo"))
        for name in NAMES:
            fake.facts[name] = {"stanza": Known(seen), "expiry": expiry or Known(GOING)}
        fake.jobs["pgbackrest"] = _pgbackrest(code, idle=idle)
        return fake

    return make


def _pgbackrest(code: int, *, idle: bool) -> Work:
    def work(fake: FakeCluster, job: FakeJob) -> int | None:
        if job.turns < 2:
            return None
        if code == 0 and not idle:
            for name in NAMES:
                stanza_now: StanzaFacts = fake.facts[name]["stanza"].value
                left = tuple(item for item in stanza_now.backups if item.label not in (A, AD, AI))
                fake.facts[name] = {"stanza": Known(replace(stanza_now, backups=left)), "expiry": Known(ExpiryFacts())}
        return code

    return work


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("params", [POLICY, SET], ids=["retention", "set"])
def test_the_contract(check: Callable[[Case], None], params: dict[str, Any]) -> None:
    with operator_host():
        check(Case(EXPIRE, params, world()))


def test_what_goes_is_named_and_the_job_is_forgotten() -> None:
    case = Case(EXPIRE, POLICY, world())
    with operator_host():
        there = case.world()
        plan = case.plan(there)
        said = plan.steps[0].verdict.reason
        assert all(label in said for label in (A, AD, AI)) and B not in said
        assert "WAL of 15-1 in repository 1: 000000010000000000000001 to 000000010000000000000009" in said
        assert plan.risk is Risk.CHANGE
        assert case.run_plan(there, plan).code is ExitCode.DONE
        assert [type(action) for action in there.fake.effects] == [StartJob, ForgetJob]
        assert there.fake.hosts["n1"].jobs == {}


def test_a_set_goes_with_all_that_depends_on_it_and_that_destroys() -> None:
    case = Case(EXPIRE, SET, world())
    with operator_host():
        there = case.world()
        plan = case.plan(there)
        assert all(label in plan.steps[0].verdict.reason for label in (A, AD, AI))
        assert plan.risk is Risk.DESTROY
        case.run_plan(there, plan)
        started = next(action for action in there.fake.effects if isinstance(action, StartJob))
        assert f"--set={A}" in started.argv and "--repo=1" in started.argv


def test_a_diff_goes_without_the_full_one_under_it() -> None:
    plan = Case(EXPIRE, {**SET, "set": AD}, world()).plan(Case(EXPIRE, SET, world()).world())
    said = plan.steps[0].verdict.reason
    assert AD in said and AI in said and f"{A} of" not in said


@pytest.mark.parametrize(
    ("seen", "params"),
    [
        (facts(made(A), made(AD, A)), SET),
        (facts(made(A), made(B, error=True)), SET),
        (facts(made(A), made(B, database_id=2)), SET),
        (facts(made(A), made(B, error=True)), POLICY),
    ],
    ids=["the only one", "the other has errors", "the other is of another database", "by the retention"],
)
def test_the_last_chain_stays(seen: StanzaFacts, params: dict[str, Any]) -> None:
    said = check_refused(Case(EXPIRE, params, world(seen)))
    assert "no full backup of this database without error would be left in repository 1" in said


def test_a_label_of_two_repositories() -> None:
    two = facts(*(made(label, repo_key=key) for key in (1, 2) for label in (A, B)))
    assert f"{A} is in the repositories 1, 2" in check_refused(Case(EXPIRE, SET, world(two)))
    case = Case(EXPIRE, {**SET, "repo": 2}, world(two))
    with operator_host():
        assert case.plan(case.world()).blocked is None


def test_not_while_a_backup_is_made_there() -> None:
    running = replace(ALL, backup_running=True)
    assert "makes a backup on this host now" in check_refused(Case(EXPIRE, SET, world(running)))


@pytest.mark.parametrize("params", [POLICY, {**POLICY, "set": "20200101-010000F"}])
def test_nothing_to_do(params: dict[str, Any]) -> None:
    case = Case(EXPIRE, params, world(expiry=Known(ExpiryFacts())))
    with operator_host():
        there = case.world()
        plan = case.plan(there)
        assert plan.is_empty and plan.blocked is None
        assert case.run_plan(there, plan).code is ExitCode.DONE
        assert there.fake.effects == []


def test_what_cannot_be_read_is_no_empty_list() -> None:
    case = Case(EXPIRE, POLICY, world(expiry=Unknown("pgbackrest expire --dry-run: another one holds the lock")))
    with operator_host(), pytest.raises(Unreachable, match="another one holds the lock"):
        case.run(case.world())


def test_what_is_not_understood_is_no_empty_list() -> None:
    puzzle = ExpiryFacts(fault="pgBackRest says what this pgops does not know: 'repo1: obliterate'")
    case = Case(EXPIRE, POLICY, world(expiry=Known(puzzle)))
    with operator_host(), pytest.raises(Unreachable, match=r"cannot be told.*'repo1: obliterate'") as told:
        case.run(case.world())
    assert "--stanza=demo" in f"{told.value.next_step}" and "--dry-run expire" in f"{told.value.next_step}"


def test_a_backup_without_its_manifest_is_no_chain_that_is_left() -> None:
    lost = Known(ExpiryFacts((ExpiringBackup(1, A),), unlisted=(B,)))
    said = check_refused(Case(EXPIRE, POLICY, world(facts(made(A), made(B)), lost)))
    assert "no full backup of this database without error would be left" in said
    assert f"{B} of repository 1 (full, " in said and "its manifest is missing" in said


def test_old_history_goes_too() -> None:
    gone = ExpiringHistory(1, "timeline history 00000002.history of 15-1")
    case = Case(EXPIRE, POLICY, world(expiry=Known(ExpiryFacts(history=(gone,)))))
    with operator_host():
        plan = case.plan(case.world())
    assert not plan.is_empty and "00000002.history of 15-1, in repository 1" in plan.steps[0].verdict.reason


@pytest.mark.parametrize(
    ("version", "wanted"),
    [
        ((2, 45), "pgBackRest 2.45 on n1 (before 2.59)"),
        ((2, 58), "2.58"),
        (None, "which pgBackRest n1 has is not known"),
    ],
)
def test_what_must_not_run_meanwhile_is_named(version: tuple[int, int] | None, wanted: str) -> None:
    case = Case(EXPIRE, POLICY, world(replace(ALL, pgbackrest_version=version)))
    with operator_host():
        plan = case.plan(case.world())
    said = next(step.verdict.reason for step in plan.steps if step.id == "alone")
    assert said.startswith("warning: ") and wanted in said
    assert "expire-auto" in said and "`pgbackrest expire`" in said and "cron" in said


def test_a_pgbackrest_that_spares_others_needs_no_warning() -> None:
    case = Case(EXPIRE, POLICY, world(replace(ALL, pgbackrest_version=(2, 59))))
    with operator_host():
        assert [step.id for step in case.plan(case.world()).steps] == ["choose", "expire", "gone", "tidy"]


def test_not_while_another_member_makes_a_backup() -> None:
    case = Case(EXPIRE, POLICY, world())
    with operator_host():
        there = case.world()
        plan = case.plan(there)
        there.fake.facts["n2"]["stanza"] = Known(replace(ALL, backup_running=True))
        outcome = case.run_plan(there, plan)
    assert there.fake.effects == [] and "pgBackRest makes a backup on n2 now" in f"{outcome.why}"


def test_a_job_that_fails_says_what_its_code_means_and_bars_nobody() -> None:
    case = Case(EXPIRE, POLICY, world(code=50))
    with operator_host():
        there = case.world()
        outcome = case.run(there)
        assert outcome.code is ExitCode.FAILED and "exit code 50" in f"{outcome.sentence} {outcome.why}"
        assert leftovers(there.fake) == []


def test_a_job_that_ends_well_and_removes_nothing_is_no_success() -> None:
    case = Case(EXPIRE, POLICY, world(idle=True))
    with operator_host():
        outcome = case.run(case.world())
        assert outcome.code is ExitCode.FAILED and "still there" in f"{outcome.why}"


def test_more_would_go_than_was_planned() -> None:
    case = Case(EXPIRE, POLICY, world(expiry=Known(ExpiryFacts((ExpiringBackup(1, A),)))))
    with operator_host():
        there = case.world()
        plan = case.plan(there)
        there.fake.facts["n1"]["expiry"] = Known(GOING)
        outcome = case.run_plan(there, plan)
        assert outcome.code is ExitCode.PLAN_STALE and there.fake.effects == []
        assert "more would go than was planned" in f"{outcome.why}"
