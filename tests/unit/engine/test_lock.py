"""The lock: one holder, a token that only grows, and a run that slept past its lease does nothing more."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from pgops.dcs import Compare, Delete, Put
from pgops.engine.lock import LEASE_S, Lock, Locked, LockLost, RecordKeys
from pgops.errors import ExitCode
from pgops.observe.record_facts import LockRecord, RunRecord
from pgops.observe.records import run_value
from pgops.testing.fake_dcs import FakeDcs

MOMENT = datetime(2026, 11, 23, 3, 0, tzinfo=timezone.utc)
KEYS = RecordKeys.of("/service/demo/", "topology", "run-1")
RECORD = LockRecord("topology", "run-1", "alice", "here", 1, "pause the cluster demo", MOMENT)
UNFINISHED = RunRecord(
    "run-0", "pause", "pause it", "bob", "there", 2, MOMENT, "stopped", "pause", 2, 3, "n1 is silent", "d", 7, "/j"
)


@pytest.fixture
def dcs() -> FakeDcs:
    return FakeDcs()


@pytest.fixture
def held(dcs: FakeDcs) -> Iterator[Lock]:
    lock = Lock.acquire(dcs, KEYS, RECORD)
    yield lock
    lock.abandon()


def test_the_second_is_told_who_holds_it(dcs: FakeDcs, held: Lock) -> None:
    before = dcs.dump()
    with pytest.raises(Locked, match="alice on here") as caught:
        Lock.acquire(dcs, KEYS, replace(RECORD, by="bob"))
    assert caught.value.exit_code is ExitCode.LOCKED and "pause the cluster demo, run run-1" in str(caught.value)
    assert dcs.dump() == before


def test_of_many_one_gets_it(dcs: FakeDcs) -> None:
    got: list[Lock] = []

    def race() -> None:
        with contextlib.suppress(Locked):
            got.append(Lock.acquire(dcs, KEYS, RECORD))

    threads = [threading.Thread(target=race) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(got) == 1
    got[0].release()


def test_what_is_written_hangs_on_the_lock(dcs: FakeDcs, held: Lock) -> None:
    assert held.transact((Compare("/x", 0),), (Put("/x", "1"),)).succeeded
    assert not held.transact((Compare("/x", 0),), (Put("/x", "2"),)).succeeded
    held.release((Delete("/x"),))
    assert dcs.dump() == {}
    with pytest.raises(LockLost):
        held.transact((), (Put("/x", "3"),))
    assert dcs.dump() == {}


def test_a_run_that_slept_past_its_lease_does_nothing_more(dcs: FakeDcs, held: Lock) -> None:
    dcs.advance(LEASE_S + 1)
    with pytest.raises(LockLost, match="its lease ran out"):
        held.transact((), (Put("/x", "1"),))
    other = Lock.acquire(dcs, KEYS, replace(RECORD, by="bob"))
    assert other.token > held.token
    with pytest.raises(LockLost, match="now it is held by bob on here"):
        held.transact((), (Put("/x", "1"),))
    with pytest.raises(LockLost):
        held.release()
    assert dcs.peek(KEYS.lock) is not None and dcs.peek("/x") is None
    other.release()


def test_an_unfinished_run_blocks_and_is_named(dcs: FakeDcs) -> None:
    dcs.plant(KEYS.run, run_value(UNFINISHED))
    with pytest.raises(Locked, match="run-0, pause it") as caught:
        Lock.acquire(dcs, KEYS, RECORD)
    assert "pgops runs continue run-0" in (caught.value.next_step or "")
    revision = dcs.read_keys((KEYS.run,))[KEYS.run].revision
    Lock.acquire(dcs, KEYS, RECORD, run_revision=revision).release()


def test_an_unreadable_record_blocks_as_well(dcs: FakeDcs, held: Lock) -> None:
    dcs.plant(KEYS.lock, "{}")
    with pytest.raises(Locked, match="somebody whose record cannot be read"):
        Lock.acquire(dcs, KEYS, RECORD)
    dcs.plant(KEYS.lock, None)
    dcs.plant(KEYS.run, "nonsense")
    with pytest.raises(Locked, match="its record cannot be read"):
        Lock.acquire(dcs, KEYS, RECORD)


def test_a_dead_holder_is_taken_over_only_by_its_very_token(dcs: FakeDcs, held: Lock) -> None:
    with pytest.raises(Locked):
        Lock.acquire(dcs, KEYS, RECORD, dead_token=held.token + 1)
    taken = Lock.acquire(dcs, KEYS, RECORD, dead_token=held.token)
    assert taken.token > held.token
    with pytest.raises(LockLost):
        held.transact((), (Put("/x", "1"),))
    taken.release()


def test_an_answer_that_is_lost_is_settled_by_the_lease(dcs: FakeDcs) -> None:
    dcs.lose_answers = 1
    lock = Lock.acquire(dcs, KEYS, RECORD)
    assert lock.transact((), (Put("/x", "1"),)).succeeded
    lock.release()


def test_work_is_done_beside_a_write_and_both_are_done_after_it(dcs: FakeDcs, held: Lock) -> None:
    seen: list[bool] = []
    held.put_during((Put("/x", "1"),), lambda: seen.append(dcs.peek("/x") is not None))
    assert seen == [True] and dcs.peek("/x") is not None


def test_a_driver_that_cannot_overlap_has_the_work_done_first() -> None:
    class Plain(FakeDcs):
        transact_during = None  # type: ignore[assignment] # what a protocol takes as: it has none

    dcs = Plain()
    lock = Lock.acquire(dcs, KEYS, RECORD)
    seen: list[bool] = []
    lock.put_during((Put("/x", "1"),), lambda: seen.append(dcs.peek("/x") is not None))
    assert seen == [False] and dcs.peek("/x") is not None
    lock.abandon()


def test_work_that_fails_is_told(held: Lock) -> None:
    def fail() -> None:
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        held.put_during((Put("/x", "1"),), fail)


@pytest.mark.parametrize("when", ["before", "during"])
def test_a_lock_that_is_lost_is_noticed_beside_work(
    dcs: FakeDcs, held: Lock, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Work that takes long leaves the answer old, however well it was when it came."""
    monkeypatch.setattr("pgops.engine.lock._OLD_S", 0.0)
    if when == "before":
        dcs.advance(LEASE_S + 1)
    with pytest.raises(LockLost):
        held.put_during((Put("/x", "1"),), lambda: dcs.advance(LEASE_S + 1))
    assert (dcs.peek("/x") is None) is (when == "before")
