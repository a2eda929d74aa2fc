"""What `guard status` and the health check say of a guard in links, which Patroni's own file names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pgops.checks import Verdict
from pgops.observe.guard_facts import BindingFacts, GuardFacts
from pgops.observe.guards import digests_of
from pgops.observe.keys import record_prefix
from pgops.observe.record_facts import GuardRecord
from pgops.observe.records import guard_value
from pgops.observe.snapshot import View
from pgops.readings import Known, Unknown
from pgops.testing.fake_cluster import FakeCluster
from pgops.testing.fake_snapshot import EPOCH
from pgops_recover.checks import find_guard
from pgops_recover.guard_programs import programs
from pgops_recover.guard_text import guard_document, render_guard

VIEWS = frozenset({View.DCS, View.GUARD})
DIRECTORY, FILE = "/srv/pgops-guard", "/etc/patroni/config.yml"
SETTINGS = {"by": "bin_dir", "wrapper": f"{DIRECTORY}/pg_rewind", "file": FILE, "bin_dir": "/usr/lib/postgresql/15/bin"}
BOUND = BindingFacts(
    files=(FILE,), processes=("7:2:boot",), stage="bound", directory=DIRECTORY, deaf=("7:1:boot",), links=("postgres",)
)


def _facts(**changes: Any) -> GuardFacts:
    return replace(GuardFacts(SETTINGS, digests_of(programs()), None, (), BOUND), **changes)


def _bound(**changes: Any) -> GuardFacts:
    return _facts(binding=replace(BOUND, **changes))


@pytest.mark.parametrize(
    ("facts", "guarded", "why"),
    [
        (_facts(), True, "Patroni calls it before any rewind"),
        (_bound(missing=("pg_new",), stale=("pg_old",)), True, "pg_new, pg_old of /usr/lib/postgresql/15/bin came"),
        (_bound(deaf=("7:2:boot",)), False, f"its Patroni runs since before {FILE} named it"),
        (_bound(stage="restored"), False, f"{FILE} does not name it"),
        (_bound(stage=None), False, f"{FILE} does not name it"),
        (_bound(directory="/srv/other"), False, f"{FILE} does not name it"),
        (_bound(stage="changed"), None, f"{FILE} was changed since pgops wrote it"),
        (_bound(processes=()), None, f"no Patroni is seen that was started with {FILE}"),
        (_facts(programs={}), False, "its programs are not there"),
        (_facts(programs={"pg_rewind": "unusable"}), False, "not whole, or of another pgops"),
        (_facts(settings=None), False, "no guard is installed"),
        (_facts(overrides=("the environment of its Patroni",)), False, "names programs of its own"),
    ],
)
def test_each_member_is_judged_by_its_own_file_and_process(facts: GuardFacts, guarded: bool | None, why: str) -> None:
    fake = FakeCluster()
    for name in fake.hosts:
        fake.facts[name] = {"guard": Known(_facts() if name != "n2" else facts)}
    document = guard_document(fake.snapshot(VIEWS))
    member = document["members"][1]
    assert (member["guarded"], document["guarded"]) == (guarded, guarded) and why in member["why"]
    assert member["by"] == (None if facts.settings is None else "bin_dir")
    shown = render_guard(document)
    assert why in shown and ("next: pgops guard install" in shown) is (guarded is False)


def test_a_host_that_does_not_answer_is_unknown() -> None:
    fake = FakeCluster()
    for name in fake.hosts:
        fake.facts[name] = {"guard": Known(_facts()) if name != "n3" else Unknown("ssh: no answer in time")}
    document = guard_document(fake.snapshot(VIEWS))
    assert document["guarded"] is None and document["members"][2]["why"] == "ssh: no answer in time"


def _cluster(version: str, members: tuple[str, ...] | None, *, name: str | None = None) -> FakeCluster:
    fake = FakeCluster()
    for each in fake.hosts:
        fake.change(each, patroni_version=version)
    fake.patch_config({"postgresql": {"use_pg_rewind": True, "bin_name": {"pg_rewind": name}}})
    if members is not None:
        record = GuardRecord(members, "20261122-0300-abcdef", "bob", "there", EPOCH)
        fake.dcs.plant(f"{record_prefix(fake.config.prefix)}guard", guard_value(record))
    fake.turn()
    return fake


@pytest.mark.parametrize(
    ("fake", "verdict", "said"),
    [
        (
            _cluster("3.0.2", ("n1", "n2", "n3")),
            Verdict.OK,
            "every member was seen to call the guard before it rewinds",
        ),
        (_cluster("4.0.0", ("n1", "n2", "n3")), Verdict.OK, "every member was seen to call the guard"),
        (_cluster("3.0.2", ("n1", "n2")), Verdict.WARNING, "a guard was installed, but not on n3"),
        (_cluster("3.0.2", None), Verdict.WARNING, "Patroni rewinds by itself"),
        (_cluster("3.0.2", None, name="/srv/pgops-guard/pg_rewind"), Verdict.WARNING, "Patroni rewinds by itself"),
        (
            _cluster("3.0.3", None, name="/srv/pgops-guard/pg_rewind"),
            Verdict.OK,
            "Patroni calls /srv/pgops-guard/pg_rewind",
        ),
    ],
)
def test_health_tells_from_the_dcs_alone(fake: FakeCluster, verdict: Verdict, said: str) -> None:
    (finding,) = find_guard(fake.snapshot(frozenset({View.DCS})))
    assert finding.verdict is verdict and said in finding.text


def test_a_record_that_cannot_be_read_is_no_guard_and_no_fault() -> None:
    fake = _cluster("3.0.2", None)
    fake.dcs.plant(f"{record_prefix(fake.config.prefix)}guard", '{"schema": 2}')
    (finding,) = find_guard(fake.snapshot(frozenset({View.DCS})))
    assert finding.verdict is Verdict.UNKNOWN and "upgrade pgops" in finding.text
