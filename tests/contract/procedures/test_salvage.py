"""`salvage` under the contract: a kept copy on one host, whose rows are read into a folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from pgops.observe.branch_facts import CopyFacts
from pgops.observe.snapshot import View
from pgops.readings import Known, Unknown, known
from pgops.testing.case import Case, operator_host
from pgops.testing.contract import CHECKS, check_refused
from pgops.testing.fake_cluster import FakeCluster, fake_config
from pgops.testing.fake_world import FakeWorld
from pgops_recover.salvaging import SALVAGE

RUN = "20261122-0300-abcdef"
PARAMS = {"run": RUN, "node": "", "superuser": "postgres"}
MADE_AT = datetime(2026, 11, 22, 3, 0, tzinfo=timezone.utc)
KEEP = f"/var/lib/postgresql/data.pgops-{RUN}"
PARTS = (("wal", f"{KEEP}/wal"), ("data", f"{KEEP}/data"))
COPY = CopyFacts(KEEP, RUN, "recover-split-brain", "n1", MADE_AT, "alice@here", "", PARTS, accounted=True)


def world(copy: CopyFacts = COPY) -> Callable[[], FakeCluster]:
    def make() -> FakeCluster:
        fake = FakeCluster()
        fake.facts["n1"] = {"copies": Known((copy,))}
        return fake

    return make


GUARDED = replace(COPY, procedure="guard", parts=PARTS[:1], accounted=False, timeline=1)


def with_stanza(copy: CopyFacts) -> Callable[[], FakeCluster]:
    def make() -> FakeCluster:
        fake = FakeCluster(config=fake_config(("n1", "n2", "n3"), stanza="demo"))
        fake.facts["n1"] = {"copies": Known((copy,))}
        return fake

    return make


def set_up(world: FakeWorld) -> None:
    def python(fake: FakeCluster, host: str, argv: tuple[str, ...]) -> int:
        node = fake.snapshot(frozenset({View.COPIES})).node(host)
        (copy,) = (known(node.copies) if node else None) or ()
        wish = json.loads(argv[-1])
        if "stanza" in wish:
            copy = replace(copy, parts=PARTS)
        elif "pg_waldump" in wish:
            assert copy.has("data"), "it was counted before there was anything to look rows up in"
            copy = replace(copy, accounted=True)
        else:
            copy = replace(copy, salvaged=True)
        fake.facts[host] = {"copies": Known((copy,))}
        return 0

    world.commands["python3"] = python


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_salvage(check: Callable[[Case], None]) -> None:
    with operator_host():
        check(Case(SALVAGE, PARAMS, world(), set_up))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_salvage_of_what_the_guard_kept(check: Callable[[Case], None]) -> None:
    with operator_host():
        check(Case(SALVAGE, PARAMS, with_stanza(GUARDED), set_up))


def test_without_backups_the_guards_wal_stays_what_it_is() -> None:
    assert "no pgBackRest stanza" in check_refused(Case(SALVAGE, PARAMS, world(GUARDED), set_up))


def test_what_cannot_be_salvaged_is_refused() -> None:
    assert "left no copy" in check_refused(Case(SALVAGE, {**PARAMS, "run": "x"}, world(), set_up))
    assert "left no copy" in check_refused(Case(SALVAGE, {**PARAMS, "node": "n2"}, world(), set_up))
    assert "no member n9" in check_refused(Case(SALVAGE, {**PARAMS, "node": "n9"}, world(), set_up))
    cut_off = replace(COPY, parts=PARTS[:1], accounted=False)
    assert "is not whole" in check_refused(Case(SALVAGE, PARAMS, world(cut_off), set_up))


def test_a_host_that_cannot_be_seen_may_have_another_copy() -> None:
    def make() -> FakeCluster:
        fake = world()()
        fake.facts["n2"] = {"copies": Unknown("ssh: no answer")}
        return fake

    with operator_host():
        case = Case(SALVAGE, PARAMS, make, set_up)
        blocked = case.plan(case.world()).blocked
    assert blocked is not None and blocked.verdict.unread and "n2: ssh: no answer" in blocked.verdict.reason
