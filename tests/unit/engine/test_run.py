"""How a run ends: what it says, what it leaves, and what may come after it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest

from pgops.dcs import Put
from pgops.engine.journal import list_journals, read_journal
from pgops.engine.lock import LEASE_S, Lock, Locked
from pgops.engine.operation import find_unfinished, forget_run, make_plan, plan_rest, run_plan
from pgops.engine.operator import pin
from pgops.engine.record import RecordFault
from pgops.engine.state import runs_directory
from pgops.errors import ExitCode, Refused, Unreachable
from pgops.observe.snapshot import Snapshot
from pgops.plan.actions import Action, render_action
from pgops.plan.step import Part
from pgops.testing.case import PINNED, Case, leftovers, operator_host
from pgops.testing.fake_cluster import FakeCluster
from pgops.testing.fake_world import FakeWorld
from pgops.testing.faults import Crash, Faults
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


def _paused() -> FakeCluster:
    fake = FakeCluster()
    PAUSING.run(PAUSING.world(fake))
    return fake


@pytest.mark.parametrize("case", [PAUSING, replace(RESUMING, make_cluster=_paused)], ids=["pause", "resume"])
def test_journal_and_record_tell_of_each_effect_before_it(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    world = case.world()
    shutil.rmtree(runs_directory(), ignore_errors=True)
    flushes = _Flushes(monkeypatch)
    perform = world.perform
    kinds: list[type[Action]] = []

    def watched(action: Action, lock: Lock, now: Snapshot, tied: Sequence[Put] = ()) -> None:
        kinds.append(type(action))
        (path,) = runs_directory().iterdir()
        assert path.stat().st_size == flushes.whole_bytes, "the disk does not have it all"
        last = read_journal(runs_directory(), PINNED.run_id)[-1]
        assert last.what == "begun" and last.content["does"] == render_action(action)
        record = next(put.value for put in tied if put.key == lock.keys.run) if tied else _value(world, lock.keys.run)
        assert (json.loads(record)["step"], json.loads(record)["action"]) == (last.content["step"], 0)
        perform(action, lock, now, tied)

    monkeypatch.setattr(world, "perform", watched)
    assert case.run(world).code is ExitCode.DONE
    assert sorted(kind.__name__ for kind in kinds) == ["CallRest", "ChangeKeys"]


def test_nothing_of_a_run_is_in_the_dcs_before_its_journal_is_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    case = replace(RESUMING, make_cluster=_paused)
    world = case.world()
    shutil.rmtree(runs_directory())
    flushes = _Flushes(monkeypatch)

    def die(_handle: int) -> None:
        raise Crash

    flushes.at[0] = die
    case.crash(world)
    with pytest.raises(Refused, match="no unfinished run"):
        find_unfinished(world, PINNED.run_id, back=False)
    assert world.asked == []


def _value(world: FakeWorld, key: str) -> str:
    found = world.fake.dcs.peek(key)
    assert found is not None, f"nothing under {key}"
    return found.value


def test_a_disk_that_fails_at_the_second_effect_stops_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    flushes = _Flushes(monkeypatch)
    flushes.at[1] = lambda _handle: (_ for _ in ()).throw(OSError(5, "Input/output error"))
    world = PAUSING.world()
    outcome = PAUSING.run(world)
    assert outcome.code is ExitCode.STOPPED_MIDWAY and "journal cannot be written" in outcome.sentence, outcome
    assert len(world.fake.effects) == 1 == len(world.asked)
    again = PAUSING.go_on(PAUSING.world(world.fake))
    assert again is not None and again.code is ExitCode.DONE and len(world.fake.effects) == 2


def test_a_power_cut_before_the_journal_is_on_the_disk_is_gone_on_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """The record is written while the journal is flushed: it may tell of a line that the disk never got."""
    flushes = _Flushes(monkeypatch)

    def lose(handle: int) -> None:
        os.ftruncate(handle, flushes.whole_bytes)
        raise Crash

    flushes.at[1] = lose
    world = PAUSING.world()
    PAUSING.crash(world)
    monkeypatch.setattr("pgops.engine.operation.pin", lambda: replace(pin(), host=PINNED.host))
    record = find_unfinished(world, PINNED.run_id, back=False).record
    assert (record.step, record.host) == ("pause", PINNED.host) and len(world.fake.effects) == 1
    again = PAUSING.go_on(PAUSING.world(world.fake))
    assert again is not None and again.code is ExitCode.DONE, again
    assert len(world.fake.effects) == 2
    told = [entry.what for entry in read_journal(runs_directory(), PINNED.run_id)]
    assert told.count("begun") == 2 and told[-1] == "ended"


def test_a_journal_that_lost_what_the_record_names_is_not_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    faults = Faults()
    faults.crash_before(1)
    world = PAUSING.world(faults=faults)
    PAUSING.crash(world)
    monkeypatch.setattr("pgops.engine.operation.pin", lambda: replace(pin(), host=PINNED.host))
    path = runs_directory() / f"{PINNED.run_id}.jsonl"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    outcome = PAUSING.go_on(PAUSING.world(world.fake))
    assert outcome is not None and outcome.code is ExitCode.STOPPED_MIDWAY, outcome
    assert "cannot be trusted" in outcome.sentence and len(world.fake.effects) == 1


class _Flushes:
    """Stands before the disk: does something else at some flushes, by number, and knows what the disk has for sure."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at: dict[int, Callable[[int], object]] = {}
        self.whole_bytes = 0
        self._count = 0
        self._flush = os.fdatasync
        monkeypatch.setattr(os, "fdatasync", self)

    def __call__(self, handle: int) -> None:
        self._count += 1
        if self._count - 1 in self.at:
            self.at[self._count - 1](handle)
        self._flush(handle)
        self.whole_bytes = os.fstat(handle).st_size


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
