"""A saved plan: run only if it is as it was made, and the cluster as it was."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from practice.engine.desk import Desk, wait_until

LAB = "eng-desk"
pytestmark = [pytest.mark.practice, pytest.mark.xdist_group("engine-desk")]


def _save(desk: Desk, tmp_path: Path, *words: str) -> Path:
    path = tmp_path / "plan.json"
    desk.done(*words, "--plan-out", str(path))
    return path


def test_a_configuration_that_moved_makes_a_plan_stale(desk: Desk, tmp_path: Path) -> None:
    desk.set_pause(on=False)
    path = _save(desk, tmp_path, "pause", "--reason", "drift")
    desk.ask_patroni("PATCH", "/config", {"maximum_lag_on_failover": 1048577})
    still = desk.etcd.still()

    ended = desk.pgops("apply", str(path))

    assert ended.code == 6, ended.said
    assert "config" in ended.err
    assert desk.etcd.still() == still


def _await_stillness(desk: Desk) -> None:
    """Until Patroni has written all that a switchover makes it write: its history comes with a later loop."""

    def is_still() -> bool:
        before = desk.etcd.still()
        time.sleep(5)
        return desk.etcd.still() == before

    wait_until(is_still, 60)


def test_a_switchover_makes_a_plan_stale(desk: Desk, tmp_path: Path) -> None:
    desk.set_pause(on=True)
    path = _save(desk, tmp_path, "resume")
    leader = desk.leader()
    other = next(name for name in ("n1", "n2", "n3") if name != leader)
    desk.ask_patroni("POST", "/switchover", {"leader": leader, "candidate": other})
    wait_until(lambda: desk.leader() == other, 30)
    _await_stillness(desk)
    still = desk.etcd.still()

    ended = desk.pgops("apply", str(path), "--yes")

    assert ended.code == 6, ended.said
    assert desk.etcd.still() == still
    wait_until(lambda: desk.pgops("resume", "--yes").code == 0, 60)


def _edit_digest(document: dict[str, Any]) -> None:
    document["digest"] = "0" * 64


def _edit_params(document: dict[str, Any]) -> None:
    document["params"]["reason"] = "another"


def _edit_text(document: dict[str, Any]) -> None:
    document["steps"][0]["does"][0] += " "


def _edit_cluster(document: dict[str, Any]) -> None:
    document["cluster"] = "another"


@pytest.mark.parametrize("edit", [_edit_digest, _edit_params, _edit_text, _edit_cluster])
def test_an_edited_plan_is_refused(desk: Desk, tmp_path: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    desk.set_pause(on=False)
    path = _save(desk, tmp_path, "pause", "--reason", "edited")
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))
    _assert_refused(desk, path)


def _link(path: Path) -> None:
    path.rename(path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))


def _open_to_all(path: Path) -> None:
    path.chmod(0o666)


def _give_away(path: Path) -> None:
    os.chown(path, 65534, 65534)


def _make_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


@pytest.mark.parametrize("spoil", [_link, _open_to_all, _give_away, _make_fifo])
def test_a_plan_that_others_had_a_hand_in_is_refused(desk: Desk, tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    if spoil is _give_away and os.geteuid() != 0:
        pytest.skip("only root gives files away")
    desk.set_pause(on=False)
    path = _save(desk, tmp_path, "pause", "--reason", "spoiled")
    spoil(path)
    _assert_refused(desk, path)


def _assert_refused(desk: Desk, path: Path) -> None:
    still = desk.etcd.still()
    ended = desk.pgops("apply", str(path))
    assert ended.code == 3, ended.said
    assert str(path) in ended.err
    assert ended.took_s < 10
    assert desk.etcd.still() == still


def test_a_plan_is_applied_once(desk: Desk, tmp_path: Path) -> None:
    desk.set_pause(on=False)
    path = _save(desk, tmp_path, "pause", "--reason", "planned")
    desk.done("apply", str(path))
    assert desk.etcd.is_paused()
    assert json.loads(desk.etcd.own()["pause"].value)["reason"] == "planned"
    still = desk.etcd.still()
    again = desk.pgops("apply", str(path))
    assert again.code in (0, 6), again.said
    assert desk.etcd.still() == still
    desk.set_pause(on=False)
