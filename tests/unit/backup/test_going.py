"""What was named for removal and is not there; how what goes is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from pgops.observe.facts import Backup, ExpiringHistory, ExpiringWal, RepositoryStatus, StanzaFacts
from pgops.testing.fake_snapshot import EPOCH
from pgops_backup.going import Going, find_absent, tell
from unit.backup.stanzas import stanza

A, B, C = "20261101-010000F", "20261120-010000F", "20261122-010000F"


def held(*places: tuple[int, str], repositories: tuple[int, ...] = (1, 2)) -> StanzaFacts:
    """A stanza with these backups, each (repository, label)."""
    backups = tuple(
        Backup(label, "full", key, EPOCH - timedelta(hours=2), EPOCH - timedelta(hours=1), False, 1, 1)
        for key, label in places
    )
    statuses = tuple(RepositoryStatus(key, 0, "ok") for key in repositories)
    return replace(stanza(*backups), repositories=statuses)


HELD = held((1, A), (1, B), (2, C))


@pytest.mark.parametrize(("label", "repo"), [(A, None), (A, 1), (C, 2), (None, 2), (None, None)])
def test_it_is_there(label: str | None, repo: int | None) -> None:
    assert find_absent(HELD, label, repo) is None


@pytest.mark.parametrize(
    ("label", "repo", "what", "why"),
    [
        ("20200101-010000F", None, "there is no backup 20200101-010000F", f"there are: {C}, {B}, {A}"),
        ("20200101-010000F", 2, "there is no backup 20200101-010000F in repository 2", f"there are: {C}"),
        (A, 2, f"there is no backup {A} in repository 2", "it is in repository 1"),
        (A, 3, "there is no repository 3", "there are: 1, 2"),
        (None, 3, "there is no repository 3", "there are: 1, 2"),
    ],
)
def test_it_is_not_there(label: str | None, repo: int | None, what: str, why: str) -> None:
    assert find_absent(HELD, label, repo) == (what, why)


def test_of_very_many_the_newest_are_named() -> None:
    many = held(*((1, f"202611{day:02}-010000F") for day in range(1, 21)))
    absent = find_absent(many, "20200101-010000F", None)
    assert absent is not None and absent[1].startswith("there are: 20261120-010000F, ")
    assert absent[1].endswith("20261109-010000F and 8 older ones")


def test_an_empty_repository() -> None:
    assert find_absent(held(), A, None) == (f"there is no backup {A}", "there are: none")


@pytest.mark.parametrize(
    ("first", "last", "told"),
    [
        (
            "000000010000000000000001",
            "000000010000000000000007",
            "000000010000000000000001 to 000000010000000000000007",
        ),
        ("000000010000000000000007", "000000010000000000000007", ": 000000010000000000000007"),
        ("0000000100000002", "0000000100000002", "up to 0000000100000002"),
        ("0000000100000002", "000000010000000300000001", "up to 000000010000000300000001"),
        (None, None, "repository 1: all"),
    ],
)
def test_wal_is_told_no_narrower_than_it_goes(first: str | None, last: str | None, told: str) -> None:
    assert tell(Going(wal=(ExpiringWal(1, "15-1", first, last),)), None, EPOCH).endswith(told)


def test_history_is_told() -> None:
    going = Going(history=(ExpiringHistory(2, "timeline history 00000002.history of 15-1"),))
    assert tell(going, None, EPOCH) == "timeline history 00000002.history of 15-1, in repository 2"
