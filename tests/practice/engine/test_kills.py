"""kill -9 before and after every effect, then what is found, and going on."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from practice.engine.desk import Desk, named_run

LAB = "eng-kills"
pytestmark = [pytest.mark.practice, pytest.mark.xdist_group("engine-kills")]


@dataclass(frozen=True)
class Cut:
    """A procedure and its effect `at` (from 1) that is cut off."""

    words: tuple[str, ...]
    at: int
    after: bool

    def __str__(self) -> str:
        return f"{'-'.join(self.words[:2])}-{'after' if self.after else 'before'}-{self.at}"


PAUSE = ("pause", "--reason", "cut")
RESUME = ("resume",)
HOLD = ("node", "hold", "n2", "--reason", "cut")
RELEASE = ("node", "release", "n2")
CUTS = [
    *(Cut(PAUSE, at, after) for at, after in ((1, True), (2, False), (2, True))),
    *(Cut(RESUME, at, after) for at in (1, 2) for after in (False, True)),
    *(Cut(HOLD, 1, after) for after in (False, True)),
    *(Cut(RELEASE, 1, after) for after in (False, True)),
]
"""`pause` cut before its first effect stands apart: its record comes with that effect, in one transaction."""


def _is_held(desk: Desk) -> bool:
    return (Path(desk.lab.config).parent / "hold" / "patroni-n2").exists()


def _prepare(desk: Desk, words: tuple[str, ...]) -> None:
    desk.set_pause(on=words == RESUME)
    if words == RELEASE and not _is_held(desk):
        desk.done(*HOLD)
    if words == HOLD and _is_held(desk):
        desk.done(*RELEASE)
    if words in (PAUSE, RESUME) and _is_held(desk):
        desk.done(*RELEASE)


def _assert_reached(desk: Desk, words: tuple[str, ...], version_before: int) -> None:
    own = desk.etcd.own()
    assert not {name for name in own if name.startswith(("run", "lock/"))}, own
    config = desk.etcd.config()
    if words in (PAUSE, RESUME):
        assert config.version == version_before + 1, "the configuration was changed more than once, or not"
        assert desk.etcd.is_paused() is (words == PAUSE)
        assert ("pause" in own) is (words == PAUSE)
        if words == PAUSE:
            assert own["pause"].version == 1
            assert json.loads(own["pause"].value)["reason"] == "cut"
    else:
        assert config.version == version_before
        assert _is_held(desk) is (words == HOLD)


def _cut_off(desk: Desk, cut: Cut) -> str:
    """Kill it there; the run's id, once the cluster was seen to be blocked by it."""
    ended = desk.pgops(*cut.words, at=cut.at, after=cut.after)
    assert ended.code == -9, ended.said
    return desk.run_id()


def _assert_blocked(desk: Desk, run_id: str, words: tuple[str, ...], *, lease_ended: bool) -> None:
    other = ("node", "hold", "n3", "--reason", "other") if words in (PAUSE, RESUME) else PAUSE
    refused = desk.pgops(*other)
    assert refused.code == 7, refused.said
    assert named_run(refused.err) == run_id
    listed = json.loads(desk.pgops("runs", "list", "-f", "json").out)
    assert run_id in json.dumps(listed)
    text = desk.pgops("runs", "list").out
    assert run_id in text
    code, health = desk.lab.health("--check", "runs")
    found = [item for item in health["findings"] if item["check"] == "runs"]
    assert any(run_id in json.dumps(item) for item in found), found
    if lease_ended:  # until then nobody elsewhere can tell that it is dead
        assert (code, found[0]["verdict"]) == (1, "warning"), found


@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_a_run_cut_off_at_an_effect_blocks_and_is_continued_once(desk: Desk, cut: Cut) -> None:
    _prepare(desk, cut.words)
    version = desk.etcd.config().version
    run_id = _cut_off(desk, cut)
    if not cut.after:
        desk.etcd.end_lock()
    _assert_blocked(desk, run_id, cut.words, lease_ended=not cut.after)

    ended = desk.pgops("runs", "continue", run_id)

    assert ended.code == 0, ended.said
    assert ended.took_s < 15, "the lock of a process of this machine that is dead was waited for"
    _assert_reached(desk, cut.words, version)
    story = desk.done("runs", "show", run_id).out
    assert "ended, exit 0" in story
    assert f": {cut.words[1] if cut.words[0] == 'node' else cut.words[0]} " in story
    again = desk.pgops("runs", "continue", run_id)
    assert again.code == 3, again.said


def test_a_pause_killed_before_its_first_effect_left_nothing(desk: Desk) -> None:
    _prepare(desk, PAUSE)
    still = desk.etcd.still()
    ended = desk.pgops(*PAUSE, at=1)
    assert ended.code == -9
    changed = {name for name, revision in desk.etcd.still().items() if still.get(name) != revision}
    assert {name.rpartition("/")[2] for name in changed} <= {"topology"}, changed
    refused = desk.pgops(*PAUSE)
    assert refused.code in (0, 7), refused.said
    if refused.code == 7:
        desk.etcd.end_lock()
        desk.done(*PAUSE)
    desk.set_pause(on=False)


def test_another_host_waits_for_the_lease_of_the_dead_and_goes_on(desk: Desk, tmp_path: Path) -> None:
    _prepare(desk, PAUSE)
    version = desk.etcd.config().version
    run_id = _cut_off(desk, Cut(PAUSE, 2, after=True))
    other = replace(desk, state=tmp_path / "elsewhere", host="ops2")

    ended = other.pgops("runs", "continue", run_id)

    assert ended.code == 0, ended.said
    assert 5 < ended.took_s < 45
    _assert_reached(desk, PAUSE, version)
    assert "ops2" in other.done("runs", "show", run_id).out


@pytest.mark.parametrize("cut", [Cut(PAUSE, 2, after=True), Cut(RESUME, 1, after=True), Cut(HOLD, 1, True)], ids=str)
def test_an_aborted_run_leaves_the_cluster_as_it_was(desk: Desk, cut: Cut) -> None:
    _prepare(desk, cut.words)
    paused, held = desk.etcd.is_paused(), _is_held(desk)
    run_id = _cut_off(desk, cut)

    ended = desk.pgops("runs", "abort", run_id, "--yes")

    assert ended.code == 0, ended.said
    own = desk.etcd.own()
    assert not {name for name in own if name.startswith(("run", "lock/"))}, own
    assert (desk.etcd.is_paused(), _is_held(desk), "pause" in own) == (paused, held, paused)
