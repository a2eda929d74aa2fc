"""Where the journal lies: a full disk, and what others may have planted there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from practice.engine.desk import Desk, named_run

LAB = "eng-desk"
pytestmark = [pytest.mark.practice, pytest.mark.xdist_group("engine-desk")]

NOBODY = 65534
BLOCK_BYTES = 4096


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    if os.geteuid() != 0:
        pytest.skip("a small disk is a mounted tmpfs, which needs root")
    place = tmp_path / "small"
    place.mkdir(mode=0o700)
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["/bin/umount", "-l", str(place)], check=True)


def _fill(place: Path) -> Path:
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * BLOCK_BYTES) == BLOCK_BYTES:
                pass
        except OSError:
            pass
    return ballast


def test_with_a_full_disk_nothing_is_begun(desk: Desk, small_disk: Path) -> None:
    desk.set_pause(on=False)
    (small_disk / "runs").mkdir(mode=0o700)
    _fill(small_disk)
    still = desk.etcd.still()

    ended = replace(desk, state=small_disk).pgops("pause", "--reason", "full")

    assert ended.code in (1, 3), ended.said
    assert "nothing was done" in ended.err or "nothing more is done" in ended.err
    assert "no space left" in ended.err.lower()
    assert desk.etcd.still() == still


def _reason_that_fills_a_block(desk: Desk, small_disk: Path) -> str:
    """A reason whose length lets the journal after the first effect end shortly before the end of a block."""
    sizes = []
    for length in (1, 11):
        running = desk.stopped("pause", "--reason", "é" * length, at=1, after=True)
        sizes.append(next((small_disk / "runs").iterdir()).stat().st_size)
        running.child.kill()
        running.go_on()
        desk.done("runs", "abort", desk.run_id())
        next((small_disk / "runs").iterdir()).unlink()
    each = (sizes[1] - sizes[0]) // 10
    return "é" * next(n for n in range(1, 500) if 40 < -(sizes[0] + each * (n - 1)) % BLOCK_BYTES < 40 + 3 * each)


def test_a_disk_that_fills_up_midway_stops_the_run(desk: Desk, small_disk: Path) -> None:
    desk.set_pause(on=False)
    full = replace(desk, state=small_disk)
    reason = _reason_that_fills_a_block(full, small_disk)
    running = full.stopped("pause", "--reason", reason, at=1, after=True)
    run_id = full.run_id()
    ballast = _fill(small_disk)

    ended = running.go_on()

    assert ended.code == 4, ended.said
    assert "no space left" in ended.err.lower()
    assert run_id in ended.err
    assert not desk.etcd.is_paused(), "an effect was begun without a journal"
    ballast.unlink()
    full.done("runs", "continue", run_id)
    assert desk.etcd.is_paused()
    desk.set_pause(on=False)


def _link(place: Path) -> None:
    elsewhere = place.with_name("elsewhere")
    elsewhere.mkdir(mode=0o700)
    place.symlink_to(elsewhere)


def _dangling(place: Path) -> None:
    place.symlink_to(place.with_name("nowhere"))


def _fifo(place: Path) -> None:
    os.mkfifo(place, 0o600)


def _file(place: Path) -> None:
    place.touch(0o600)


def _open_to_all(place: Path) -> None:
    place.mkdir()
    place.chmod(0o777)


def _foreign(place: Path) -> None:
    place.mkdir(mode=0o700)
    os.chown(place, NOBODY, NOBODY)


@pytest.mark.parametrize("plant", [_link, _dangling, _fifo, _file, _open_to_all, _foreign])
@pytest.mark.parametrize("below", ["", "runs"])
def test_what_was_planted_at_the_state_path_is_refused(desk: Desk, plant: Callable[[Path], None], below: str) -> None:
    if plant is _foreign and os.geteuid() != 0:
        pytest.skip("only root gives files away")
    desk.set_pause(on=False)
    place = desk.state.with_name("planted")
    if below:
        place.mkdir(mode=0o700)
    plant(place / below if below else place)
    _assert_refused(replace(desk, state=place), ("pause", "--reason", "x"))


def _file_link(path: Path) -> None:
    path.rename(path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))


def _file_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def _file_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _file_open(path: Path) -> None:
    path.chmod(0o666)


def _file_foreign(path: Path) -> None:
    os.chown(path, NOBODY, NOBODY)


@pytest.mark.parametrize("plant", [_file_link, _file_fifo, _file_directory, _file_open, _file_foreign])
def test_what_was_planted_at_a_journal_is_refused(desk: Desk, plant: Callable[[Path], None]) -> None:
    if plant is _file_foreign and os.geteuid() != 0:
        pytest.skip("only root gives files away")
    desk.set_pause(on=False)
    desk.pgops("pause", "--reason", "x", at=1, after=True)
    run_id = desk.run_id()
    journal = desk.state / "runs" / f"{run_id}.jsonl"
    content = journal.read_bytes()
    plant(journal)
    desk.etcd.end_lock()
    version = desk.etcd.config().version

    ended = desk.pgops("runs", "continue", run_id)

    assert ended.code in (3, 4), ended.said
    assert str(journal) in ended.err
    assert ended.took_s < 10
    assert desk.etcd.config().version == version
    if journal.is_dir():
        journal.rmdir()
    else:
        journal.unlink()
    journal.write_bytes(content)
    journal.chmod(0o600)
    desk.done("runs", "abort", run_id)


def _assert_refused(desk: Desk, words: tuple[str, ...]) -> None:
    still = desk.etcd.still()
    ended = desk.pgops(*words)
    assert ended.code == 3, ended.said
    assert str(desk.state) in ended.err
    assert ended.took_s < 10
    assert desk.etcd.still() == still


def test_the_run_that_blocks_is_named(desk: Desk) -> None:
    desk.set_pause(on=False)
    running = desk.stopped("pause", "--reason", "x", at=1, after=True)
    refused = desk.pgops("node", "hold", "n3")
    assert refused.code == 7, refused.said
    assert named_run(refused.err) == desk.run_id()
    assert str(running.child.pid) in refused.err
    running.go_on()
    desk.set_pause(on=False)
