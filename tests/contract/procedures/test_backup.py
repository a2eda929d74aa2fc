"""`backup` under the contract, and what it does where something is not as it should be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from contract.procedures.drill_worlds import backup, stanza
from pgops.errors import ExitCode, Unreachable
from pgops.observe.facts import ArchiveFacts, Backup, ExpiringBackup, ExpiryFacts, StanzaFacts, WalRange
from pgops.plan.actions import ForgetJob, StartJob
from pgops.readings import Known, Unknown
from pgops.testing.case import Case, leftovers, operator_host
from pgops.testing.contract import CHECKS, check_refused
from pgops.testing.fake_cluster import FakeCluster, Work, fake_config
from pgops.testing.fake_host import FakeJob
from pgops.testing.fake_snapshot import EPOCH
from pgops_backup.backing_up import BACKUP

NAMES = ("n1", "n2", "n3")
DAY_S = 86400
WAL = {"start": "000000020000000000000003", "stop": "000000020000000000000004"}
"""Of the timeline that the leader of a fake cluster is on."""


def told(label: str, stopped: int) -> dict[str, Any]:
    return {**backup(label, stopped), "archive": WAL}


OLD = told("20261121-010000F", int(EPOCH.timestamp()) - 2 * DAY_S)
YOUNG = told("20261123-010000F", int(EPOCH.timestamp()) - 7200)
PARAMS: dict[str, Any] = {
    "node": "n1",
    "kind": "diff",
    "source": "primary",
    "repo": None,
    "if_older_than_s": 72000.0,
    "no_expire": False,
}
WHOLE = (ArchiveFacts(1, "15-1", (WalRange(2, 1, 200),), {}),)


def world(
    *backups: dict[str, Any],
    code: int = 0,
    archives: tuple[ArchiveFacts, ...] = WHOLE,
    expiry: ExpiryFacts = ExpiryFacts(),  # noqa: B008 - frozen
    change: Callable[[Backup], Backup] = lambda made: made,
    strikes: Callable[[FakeCluster], None] = lambda fake: None,
) -> Callable[[], FakeCluster]:
    """Makes a cluster where pgBackRest ends with `code`; `change` spoils the backup it makes, `strikes` comes meanwhile."""

    def make() -> FakeCluster:
        fake = FakeCluster(NAMES, config=fake_config(NAMES, stanza="demo"))
        fake.archives = archives
        for name in NAMES:
            fake.facts[name] = {"stanza": Known(stanza(*(backups or (OLD,)))), "expiry": Known(expiry)}
        fake.jobs["pgbackrest"] = _pgbackrest(code, change, strikes)
        return fake

    return make


def _pgbackrest(code: int, change: Callable[[Backup], Backup], strikes: Callable[[FakeCluster], None]) -> Work:
    def work(fake: FakeCluster, job: FakeJob) -> int | None:
        if job.turns < 2:
            return None
        run_id = job.name.partition("-")[2]
        if job.name.startswith("backup-"):
            strikes(fake)
            if code == 0:
                _store(fake, run_id, change)
            return code
        return 0

    return work


def _store(fake: FakeCluster, run_id: str, change: Callable[[Backup], Backup]) -> None:
    at = int(EPOCH.timestamp()) + 60
    (made,) = stanza(told("20261121-010000F_20261123-030000D", at)).backups
    made = change(replace(made, kind="diff", annotations={"pgops-run": run_id}))
    for facts in fake.facts.values():
        seen: StanzaFacts = facts["stanza"].value
        facts["stanza"] = Known(replace(seen, backups=(*seen.backups, made)))


def case(make: Callable[[], FakeCluster] | None = None, **params: Any) -> Case:
    return Case(BACKUP, {**PARAMS, **params}, make or world(), limit_s=0.6)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_contract(check: Callable[[Case], None]) -> None:
    with operator_host():
        check(case())


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_contract_of_a_full_one_without_expiry(check: Callable[[Case], None]) -> None:
    with operator_host():
        check(case(kind="incr", no_expire=True))


def test_a_young_backup_is_enough() -> None:
    with operator_host():
        young = case(world(OLD, YOUNG))
        plan = young.plan(young.world())
    assert plan.is_empty
    assert "20261123-010000F is 2h 3s old, not older than 20h" in plan.steps[-1].verdict.reason


def test_a_young_diff_is_no_young_full() -> None:
    made = {**YOUNG, "type": "diff", "label": "20261121-010000F_20261123-010000D"}
    with operator_host():
        full = case(world(OLD, made), kind="full")
        plan = full.plan(full.world())
    assert not plan.is_empty


def test_without_a_full_one_a_full_one_is_made_and_that_is_said() -> None:
    with operator_host():
        first = case(world({**OLD, "error": True}))
        plan = first.plan(first.world())
    (start, *_) = [action for step in plan.steps for action in step.actions]
    assert isinstance(start, StartJob)
    assert "--type=full" in start.argv
    assert "a full one is made in place of the diff" in plan.steps[1].verdict.reason


def test_what_pgbackrest_says_is_explained_and_nothing_stays_blocked() -> None:
    with operator_host():
        broken = case(world(code=82))
        there = broken.world()
        outcome = broken.run(there)
    assert outcome.code is ExitCode.FAILED
    assert "WAL did not come into the archive in time" in outcome.sentence
    assert leftovers(there.fake) == []


def test_the_next_good_backup_clears_what_a_failed_one_left() -> None:
    with operator_host():
        broken = case(world(code=82))
        there = broken.world()
        broken.run(there)
        there.fake.jobs["pgbackrest"] = world()().jobs["pgbackrest"]
        left = dict(there.fake.hosts["n1"].jobs)
        assert list(left) == [f"backup-{there.fake.effects[0].name.partition('-')[2]}"]  # type: ignore[union-attr] # a StartJob
        again = Case(BACKUP, broken.params, broken.make_cluster)
        other = replace(again.plan(there).pinned, run_id="20261123-0400-ffffff")
        from pgops.engine.operation import make_plan

        assert again.run_plan(there, make_plan(again.quick, again.params, there, other)).code is ExitCode.DONE
    assert there.fake.hosts["n1"].jobs == {}
    assert sum(isinstance(effect, ForgetJob) for effect in there.fake.effects) == 3


def _switch(fake: FakeCluster) -> None:
    fake.switch_leader("n2")


SUSPECT = [
    (world(change=lambda made: replace(made, error=True)), "invalid page checksums"),
    (world(archives=(ArchiveFacts(1, "15-1", (WalRange(2, 1, 3),), {}),)), "is not all in the archive"),
    (world(change=lambda made: replace(made, timeline=3)), "its WAL is of timeline 2 to 3"),
    (world(strikes=_switch), "the leader was n1 when it began, and is n2 now"),
]


@pytest.mark.parametrize(("make", "why"), SUSPECT, ids=[why for _, why in SUSPECT])
def test_a_suspect_backup_is_no_success(make: Callable[[], FakeCluster], why: str) -> None:
    with operator_host():
        suspect = case(make)
        outcome = suspect.run(suspect.world())
    assert outcome.code is ExitCode.FAILED
    assert why in f"{outcome.sentence}: {outcome.why}"
    assert "20261123-030000D is suspect" in f"{outcome.sentence}: {outcome.why}"


def told_of(outcome: Any) -> str:
    return f"{outcome.sentence}: {outcome.why}: {outcome.next_step}"


def test_what_goes_is_told_by_the_run_and_the_plan_says_so() -> None:
    whole = case()
    with operator_host():
        plan = whole.plan(whole.world())
    choose = next(step for step in plan.steps if step.id == "choose")
    assert "pgBackRest's dry run tells it then" in choose.verdict.reason
    assert "before 2.59" in choose.verdict.reason and choose.actions == ()


def test_the_last_chain_is_kept_and_the_backup_is_good() -> None:
    gone = ExpiryFacts((ExpiringBackup(1, "20261121-010000F"),))
    last = case(world(expiry=gone))
    with operator_host():
        there = last.world()
        outcome = last.run(there)
    assert outcome.code is ExitCode.FAILED
    assert "the backup is made and proved, but nothing old was removed" in told_of(outcome)
    assert "no full backup of this database without error would be left in repository 1" in told_of(outcome)
    started = [effect.name for effect in there.fake.effects if isinstance(effect, StartJob)]
    assert [name.partition("-")[0] for name in started] == ["backup"]
    assert leftovers(there.fake) == []


def test_an_expiry_that_is_not_understood_is_left_out() -> None:
    blind = case(world(expiry=ExpiryFacts(fault="pgBackRest says what this pgops does not know: 'obliterate'")))
    with operator_host():
        there = blind.world()
        outcome = blind.run(there)
    assert outcome.code is ExitCode.FAILED
    assert "cannot be told" in told_of(outcome) and "--dry-run expire" in told_of(outcome)
    assert leftovers(there.fake) == []


def test_an_expiry_that_cannot_be_read_is_left_out() -> None:
    def make() -> FakeCluster:
        fake = world()()
        fake.facts["n1"]["expiry"] = Unknown("pgbackrest expire --dry-run: another one holds the lock")
        return fake

    blind = case(make)
    with operator_host():
        there = blind.world()
        outcome = blind.run(there)
    assert outcome.code is ExitCode.FAILED and "another one holds the lock" in told_of(outcome)
    assert [effect.name.partition("-")[0] for effect in there.fake.effects if isinstance(effect, StartJob)] == [
        "backup"
    ]


def test_a_primary_without_the_lock_refuses() -> None:
    def make() -> FakeCluster:
        fake = world()()
        fake.change("n1", patroni="frozen")
        fake.advance(120)
        return fake

    with operator_host():
        said = check_refused(case(make))
    assert "does not hold the leader lock: n" in said


def test_a_replica_is_refused_by_name() -> None:
    with operator_host():
        assert "n2 is a replica" in check_refused(case(node="n2"))


@pytest.mark.parametrize("field", ["sql", "primary_code", "stanza"])
def test_what_is_not_read_is_not_assumed(field: str) -> None:
    def make() -> FakeCluster:
        fake = world()()
        fake.facts["n1"][field] = Unknown("no answer in time")
        return fake

    with operator_host(), pytest.raises(Unreachable, match="no answer in time"):
        blind = case(make)
        blind.run(blind.world())
