"""Premises: what must not move, what the run moved itself, and what cannot be read."""

from __future__ import annotations

import pytest

from pgops.observe.snapshot import QUICK
from pgops.plan.premises import UNKNOWN, describe_drift, is_blind, read_premises
from pgops.testing.fake_cluster import FakeCluster

NAMES = ("leader", "timeline", "system_identifier", "members", "key:config", "key:failover")


def test_as_they_are_seen() -> None:
    fake = FakeCluster()
    config = fake.dcs.peek("/service/demo/config")
    assert config is not None
    assert read_premises(NAMES, fake.snapshot(QUICK)) == {
        "leader": "n1",
        "timeline": "2",
        "system_identifier": fake.members["n1"].system_identifier,
        "members": "n1 n2 n3",
        "key:config": str(config.revision),
        "key:failover": "0",
    }


def test_without_an_answer_they_are_unknown() -> None:
    fake = FakeCluster()
    planned = read_premises(NAMES, fake.snapshot(QUICK))
    fake.dcs.unreachable = True
    blind = read_premises(NAMES, fake.snapshot(QUICK))
    assert set(blind.values()) == {UNKNOWN}
    assert is_blind(planned, blind, frozenset())
    assert not is_blind(blind, blind, frozenset()), "what was unknown when the plan was made is no premise"
    assert describe_drift(blind, planned, frozenset()) is None


@pytest.mark.parametrize("name", ["leader", "timeline"])
def test_a_switchover_is_drift(name: str) -> None:
    fake = FakeCluster()
    planned = read_premises((name,), fake.snapshot(QUICK))
    fake.switch_leader("n2")
    fake.turn()
    drift = describe_drift(planned, read_premises((name,), fake.snapshot(QUICK)), frozenset())
    assert drift is not None and "when the plan was made and is" in drift


def test_a_key_that_the_run_moved_itself_is_none() -> None:
    fake = FakeCluster()
    planned = read_premises(NAMES, fake.snapshot(QUICK))
    fake.patch_config({"pause": True})
    now = read_premises(NAMES, fake.snapshot(QUICK))
    assert "the key config was changed since the plan was made" in (describe_drift(planned, now, frozenset()) or "")
    assert describe_drift(planned, now, frozenset({"key:config"})) is None


def test_nobody_leads() -> None:
    fake = FakeCluster()
    planned = read_premises(("leader",), fake.snapshot(QUICK))
    fake.plant("leader", None)
    assert "the leader was n1" in (
        describe_drift(planned, read_premises(("leader",), fake.snapshot(QUICK)), frozenset()) or ""
    )


def test_an_unknown_name_is_a_bug() -> None:
    with pytest.raises(ValueError, match="no premise is named weather"):
        read_premises(("weather",), FakeCluster().snapshot(QUICK))
