"""How a run ends: what it says, what it leaves, and what may come after it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from pgops.engine.journal import list_journals, read_journal
from pgops.engine.lock import LEASE_S, Locked
from pgops.engine.operation import find_unfinished, forget_run, make_plan, plan_rest, run_plan
from pgops.engine.operator import pin
from pgops.engine.record import RecordFault
from pgops.engine.state import runs_directory
from pgops.errors import ExitCode, Refused, Unreachable
from pgops.plan.step import Part
from pgops.testing.case import PINNED, Case, leftovers, operator_host
from pgops.testing.fake_cluster import FakeCluster
from pgops.testing.faults import Faults
from pgops_pause.pausing import PAUSE
from pgops_pause.resuming import RESUME

PAUSING = Case(PAUSE, {"reason": "racks", "expires_s": None}, FakeCluster)
RESUMING = Case(RESUME, {"without": None}, FakeCluster)


@pytest.fixture(autouse=True)
def here() -> Iterator[None]:
    with operator_host():
        yield


def test_a_refused_first_effect_leaves_nothing() -> None:
    faults = Faults()
    faults.refuse(0)
    world = PAUSING.world(faults=faults)
    outcome = PAUSING.run(world)
    assert outcome.code is ExitCode.FAILED and outcome.run_id is None and "nothing was done" in outcome.sentence
    assert leftovers(world.fake) == [] and world.fake.effects == []
    assert PAUSING.run(PAUSING.world(world.fake)).code is ExitCode.DONE


def test_a_refused_second_effect_stops_midway_and_can_be_continued() -> None:
    faults = Faults()
    faults.refuse(1)
    world = PAUSING.world(faults=faults)
    outcome = PAUSING.run(world)
    assert outcome.code is ExitCode.STOPPED_MIDWAY and outcome.run_id == PINNED.run_id and len(world.fake.effects) == 1
    found = find_unfinished(world, PINNED.run_id, back=False)
    assert (found.record.state, found.record.step, found.record.step_number) == ("stopped", "pause", 2)
    assert "refused" in found.record.why
    again = PAUSING.go_on(PAUSING.world(world.fake))
    assert again is not None and again.code is ExitCode.DONE and len(world.fake.effects) == 2


def test_an_unfinished_run_blocks_every_other_procedure() -> None:
    faults = Faults()
    faults.crash_after(1)
    world = PAUSING.world(faults=faults)
    PAUSING.crash(world)
    other = RESUMING.world(world.fake)
    plan = make_plan(RESUMING.quick, RESUMING.params, other, replace(PINNED, run_id="20261123-0301-others"))
    effects = list(world.fake.effects)
    with pytest.raises(Locked, match=PINNED.run_id):
        run_plan(RESUMING.quick, plan, other, confirmed=True, log_file=os.devnull)
    assert world.fake.effects == effects
    with pytest.raises(Refused, match="another one"):
        find_unfinished(other, "20261123-0301-others", back=False)


def test_a_run_that_is_on_its_way_back_does_not_go_forward() -> None:
    faults = Faults()
    faults.crash_after(1)
    world = PAUSING.world(faults=faults)
    PAUSING.crash(world)
    cut = Faults()
    cut.refuse(1)
    outcome = PAUSING.go_on(PAUSING.world(world.fake, cut), back=True)
    assert outcome is not None and outcome.code is ExitCode.STOPPED_MIDWAY, outcome
    with pytest.raises(Refused, match="is being aborted"):
        find_unfinished(world, PINNED.run_id, back=False)
    again = PAUSING.go_on(PAUSING.world(world.fake), back=True)
    assert again is not None and again.code is ExitCode.DONE
    assert leftovers(world.fake) == [] and "pause" not in world.fake.dynamic_config()


def test_another_version_of_the_procedure_does_not_go_on() -> None:
    def steps(params, pinned, first) -> tuple[Part, ...]:  # type: ignore[no-untyped-def]
        return PAUSE.steps(params, pinned, first)[1:]

    faults = Faults()
    faults.crash_after(0)
    world = PAUSING.world(faults=faults)
    PAUSING.crash(world)
    found = find_unfinished(world, PINNED.run_id, back=False)
    newer = Case(replace(PAUSE, steps=steps), PAUSING.params, FakeCluster)
    with pytest.raises(RecordFault, match="cannot be derived again"):
        plan_rest(newer.quick, found, world, back=False)


def test_a_run_that_is_forgotten_does_nothing_and_frees_the_cluster() -> None:
    faults = Faults()
    faults.crash_after(1)
    world = PAUSING.world(faults=faults)
    PAUSING.crash(world)
    forget_run(world, PINNED.run_id, pin())
    assert leftovers(world.fake) == [] and len(world.fake.effects) == 2
    with pytest.raises(Refused, match="no unfinished run"):
        forget_run(world, PINNED.run_id, pin())


def test_the_journal_tells_the_run() -> None:
    PAUSING.run(PAUSING.world())
    directory = runs_directory()
    assert list_journals(directory) == [PINNED.run_id]
    told = [entry.what for entry in read_journal(directory, PINNED.run_id)]
    assert told[0] == "run" and told[-1] == "ended"
    assert [what for what in told if what in ("begun", "performed", "done")] == [
        "begun",
        "performed",
        "done",
        "begun",
        "performed",
        "done",
        "done",
    ]


def test_nothing_to_do_leaves_no_trace() -> None:
    world = PAUSING.world()
    world.fake.patch_config({"pause": True})
    world.fake.turn()
    case = replace(PAUSING, params={"reason": None, "expires_s": None})
    writes = world.fake.dcs.writes
    assert case.run(world).code is ExitCode.DONE
    assert world.fake.dcs.writes == writes and not runs_directory().exists()


def test_without_the_dcs_there_is_no_plan() -> None:
    world = PAUSING.world()
    world.fake.dcs.unreachable = True
    with pytest.raises(Unreachable, match="no plan can be made"):
        PAUSING.plan(world)


def test_a_journal_that_cannot_be_written_stops_before_the_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    world = PAUSING.world()
    plan = PAUSING.plan(world)
    write = os.write

    def full(handle: int, content: bytes) -> int:
        if b'"what":"begun"' in content:
            raise OSError(28, "No space left on device")
        return write(handle, content)

    monkeypatch.setattr(os, "write", full)
    outcome = PAUSING.run_plan(world, plan)
    monkeypatch.undo()
    assert outcome.code is ExitCode.FAILED and outcome.run_id is None, outcome
    assert world.fake.effects == [] and world.asked == [] and leftovers(world.fake) == []


def test_a_crash_leaves_the_lock_until_its_lease_ends() -> None:
    """From another host nobody can see whether its process lives."""
    faults = Faults()
    faults.crash_after(1)
    world = PAUSING.world(faults=faults)
    with pytest.raises(BaseException, match="after effect 1"):
        PAUSING.run(world)
    assert any("/lock/" in key for key in leftovers(world.fake))
    world.fake.dcs.advance(LEASE_S + 1)
    assert not any("/lock/" in key for key in leftovers(world.fake))
