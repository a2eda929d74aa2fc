"""Members that cannot answer a pause, and a resume that would destroy evidence."""

from __future__ import annotations

import pytest

from practice.engine.desk import Desk, wait_until

LAB = "eng-members"
pytestmark = [pytest.mark.practice, pytest.mark.xdist_group("engine-members")]


def _replica(desk: Desk) -> str:
    return next(name for name in ("n3", "n2", "n1") if name != desk.leader())


def _assert_paused_but_for(desk: Desk, name: str) -> None:
    ended = desk.pgops("pause", "--reason", "a member is silent")
    assert ended.code == 8, ended.said
    assert f"{name} does not acknowledge" in ended.err
    assert desk.etcd.is_paused()
    assert not {"run", "lock/topology"} & set(desk.etcd.own())


def test_a_member_whose_patroni_is_dead_is_named(desk: Desk) -> None:
    desk.await_healthy()
    desk.set_pause(on=False)
    name = _replica(desk)
    desk.supervise("stop", f"patroni-{name}")
    try:
        _assert_paused_but_for(desk, name)
    finally:
        desk.supervise("start", f"patroni-{name}")
    wait_until(lambda: desk.pgops("resume").code == 0, 60)
    desk.await_healthy()


def test_a_member_whose_patroni_is_frozen_is_named(desk: Desk) -> None:
    desk.await_healthy()
    desk.set_pause(on=False)
    name = _replica(desk)
    desk.supervise("signal", "STOP", f"patroni-{name}")
    try:
        _assert_paused_but_for(desk, name)
        # Its PostgreSQL is seen to be a replica, so nothing would be destroyed; its Patroni still is to be named.
        resumed = desk.pgops("resume", "--yes")
        assert resumed.code == 8, resumed.said
        assert f"{name} does not acknowledge" in resumed.err
    finally:
        desk.supervise("signal", "CONT", f"patroni-{name}")
    desk.await_healthy()


def test_a_resume_over_two_primaries_is_refused(desk: Desk) -> None:
    desk.await_healthy()
    desk.set_pause(on=False)
    desk.lab.lab("break", "split-brain")
    try:
        paused = desk.pgops("pause", "--reason", "two primaries")
        assert paused.code == 8, paused.said
        still = desk.etcd.still()
        config = desk.etcd.config()

        refused = desk.pgops("resume", "--yes")

        assert refused.code == 3, refused.said
        assert "destroy evidence" in refused.err
        assert "take writes" in refused.err
        assert desk.etcd.still() == still
        assert desk.etcd.config() == config
        assert desk.etcd.is_paused()
    finally:
        desk.ask_patroni("PATCH", "/config", {"pause": None})
        desk.lab.lab("mend")
    desk.await_healthy()
