"""`pgbackrest info` in the forms of 2.45 to 2.59."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest

from pgops.observe.fields import ShapeFault
from pgops.observe.stanza import parse_info, parse_version
from unit.observe.recorded import INFO_245, INFO_259


def changed(recorded: list[dict[str, Any]], path: str, value: object) -> list[dict[str, Any]]:
    """A copy of the reply with `value` at `path`; `...` removes the field."""
    reply: Any = copy.deepcopy(recorded)
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place = reply[0]
    for step in way:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return list(reply)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (0, "ok"),
        (1, "missing stanza path"),
        (2, "no valid backups"),
        (3, "missing stanza data"),
        (4, "different across repos"),
        (5, "database mismatch across repos"),
        (6, "requested backup not found"),
        (99, "other"),
    ],
)
def test_every_status_code(code: int, message: str) -> None:
    reply = changed(INFO_245, "status.code", code)
    reply = changed(reply, "status.message", message)
    reply = changed(reply, "repo.0.status", {"code": code, "message": message})
    facts = parse_info(reply, "demo")
    assert (facts.code, facts.message) == (code, message)
    assert [(each.key, each.code, each.message) for each in facts.repositories] == [(1, code, message)]


def test_a_stanza_of_which_nothing_is_there() -> None:
    reply: list[dict[str, Any]] = [
        {
            "archive": [],
            "backup": [],
            "cipher": "none",
            "db": [],
            "name": "demo",
            "repo": [{"cipher": "none", "key": 1, "status": {"code": 1, "message": "missing stanza path"}}],
            "status": {"code": 1, "lock": {"backup": {"held": False}}, "message": "missing stanza path"},
        }
    ]
    facts = parse_info(reply, "demo")
    assert (facts.backups, facts.databases, facts.current_database_id, facts.archive_id) == ((), (), None, None)


@pytest.mark.parametrize(
    ("lock", "expected"),
    [
        ({"backup": {"held": False}}, (False, None, None)),
        ({"backup": {"held": True}}, (True, None, None)),
        ({"backup": {"held": True, "size": 1000, "size-cplt": 250}}, (True, 1000, 250)),
        ({"backup": {"held": True, "size": 1000, "size-cplt": 0, "pct-cplt": 0}}, (True, 1000, 0)),
        (
            {"backup": {"held": True, "size": 90, "size-cplt": 9, "repo": [{"key": 1, "size": 90, "size-cplt": 9}]}},
            (True, 90, 9),
        ),
        ({"backup": {"held": True}, "restore": {"held": True, "size": 5, "size-cplt": 1}}, (True, None, None)),
        ({"backup": None}, (False, None, None)),
        ({}, (False, None, None)),
        (None, (False, None, None)),
    ],
)
def test_the_lock_of_a_running_backup(lock: Mapping[str, Any] | None, expected: tuple[object, ...]) -> None:
    facts = parse_info(changed(INFO_245, "status.lock", lock), "demo")
    assert (facts.backup_running, facts.progress_size_bytes, facts.progress_done_bytes) == expected


def test_backups_into_two_repositories_at_once_are_told_together() -> None:
    # 2.59 keeps a lock for each repository, and the sums where the only one was before.
    each = [{"key": 1, "size": 60, "size-cplt": 6}, {"key": 2, "size": 30, "size-cplt": 3}]
    lock = {"backup": {"held": True, "size": 90, "size-cplt": 9, "repo": each}}
    facts = parse_info(changed(INFO_259, "status.lock", lock), "demo")
    assert (facts.backup_running, facts.progress_size_bytes, facts.progress_done_bytes) == (True, 90, 9)


def test_two_repositories_of_2_59() -> None:
    facts = parse_info(INFO_259, "demo")
    assert (facts.code, [(each.key, each.code) for each in facts.repositories]) == (4, [(1, 0), (2, 2)])
    first, second = facts.backups
    assert (first.repo_key, first.annotations, first.references, first.prior) == (1, {"ticket": "42"}, (), None)
    assert (second.repo_key, second.annotations, second.references) == (2, {}, ("20261122-204616F",))
    assert (second.prior, second.error, second.timeline) == ("20261122-204616F", True, 2)
    assert (first.size_bytes, first.delta_bytes) == (23266797, 23266797)
    # With block incremental there is no size of the whole in the repository.
    assert (first.repository_size_bytes, first.repository_delta_bytes) == (None, 3548887)
    assert [(each.id, each.repo_key, each.version) for each in facts.databases] == [(1, 1, "17"), (1, 2, "17")]


def test_what_a_backup_of_2_45_says() -> None:
    (backup,) = parse_info(INFO_245, "demo").backups
    assert (backup.wal_start, backup.wal_stop) == ("000000010000000000000005", "000000010000000000000006")
    assert (backup.start_lsn_bytes, backup.stop_lsn_bytes) == (0x5000028, 0x6000050)
    assert (backup.references, backup.prior, backup.annotations) == ((), None, {})
    assert (backup.repository_size_bytes, backup.repository_delta_bytes) == (3548887, 3548887)


@pytest.mark.parametrize("field", ["annotation", "error", "info", "lsn", "prior", "reference", "archive", "backrest"])
@pytest.mark.parametrize("value", [None, ...])
def test_a_field_of_a_backup_that_is_null_or_missing(field: str, value: object) -> None:
    reply = changed(INFO_245, "backup.0.annotation", {"pgops-run": "x"})
    (backup,) = parse_info(changed(reply, f"backup.0.{field}", value), "demo").backups
    assert backup.label == "20261122-204616F"
    empty: dict[str, object] = {
        "annotation": backup.annotations == {},
        "error": backup.error is None,
        "info": backup.size_bytes is None and backup.repository_size_bytes is None,
        "lsn": backup.start_lsn_bytes is None and backup.stop_lsn_bytes is None,
        "archive": backup.wal_start is None and backup.timeline is None,
    }
    assert empty.get(field, True)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("backup.0.timestamp", None, "timestamp"),
        ("backup.0.timestamp.stop", None, "without start or stop"),
        ("backup.0.label", [], "label"),
        ("backup", {}, "backup is an object"),
        ("status", "ok", "status is a text"),
        ("status.code", "zero", "code"),
        ("repo.0", 7, "repo is a number"),
        ("backup.0.annotation", ["x"], "annotation is a list"),
    ],
)
def test_what_has_another_form_is_a_fault_that_names_the_field(path: str, value: object, says: str) -> None:
    with pytest.raises(ShapeFault, match=says):
        parse_info(changed(INFO_245, path, value), "demo")


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ("pgBackRest 2.45\n", (2, 45)),
        ("pgBackRest 2.59.0\n", (2, 59)),
        ("pgBackRest 2.59.1\n", (2, 59)),
        ("pgBackRest 2.60dev\n", (2, 60)),
        ("pgBackRest 2.54.2dev\n", (2, 54)),
        ("pgBackRest\n", None),
        ("psql (PostgreSQL) 15.18\n", None),
        ("", None),
    ],
)
def test_versions(output: str, version: tuple[int, int] | None) -> None:
    assert parse_version(output) == version
