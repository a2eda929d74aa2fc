"""Signals: the first is a wish, the second ends at once, and afterwards all is as before."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from pgops.engine.stopping import StopWish
from pgops.errors import ExitCode
from pgops.testing.case import Case, operator_host
from pgops.testing.fake_cluster import FakeCluster
from pgops.testing.fake_world import FakeWorld
from pgops_pause.pausing import PAUSE

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("first", SIGNALS)
@pytest.mark.parametrize("second", SIGNALS)
def test_the_first_is_heeded_and_the_second_ends_at_once(first: signal.Signals, second: signal.Signals) -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with StopWish() as wish:
        assert wish.name is None
        os.kill(os.getpid(), first)
        assert wish.name == first.name
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), second)
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_a_sleep_ends_with_the_signal() -> None:
    with StopWish() as wish:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        started = time.monotonic()
        wish.sleep(10)
        assert time.monotonic() - started < 6
        wish.sleep(10)
        assert time.monotonic() - started < 6


def _case(strokes: int) -> Case:
    """A pause during whose second effect the operator presses Ctrl-C that many times."""

    def make() -> FakeCluster:
        return FakeCluster()

    def set_up(world: FakeWorld) -> None:
        serve = world.rest["PATCH", "/config"]

        def pressed(fake: FakeCluster, member: str, body: object) -> int:
            status = serve(fake, member, body)  # type: ignore[arg-type] # as it came
            for _ in range(strokes):
                os.kill(os.getpid(), signal.SIGINT)
            return status

        world.rest["PATCH", "/config"] = pressed

    return Case(PAUSE, {"reason": None, "expires_s": None}, make, set_up)


def test_the_present_effect_is_finished_and_the_run_can_be_continued() -> None:
    case = _case(1)
    with operator_host():
        world = case.world()
        outcome = case.run(world)
        assert outcome.code in (ExitCode.STOPPED_MIDWAY, ExitCode.INTERRUPTED), outcome
        assert outcome.run_id is not None and "runs continue" in (outcome.next_step or "")
        assert len(world.fake.effects) == 2 and world.fake.dynamic_config()["pause"] is True
        again = case.go_on(FakeWorld(world.fake))
        assert again is not None and again.code is ExitCode.DONE, again
        assert len(world.fake.effects) == 2


def test_a_second_signal_stops_within_the_effect() -> None:
    case = _case(2)
    with operator_host():
        world = case.world()
        outcome = case.run(world)
        assert outcome.code in (ExitCode.STOPPED_MIDWAY, ExitCode.INTERRUPTED) and "second signal" in outcome.sentence
        again = case.go_on(FakeWorld(world.fake))
        assert again is not None and again.code is ExitCode.DONE, again
