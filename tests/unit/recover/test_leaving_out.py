"""What is said of members that are left out, and what of it health tells."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from pgops.checks import Finding, Verdict
from pgops.observe.record_facts import GuardRecord, LeftOutRecord
from pgops.observe.snapshot import ALL, DcsKeys, Snapshot
from pgops.plan.step import Standing, Step
from pgops.readings import Known, known
from pgops.testing.case import PINNED
from pgops.testing.fake_cluster import FakeCluster
from pgops_recover.checks import find_guard, find_left_out
from pgops_recover.incident import Incident, parse_left_out
from pgops_recover.leaving_out import NEVER, allow_rewind, bar_rewind

RECORD = LeftOutRecord(("n1",), "20261123-0412-k7f3", "alice@ops1", datetime(2026, 11, 23, 4, tzinfo=timezone.utc))
INCIDENT = Incident("demo", None, "n2", (), {}, {"n1": "off"}, ("n3",), None)
REWINDING = {"postgresql": {"use_pg_rewind": True, "bin_name": {"pg_rewind": NEVER, "postgres": "postgres-15"}}}


def seen(config: Mapping[str, object], *, version: str = "4.1.0", record: LeftOutRecord | None = None) -> Snapshot:
    now = FakeCluster().snapshot(ALL)
    keys = known(now.keys)
    assert keys is not None
    members = tuple(replace(member, version=version) for member in keys.members)
    return replace(now, keys=Known(replace(keys, config=dict(config), members=members, left_out_record=record)))


def keys_after(step: Step, now: Snapshot) -> DcsKeys:
    keys = known(step.expect(now).keys)
    assert keys is not None
    return keys


def judge(config: Mapping[str, object], **more: str) -> tuple[Standing, str]:
    now = seen(config, version=more.get("version", "4.1.0"))
    verdict = bar_rewind(INCIDENT, PINNED).check(now, now)
    return verdict.standing, verdict.reason


def say(found: list[Finding]) -> tuple[Verdict, str]:
    (finding,) = found
    return finding.verdict, finding.text


@pytest.mark.parametrize("text", ["n1", "n1=", "=off", "n1=gone", "n1=off,n1=held"])
def test_how_it_is_kept_from_coming_back_must_be_said(text: str) -> None:
    with pytest.raises(ValueError, match=r"does not say|named twice"):
        parse_left_out(text)


def test_each_has_its_own_way() -> None:
    assert parse_left_out("n1=off,n3=held") == {"n1": "off", "n3": "held"} and parse_left_out("") == {}


def test_what_stands_in_the_place_of_pg_rewind_can_only_fail() -> None:
    """As Patroni asks it, and as it calls it. Source: Patroni, patroni/postgresql/rewind.py, can_rewind and pg_rewind."""
    assert subprocess.run([NEVER, "--help"], capture_output=True, check=False).returncode == 0
    for words in (["-D", "/tmp", "--source-server", "host=x"], ["--restore-target-wal", "-D", "/tmp"]):
        assert subprocess.run([NEVER, *words], capture_output=True, check=False).returncode != 0


def test_where_nobody_is_rewound_anyway_nothing_is_changed() -> None:
    assert judge({}) == (Standing.SATISFIED, "the dynamic configuration does not let Patroni rewind")
    guarded = {"postgresql": {"use_pg_rewind": True, "bin_name": {"pg_rewind": "/srv/guard/pg_rewind"}}}
    assert judge(guarded)[0] is Standing.SATISFIED


def test_a_guard_that_a_members_own_file_names_is_enough() -> None:
    now = seen({"postgresql": {"use_pg_rewind": True}}, version="3.0.2")
    keys = known(now.keys)
    assert keys is not None
    record = GuardRecord(("n1", "n2"), "20261123-0412-k7f3", "alice", "ops1", RECORD.since)
    guarded = replace(now, keys=Known(replace(keys, guard_record=record)))
    assert bar_rewind(INCIDENT, PINNED).check(guarded, guarded).standing is Standing.SATISFIED
    elsewhere = replace(now, keys=Known(replace(keys, guard_record=replace(record, members=("n2",)))))
    assert bar_rewind(INCIDENT, PINNED).check(elsewhere, elsewhere).standing is Standing.BLOCKED


def test_an_old_patroni_would_rewind_all_the_same() -> None:
    standing, text = judge({"postgresql": {"use_pg_rewind": True}}, version="3.0.2")
    assert standing is Standing.BLOCKED and "it does from 3.0.3 on" in text
    assert judge({"postgresql": {"use_pg_rewind": True}}, version="3.0.3")[0] is Standing.NEEDED


def test_other_programs_stay_as_they_are() -> None:
    plain = {"postgresql": {"use_pg_rewind": True, "bin_name": {"postgres": "postgres-15"}}, "ttl": 30}
    barred = keys_after(bar_rewind(INCIDENT, PINNED), seen(plain))
    assert barred.config == {**REWINDING, "ttl": 30} and barred.left_out_record is not None
    assert keys_after(allow_rewind(), seen({**REWINDING, "ttl": 30}, record=RECORD)).config == plain


def test_a_program_that_somebody_put_there_meanwhile_stays() -> None:
    other = {"postgresql": {"use_pg_rewind": True, "bin_name": {"pg_rewind": "/srv/guard/pg_rewind"}}}
    after = keys_after(allow_rewind(), seen(other, record=RECORD))
    assert after.config == other and after.left_out_record is None


def test_members_that_were_left_out_before_stay_in_the_record() -> None:
    before = replace(RECORD, members=("n3",))
    record = keys_after(bar_rewind(INCIDENT, PINNED), seen(REWINDING, record=before)).left_out_record
    assert record is not None and record.members == ("n1", "n3")


def test_health_tells_who_waits() -> None:
    assert say(list(find_left_out(seen({}))))[0] is Verdict.OK
    verdict, text = say(list(find_left_out(seen(REWINDING, record=RECORD))))
    assert verdict is Verdict.WARNING and "left n1 out" in text
    assert "see check left-out" in say(list(find_guard(seen(REWINDING, record=RECORD))))[1]
