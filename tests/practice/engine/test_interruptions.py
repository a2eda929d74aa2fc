"""Signals, a lost lease and a DCS without quorum, each between or within the effects of a run."""

from __future__ import annotations

import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from practice.engine.desk import Desk, wait_until

LAB = "eng-cuts"
pytestmark = [pytest.mark.practice, pytest.mark.xdist_group("engine-cuts")]

PAUSE = ("pause", "--reason", "cut")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _clear(desk: Desk) -> None:
    desk.set_pause(on=False)


def test_a_run_that_lost_its_lease_does_nothing_more(desk: Desk) -> None:
    _clear(desk)
    running = desk.stopped(*PAUSE, at=1, after=True)
    run_id = desk.run_id()
    desk.etcd.end_lock()
    still = desk.etcd.still()

    ended = running.go_on()

    assert ended.code == 4, ended.said
    assert "no longer ours" in ended.err
    assert desk.etcd.still() == still
    desk.done("runs", "continue", run_id)
    assert desk.etcd.is_paused()


def test_a_run_that_was_overtaken_does_nothing_more(desk: Desk, tmp_path: Path) -> None:
    _clear(desk)
    running = desk.stopped(*PAUSE, at=1, after=True)
    run_id = desk.run_id()
    desk.etcd.end_lock()
    other = replace(desk, state=tmp_path / "elsewhere", host="ops2")
    other.done("runs", "continue", run_id)
    still = desk.etcd.still()

    ended = running.go_on()

    assert ended.code == 4, ended.said
    assert desk.etcd.still() == still
    assert "run" not in desk.etcd.own()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_lets_the_effect_end_and_says_how_to_go_on(desk: Desk, number: signal.Signals) -> None:
    _clear(desk)
    running = desk.stopped(*PAUSE, at=1)

    ended = running.go_on(number)

    assert ended.code == 4, ended.said
    run_id = desk.run_id()
    assert number.name in ended.err
    assert f"pgops runs continue {run_id}" in ended.err
    assert "pause" in desk.etcd.own(), "the effect under way was not ended"
    assert not desk.etcd.is_paused(), "a second effect was begun after the signal"
    desk.done("runs", "continue", run_id)
    assert desk.etcd.is_paused()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_a_wait(desk: Desk, number: signal.Signals) -> None:
    desk.ask_patroni("PATCH", "/config", {"loop_wait": 10})  # `resume` watches one loop
    desk.set_pause(on=True)
    running = desk.start("resume", "--yes")
    wait_until(lambda: not desk.etcd.is_paused(), 30)

    ended = running.go_on(number)

    assert ended.code == 4, ended.said
    assert ended.took_s < 8
    run_id = desk.run_id()
    assert f"pgops runs continue {run_id}" in ended.err
    desk.done("runs", "continue", run_id)
    assert "pause" not in desk.etcd.own()
    desk.ask_patroni("PATCH", "/config", {"loop_wait": 2})


def test_a_second_signal_ends_it_at_once(desk: Desk) -> None:
    _clear(desk)
    running = desk.stopped(*PAUSE, at=1)

    ended = running.go_on(signal.SIGTERM, signal.SIGINT)

    assert ended.code in (4, 130), ended.said
    assert ended.took_s < 6
    run_id = desk.run_id()
    assert f"pgops runs continue {run_id}" in ended.err
    desk.done("runs", "continue", run_id)
    assert desk.etcd.is_paused()
    assert desk.etcd.own()["pause"].version == 1
    assert "lock/topology" not in desk.etcd.own()


def test_a_signal_before_the_first_effect_leaves_nothing(desk: Desk) -> None:
    _clear(desk)
    still = desk.etcd.still()
    running = desk.start(*PAUSE)
    time.sleep(0.1)
    ended = running.go_on(signal.SIGTERM)
    assert ended.code in (130, -signal.SIGTERM), ended.said
    assert desk.etcd.still() == still


def test_a_dcs_without_quorum_stops_the_run_and_it_is_continued_later(desk: Desk) -> None:
    _clear(desk)
    # Else the leader steps down, and a plan that names it fits no more.
    desk.ask_patroni("PATCH", "/config", {"failsafe_mode": True})
    time.sleep(5)
    version = desk.etcd.config().version
    running = desk.stopped(*PAUSE, at=2)
    run_id = desk.run_id()
    desk.supervise("stop", "etcd-n2", "etcd-n3")
    try:
        ended = running.go_on()
    finally:
        desk.supervise("start", "etcd-n2", "etcd-n3")
    assert ended.code in (4, 5), ended.said
    assert ended.took_s < 30, ended.said
    assert run_id in ended.err
    wait_until(lambda: desk.lab.pgops("runs", "list").exit_code == 0, 30)
    wait_until(lambda: desk.leader() != "", 60)

    ended = desk.pgops("runs", "continue", run_id)

    assert ended.code == 0, ended.said
    assert desk.etcd.is_paused()
    assert desk.etcd.config().version == version + 1
    _clear(desk)
