"""The fake DCS under the very tests that the real etcd passes, and the switches that only it has."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from contract.dcs.test_etcd_writes import (
    key,  # noqa: F401 - a fixture of the tests below
    test_a_lease_is_kept_ends_and_is_revoked,  # noqa: F401 - run here again
    test_a_transaction_makes_all_changes_or_none,  # noqa: F401 - likewise
    test_more_than_etcd_takes_is_refused,  # noqa: F401 - likewise
    test_of_two_writers_exactly_one_wins,  # noqa: F401 - likewise
)
from pgops.dcs import Compare, Dcs, DcsFault, DcsOutcomeUnknown, Put
from pgops.testing.fake_dcs import FakeDcs


class _ByTheClock(FakeDcs):
    """Its time passes as ours does."""

    _seen_s: float | None = None

    def _answer(self) -> None:
        now = time.monotonic()
        self.advance(now - (self._seen_s if self._seen_s is not None else now))
        self._seen_s = now
        super()._answer()


@pytest.fixture
def open_dcs() -> Callable[[], Dcs]:
    dcs = _ByTheClock()
    return lambda: dcs


def test_it_is_a_driver() -> None:
    dcs: Dcs = FakeDcs()
    assert dcs.health().members[0].healthy


def test_unreachable_it_does_nothing() -> None:
    dcs = FakeDcs()
    lease = dcs.grant_lease(10)
    dcs.transact([], [Put("/a", "1", lease)])
    dcs.unreachable = True
    calls: list[Callable[[], object]] = [
        lambda: dcs.transact([], [Put("/a", "2")]),
        lambda: dcs.read_keys(["/a"]),
        lambda: dcs.read_prefix("/"),
        lambda: dcs.keep_lease(lease),
        lambda: dcs.grant_lease(1),
        lambda: dcs.revoke_lease(lease),
        dcs.health,
    ]
    for call in calls:
        with pytest.raises(DcsFault) as caught:
            call()
        assert not isinstance(caught.value, DcsOutcomeUnknown)
    dcs.unreachable = False
    assert dcs.read_keys(["/a"])["/a"].value == "1"


def test_a_lost_answer_is_of_a_write_that_was_made() -> None:
    dcs = FakeDcs()
    dcs.lose_answers = 1
    with pytest.raises(DcsOutcomeUnknown):
        dcs.transact([Compare("/a", 0)], [Put("/a", "1")])
    assert dcs.read_keys(["/a"])["/a"].value == "1"
    assert dcs.transact([], [Put("/a", "2")]).succeeded
