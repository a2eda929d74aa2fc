"""The fake cluster: it behaves as Patroni does where procedures look, and refuses what cannot be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pgops.checklist import all_checks
from pgops.checks import Verdict
from pgops.engine.world import ActionFault
from pgops.hosts.host import Identity
from pgops.observe.facts import ArchiveFacts
from pgops.observe.snapshot import ALL, NOT_ASKED, QUICK, View
from pgops.plan.actions import CarryFolder
from pgops.readings import Known, Unknown
from pgops.testing.fake_cluster import TTL_S, FakeCluster
from pgops.testing.fake_host import FakeJob
from pgops.testing.fake_member import MIB
from pgops.testing.fake_tools import carry_between_fake_hosts
from pgops.testing.impossible import ImpossibleWorld


def dead(fake: FakeCluster) -> None:
    fake.change("n3", patroni="dead")
    fake.change("n3", acknowledges=True)


def hold_then_start(fake: FakeCluster) -> None:
    for file in fake.manager.hold_files("patroni", "{}"):
        path, content = file.path, file.content
        fake.change_host("n2", lambda host, path=path, content=content: host.with_file(path, content))  # type: ignore[misc]
    fake.change_host("n2", lambda host: replace(host, loaded=frozenset(host.files), running=frozenset()))
    fake.change_host("n2", lambda host: replace(host, running=frozenset({"patroni"})))


def job_twice(fake: FakeCluster) -> None:
    job = FakeJob("j", ("sleep",), state="ended", exit_code=0)
    fake.change_host("n2", lambda host: replace(host, jobs={"j": job}))
    fake.change_host("n2", lambda host: replace(host, jobs={"j": replace(job, state="running")}))


def get_back_wal(fake: FakeCluster) -> None:
    fake.change("n1", wal_from_bytes=0x11_0000_00)
    fake.change("n1", wal_from_bytes=0x10_0000_00)


def token_falls(fake: FakeCluster) -> None:
    fake.change_host("n2", lambda host: replace(host, tokens={Identity.ROOT: 7}))
    fake.change_host("n2", lambda host: replace(host, tokens={Identity.ROOT: 6}))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda fake: fake.change("n2", holds_lock=True), "both hold the lock"),
        (lambda fake: fake.plant("leader", "n2"), "both hold the lock"),
        (lambda fake: fake.plant("leader", "nobody"), "is no member"),
        (lambda fake: fake.change("n2", position_bytes=0x13_0000_00), "ahead of its own timeline's history"),
        (lambda fake: fake.change("n2", timeline=9), "which nobody ever began"),
        (lambda fake: fake.change("n2", role="primary"), "without a new timeline"),
        (lambda fake: fake.change("n1", position_bytes=1), "lost WAL while it ran"),
        (dead, "cannot acknowledge"),
        (hold_then_start, "started while it is held"),
        (job_twice, "started twice"),
        (token_falls, "forgot a token"),
        (lambda fake: fake.begin_timeline("n2", 2), "and 2 is taken"),
        (lambda fake: fake.change("n1", wal_from_bytes=0x13_0000_00), "had not written yet"),
        (get_back_wal, "got back WAL"),
    ],
)
def test_an_impossible_world_is_refused(change: Callable[[FakeCluster], Any], why: str) -> None:
    with pytest.raises(ImpossibleWorld, match=why):
        change(FakeCluster())


def test_a_plain_cluster_has_no_critical_finding() -> None:
    fake = FakeCluster()
    fake.turn()
    seen = fake.snapshot(ALL)
    found = [
        (check.name, item.text)
        for check in all_checks()[0]
        for item in check.find(seen)
        if item.verdict is Verdict.CRITICAL
    ]
    wanted = {"primary", "lock", "patroni", "timeline", "system-id", "ahead", "wal-identity", "history-files"}
    assert [item for item in found if item[0] in wanted] == []


def test_only_what_was_asked_is_seen() -> None:
    fake = FakeCluster()
    quick = fake.snapshot(QUICK)
    assert all(
        node.sql == node.services == node.control == NOT_ASKED and isinstance(node.rest, Known) for node in quick.nodes
    )
    one = fake.snapshot(frozenset({View.SERVICES}), frozenset({"n2"}))
    assert [isinstance(node.services, Known) for node in one.nodes] == [False, True, False]
    assert all(node.rest == NOT_ASKED and node.rest_url is None for node in one.nodes)
    assert one.dcs == NOT_ASKED and isinstance(one.keys, Known) and one.views == frozenset({View.SERVICES})


def test_the_dead_and_the_frozen_say_nothing_and_their_keys_go() -> None:
    fake = FakeCluster()
    fake.change("n2", patroni="frozen")
    fake.change("n3", patroni="dead")
    fake.patch_config({"pause": True})
    fake.advance(TTL_S + 1)
    seen = fake.snapshot(ALL)
    assert [isinstance(node.rest, Unknown) for node in seen.nodes] == [False, True, True]
    assert [node.member is not None for node in seen.nodes] == [True, False, False]
    assert all(isinstance(node.sql, Known) for node in seen.nodes)


def test_a_leader_that_dies_is_followed_by_another_unless_paused() -> None:
    fake = FakeCluster()
    fake.change("n1", patroni="dead", postgres="crashed")
    fake.advance(TTL_S + 1)
    assert fake.snapshot(QUICK).leader == "n2" and fake.members["n2"].timeline == 3
    paused = FakeCluster()
    paused.patch_config({"pause": True})
    paused.turn()
    paused.change("n1", patroni="dead", postgres="crashed")
    paused.advance(TTL_S + 1)
    assert paused.snapshot(QUICK).leader is None


def test_in_synchronous_mode_the_standby_that_confirms_is_promoted_and_nobody_else() -> None:
    fake = FakeCluster()
    fake.patch_config({"synchronous_mode": True})
    fake.advance(10)
    sync = fake.dcs.peek("/service/demo/sync")
    assert sync is not None and sync.value == '{"leader": "n1", "sync_standby": "n2"}'
    fake.change("n2", patroni="dead", postgres="crashed")
    fake.change("n1", patroni="dead", postgres="crashed")
    fake.advance(TTL_S + 1)
    assert fake.snapshot(QUICK).leader is None, "n3 may miss what was confirmed"
    fake.patch_config({"synchronous_mode": None})
    fake.advance(10)
    assert fake.snapshot(QUICK).leader == "n3"
    assert fake.dcs.peek("/service/demo/sync") is None


def test_who_is_too_far_behind_is_not_promoted() -> None:
    fake = FakeCluster(("n1", "n2"))
    fake.change("n1", position_bytes=fake.members["n1"].position_bytes + 2 * MIB)
    fake.turn()
    fake.change("n1", patroni="dead", postgres="crashed")
    fake.advance(TTL_S + 1)
    assert fake.snapshot(QUICK).leader is None
    fake.patch_config({"maximum_lag_on_failover": 3 * MIB})
    fake.turn()
    assert fake.snapshot(QUICK).leader == "n2"


def test_a_replica_that_had_more_than_the_new_leader_is_rewound() -> None:
    fake = FakeCluster()
    end = fake.members["n1"].position_bytes + 0x1000
    for name in ("n1", "n3"):
        fake.change(name, position_bytes=end)
    fake.switch_leader("n2")
    assert fake.members["n3"].own_branch and fake.destroyed == []
    fake.turn()
    assert "n3" in fake.destroyed and fake.members["n3"].timeline == fake.members["n2"].timeline


def test_a_standby_does_not_start_where_the_archive_leads_it_astray() -> None:
    fake = FakeCluster()
    fake.archives = (ArchiveFacts(1, "15-1", (), {3: "1\t0/4000000\tno reason\n"}),)
    fake.change("n2", postgres="stopped")
    fake.turn()
    assert running(fake) == ["n1", "n3"]
    fake.switch_leader("n3")
    assert fake.members["n3"].timeline == 4, "a number that a history file has is taken"
    fake.turn()
    assert running(fake) == ["n1", "n2", "n3"]


def running(fake: FakeCluster) -> list[str]:
    return [name for name, member in fake.members.items() if member.postgres == "running"]


def test_a_resume_rewinds_a_second_primary() -> None:
    """That is why `pgops resume` refuses; the fake destroys as Patroni does."""
    fake = FakeCluster()
    fake.patch_config({"pause": True})
    fake.turn()
    fake.begin_timeline("n2", 3)
    fake.turn()
    assert fake.destroyed == []
    fake.patch_config({"pause": None})
    fake.turn()
    assert fake.destroyed == ["n2"] and fake.dynamic_config() == {"ttl": 30, "loop_wait": 10, "retry_timeout": 10}


def test_config_is_merged_as_patroni_does_it() -> None:
    fake = FakeCluster()
    before = fake.dcs.peek("/service/demo/config")
    fake.patch_config({"pause": None})
    assert fake.dcs.peek("/service/demo/config") == before, "what changes nothing is not written"
    fake.patch_config({"postgresql": {"parameters": {"a": "1", "b": "2"}}})
    fake.patch_config({"postgresql": {"parameters": {"a": None}}})
    assert fake.dynamic_config()["postgresql"] == {"parameters": {"b": "2"}}


def test_a_folder_is_carried_as_between_real_hosts() -> None:
    fake = FakeCluster()
    fake.change_host("n2", lambda host: host.with_file("/a/x", "1").with_file("/a/b/y", "2").with_file("/ab", "3"))
    fake.change_host("n1", lambda host: host.with_file("/c/old", "4"))
    carry_between_fake_hosts(fake, CarryFolder("n2", "/a", "n1", "/c", whole=False), 5, None)
    assert dict(fake.hosts["n1"].files) == {"/c/old": "4", "/c/x": "1", "/c/b/y": "2"}
    carry_between_fake_hosts(fake, CarryFolder("n2", "/a", "n1", "/c"), 5, None)
    assert dict(fake.hosts["n1"].files) == {"/c/x": "1", "/c/b/y": "2"}
    with pytest.raises(ActionFault, match="another run has taken over"):
        carry_between_fake_hosts(fake, CarryFolder("n2", "/a", "n1", "/d"), 4, None)
    for end in ("n1", "n2"):
        down = FakeCluster()
        down.change(end, host_up=False)
        with pytest.raises(ActionFault, match=f"{end}: no answer in time"):
            carry_between_fake_hosts(down, CarryFolder("n2", "/a", "n1", "/d"), 5, None)
