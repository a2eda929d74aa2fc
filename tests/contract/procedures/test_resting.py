"""A procedure that comes to rest where a person must decide, and the ones that answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgops.checks import Verdict
from pgops.engine.operation import run_plan
from pgops.errors import ExitCode, Refused
from pgops.observe.keys import record_prefix
from pgops.observe.record_facts import RestRecord
from pgops.observe.snapshot import View
from pgops.plan.step import Procedure, Rest
from pgops.readings import known
from pgops.testing.case import Case, operator_host
from pgops.testing.fake_cluster import FakeCluster
from pgops.testing.fake_world import FakeWorld
from pgops_health.checks.runs import find_runs
from pgops_pause.pausing import PAUSE
from pgops_pause.resuming import RESUME

ANSWERS = ("pgops pitr accept", "pgops pitr again --at TIME")
RESTING = replace(
    PAUSE,
    name="restore-point",
    rest=lambda _params, _first: Rest("restore-point", "the server shows 03:00 and takes no writes", ANSWERS),
)
ACCEPT = replace(RESUME, name="accept", answers=frozenset({"restore-point"}), rest=None)
AGAIN = replace(ACCEPT, name="again", rest=RESTING.rest)


def run(world: FakeWorld, procedure: Procedure) -> ExitCode:
    case = Case(procedure, {"without": None, "reason": None, "expires_s": None}, FakeCluster)
    return run_plan(procedure, case.plan(world), world, confirmed=True, log_file="/dev/null").code


def resting(world: FakeWorld) -> RestRecord | None:
    keys = known(world.observe(frozenset({View.REST}), None).keys)
    assert keys is not None
    return keys.rest_record


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld(FakeCluster())


def test_it_is_recorded_shown_and_blocks_until_it_is_answered(world: FakeWorld) -> None:
    with operator_host():
        assert run(world, RESTING) is ExitCode.DONE
        record = resting(world)
        assert record is not None
        assert (record.state, record.answers, record.procedure) == ("restore-point", ANSWERS, "restore-point")
        (finding,) = find_runs(world.observe(frozenset({View.REST}), None))
        assert finding.verdict is Verdict.WARNING
        assert "the server shows 03:00" in finding.text
        assert finding.next_step == "one of: pgops pitr accept; pgops pitr again --at TIME"
        effects = list(world.fake.effects)
        with pytest.raises(Refused, match="somebody must decide first"):
            run(world, RESUME)
        assert world.fake.effects == effects
        assert run(world, ACCEPT) is ExitCode.DONE
        assert resting(world) is None


def test_an_answer_may_come_to_rest_again(world: FakeWorld) -> None:
    with operator_host():
        run(world, RESTING)
        assert run(world, AGAIN) is ExitCode.DONE
        again = resting(world)
        assert again is not None and again.procedure == "again"


def test_an_answer_to_nothing_is_refused(world: FakeWorld) -> None:
    with operator_host():
        run(world, PAUSE)
        with pytest.raises(Refused, match="rests at none of: restore-point"):
            run(world, ACCEPT)


def test_a_record_that_cannot_be_read_blocks(world: FakeWorld) -> None:
    with operator_host():
        world.fake.dcs.plant(f"{record_prefix(world.fake.config.prefix)}rest", '{"schema":99}')
        with pytest.raises(Refused, match="cannot be read"):
            run(world, PAUSE)
