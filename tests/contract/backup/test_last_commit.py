"""The script that looks into WAL, run for real: what it fetches, and that it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest

from pgops.config.model import HostConfig, Timeouts
from pgops.hosts.local import LocalHost
from pgops.readings import Known, Unknown
from pgops_backup.last_commit import LastEnd, read_last_end

NAMES = tuple(f"00000002{number:016X}" for number in (9, 8, 7, 6))
END = "rmgr: Transaction len (rec/tot):     34/    34, tx:   735, lsn: 0/0151D118, prev 0/0151D0D8, desc: "


@pytest.fixture
def host() -> LocalHost:
    return LocalHost(HostConfig("n1", become=None), Timeouts())


@pytest.fixture
def above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where directories for a moment are made."""
    place = tmp_path / "above"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    return place


class Archive:
    """Segments as text files, in which `pg_waldump` finds the lines as they stand; both tell what they were asked for."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.told = top / "told"
        self.told.touch()
        top.joinpath("wal").mkdir()
        self.waldump = self._program(
            "pg_waldump", f'echo "dump $*" >>{self.told}\nshift\ncase $1 in -*) shift;; esac\ncat "$1"'
        )
        fetch = (
            f'echo "fetch $1 $(stat -c %a "${{2%/*}}") $(ls "${{2%/*}}" | wc -l)" >>{self.told}\ncp "{top}/wal/$1" "$2"'
        )
        self.fetch = self._program("fetch", fetch)

    def _program(self, name: str, body: str) -> str:
        path = self.top / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return str(path)

    def slow(self) -> str:
        """A fetch that does not end by itself."""
        return self._program("slow", f"echo begun >>{self.told}\nsleep 60")

    def hold(self, name: str, *lines: str) -> None:
        """Put a segment in."""
        (self.top / "wal" / name).write_text("".join(f"{line}\n" for line in lines))

    def asked(self, word: str) -> list[str]:
        """What was asked for, without the directory."""
        lines = [line.split() for line in self.told.read_text().splitlines()]
        return [" ".join(part.rpartition("/")[2] for part in line[1:]) for line in lines if line[0] == word]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


def test_back_to_the_first_segment_with_an_end(host: LocalHost, above: Path, archive: Archive) -> None:
    for name in NAMES[:2]:
        archive.hold(name, "a record that is none of a transaction's")
    archive.hold(
        NAMES[2],
        f"{END}COMMIT 2026-11-23 08:36:26.000001 UTC; rels: base/5/16384",
        f"{END}COMMIT_PREPARED 735: 2026-11-23 08:36:27.000002 UTC",
        f"{END}ABORT 2026-11-23 08:36:26.999999 UTC",
        f"{END}PREPARE gid x: 2026-11-23 09:59:59.000000 UTC",
    )
    found = read_last_end(host, archive.waldump, [archive.fetch], NAMES, timeout_s=20)
    at = datetime(2026, 11, 23, 8, 36, 27, 2, tzinfo=timezone.utc)
    assert found == Known(LastEnd(at, True, 3, NAMES[2])), "the greatest, not the last; and a PREPARE ends nothing"
    assert archive.asked("fetch") == [f"{NAMES[0]} 700 0", f"{NAMES[1]} 700 3", f"{NAMES[2]} 700 3"]
    assert archive.asked("dump") == [
        f"--rmgr=Transaction {NAMES[0]}",
        f"--rmgr=Transaction {NAMES[1]} {NAMES[0]}",
        f"--rmgr=Transaction {NAMES[2]} {NAMES[1]}",
    ], "with the segment behind, into which a record may reach"
    assert list(above.iterdir()) == []


def test_segments_of_an_ancestor_are_kept_under_one_timeline(host: LocalHost, above: Path, archive: Archive) -> None:
    older = f"00000001{NAMES[1][8:]}"
    archive.hold(NAMES[0])
    archive.hold(older, f"{END}ABORT 2026-11-23 08:36:26.999999 UTC")
    found = read_last_end(host, archive.waldump, [archive.fetch], [NAMES[0], older], timeout_s=20)
    assert isinstance(found, Known) and found.value.segment == older and not found.value.committed
    assert archive.asked("dump")[1] == f"--rmgr=Transaction {NAMES[1]} {NAMES[0]}"


def test_where_another_history_begins_reading_ends(host: LocalHost, above: Path, archive: Archive) -> None:
    for name in NAMES:
        archive.hold(name)
    found = read_last_end(host, archive.waldump, [archive.fetch], NAMES[:3], leave_bytes=0x90000A0, timeout_s=20)
    assert found == Known(LastEnd(None, False, 3, NAMES[2]))
    assert archive.asked("dump") == [
        f"--rmgr=Transaction 90000A0 {NAMES[0]}",
        f"--rmgr=Transaction 90000A0 {NAMES[1]} {NAMES[0]}",
        f"--rmgr=Transaction {NAMES[2]} {NAMES[1]}",
    ], "pg_waldump refuses an end outside of the last file that it is given"


def test_a_segment_that_is_not_there(host: LocalHost, above: Path, archive: Archive) -> None:
    found = read_last_end(host, archive.waldump, [archive.fetch], NAMES, timeout_s=20)
    assert isinstance(found, Unknown) and NAMES[0] in found.reason and "No such file" in found.reason
    assert list(above.iterdir()) == []


def test_a_program_that_is_not_there(host: LocalHost, above: Path, archive: Archive) -> None:
    archive.hold(NAMES[0])
    found = read_last_end(host, "/nowhere/pg_waldump", [archive.fetch], NAMES, timeout_s=20)
    assert isinstance(found, Unknown) and "bin_dir" in found.reason


def test_what_takes_too_long_is_ended_and_cleared_away(host: LocalHost, above: Path, archive: Archive) -> None:
    found = read_last_end(host, archive.waldump, [archive.slow()], NAMES, timeout_s=1)
    assert isinstance(found, Unknown) and "longer than 1 s" in found.reason
    until(lambda: list(above.iterdir()) == [])


def test_a_killed_pgops_leaves_nothing(above: Path, archive: Archive) -> None:
    """The script goes on until its own limit at the latest, and removes its directory."""
    slow, waldump = archive.slow(), archive.waldump
    pid = os.fork()
    if pid == 0:
        os.setsid()
        child = LocalHost(HostConfig("n1", become=None), Timeouts())
        read_last_end(child, waldump, [slow], NAMES, timeout_s=2)
        os._exit(0)
    until(lambda: "begun" in archive.told.read_text())
    assert len(list(above.iterdir())) == 1
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    until(lambda: list(above.iterdir()) == [])


def test_what_a_host_left_when_it_went_down_is_cleared_away(host: LocalHost, above: Path, archive: Archive) -> None:
    archive.hold(NAMES[0])
    old, new, other = (above / name for name in ("pgops-window-old", "pgops-window-new", "others"))
    for place in (old, new, other):
        place.mkdir()
        place.joinpath("segment").touch()
    for place in (old, other):
        os.utime(place, (time.time() - 7200,) * 2)
    read_last_end(host, archive.waldump, [archive.fetch], NAMES[:1], timeout_s=20)
    assert sorted(above.iterdir()) == [other, new]


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)
