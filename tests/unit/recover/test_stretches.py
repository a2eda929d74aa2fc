"""WAL in stretches: where one ends, what is in it, and what becomes of processes that are not wanted or die."""

from __future__ import annotations

import marshal
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pgops_recover.remote import stretches
from pgops_recover.remote.stretches import Part, Stretch, read_stretch, read_stretches, split

LINE = b"rmgr: Heap        len (rec/tot):     59/    59, tx: %10d, lsn: 0/%08X, prev 0/00000000, desc: %b\n"
INSERT = b"INSERT off 1 flags 0x00, blkref #0: rel 1663/5/20000 blk 7"
SIZE = 0x1000
PROGRAM = """#!/bin/sh
# what stands in for pg_waldump: lines from -s on
while [ $# -gt 0 ]; do [ "$1" = -s ] && from=$((0x${2#*/})); shift; done
while read -r place line; do [ "$place" -lt "$from" ] || printf '%s\\n' "$line"; done < LINES
SAYS
"""


@pytest.fixture
def dump(tmp_path: Path) -> Any:
    def make(lines: dict[int, bytes], says: str = "") -> tuple[str, ...]:
        text = b"".join(b"%d %b" % (place, line) for place, line in lines.items())
        (tmp_path / "lines").write_bytes(text)
        program = tmp_path / "pg_waldump"
        program.write_text(PROGRAM.replace("LINES", str(tmp_path / "lines")).replace("SAYS", says))
        program.chmod(0o755)
        return (str(program),)

    return make


def _lines(*places: int) -> dict[int, bytes]:
    return {place: LINE % (place, place, INSERT) for place in places}


def _whole(dump: tuple[str, ...], begin: int = 0) -> Stretch:
    return Stretch(dump, begin, None, None, False)


def _xids(parts: Iterator[Part]) -> list[list[int]]:
    return [[int(xid) for xid in rows] for events, rows, _ in parts if rows or events]


def test_stretches_touch_and_the_last_is_open() -> None:
    parts = split(_whole(("x",), 0x1800), 0x4000, SIZE)
    assert [(each.begin, each.limit) for each in parts] == [(0x1800, 0x2000), (0x2000, 0x3000), (0x3000, None)]
    assert len(split(_whole(("x",), 0x1800), 0x1900, SIZE)) == 1
    assert len(split(_whole(("x",), 0x1800), 1 << 32, 1 << 30)) == 1, "one process would keep too much"


@pytest.mark.parametrize(("processors", "workers"), [(1, 1), (2, 2), (64, 4)])
def test_no_more_than_four_processes_read(monkeypatch: pytest.MonkeyPatch, processors: int, workers: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(processors)))
    assert stretches.usual_workers() == workers


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_a_record_is_in_the_stretch_in_which_it_begins(dump: Any, workers: int) -> None:
    places = [0x18, 0xFF8, 0x1000, 0x1FF8, 0x3000, 0x3008]
    parts = read_stretches(split(_whole(dump(_lines(*places))), 0x4000, SIZE), workers)
    found = _xids(parts)
    assert found == ([places] if workers == 1 else [places[:2], places[2:4], places[4:]])


def test_behind_a_complaint_nothing_is_taken_in(dump: Any) -> None:
    whole = _whole(dump(_lines(0x18, 0x1018), says="echo 'error in WAL record at 0/1018' >&2; exit 1"))
    parts = list(read_stretches(split(whole, 0x8000, SIZE), 3))
    assert [part[2] for part in parts] == ["", "error in WAL record at 0/1018"]
    assert _xids(iter(parts)) == [[0x18], [0x1018]]


def test_a_line_that_is_none_does_not_hide_where_a_stretch_ends(dump: Any) -> None:
    """The name of a prepared transaction may have a line break."""
    lines = _lines(0x18, 0x1018)
    lines[0x1019] = b"and a second line\n"
    (part,) = _xids(read_stretch(_whole(dump(lines))._replace(limit=SIZE)))
    assert part == [0x18]


@pytest.mark.parametrize("size", [7, 64, 200])
def test_a_line_may_be_longer_than_a_block(dump: Any, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(stretches, "_BLOCK_BYTES", size)
    places = [0x18, 0x58, 0x98]
    parts = read_stretch(_whole(dump(_lines(*places))))
    assert sum(1 for part in parts for rows in part[1].values() for _ in rows[0]) == 3


def test_a_line_without_an_end_counts(dump: Any) -> None:
    program = dump({}, says="printf '%s' '" + (LINE % (7, 7, INSERT)).decode().rstrip() + "'")
    assert _xids(read_stretch(_whole(program))) == [[7]]


def _die(_document: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _refuse() -> int:
    raise BlockingIOError(11, "Resource temporarily unavailable")


@pytest.mark.parametrize(("module", "call", "instead"), [(marshal, "dumps", _die), (os, "fork", _refuse)])
def test_a_process_that_dies_or_is_not_to_be_had_loses_nothing(
    dump: Any, monkeypatch: pytest.MonkeyPatch, module: Any, call: str, instead: Any
) -> None:
    monkeypatch.setattr(module, call, instead)
    places = [0x18, 0x1018, 0x2018]
    parts = read_stretches(split(_whole(dump(_lines(*places))), 0x3000, SIZE), 2)
    assert _xids(parts) == [[0x18], [0x1018], [0x2018]]


def test_processes_that_are_not_wanted_end(dump: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    fork = os.fork

    def note() -> int:
        made.append(fork())
        return made[-1]

    monkeypatch.setattr(os, "fork", note)
    parts = read_stretches(split(_whole(dump(_lines(0x18), says="exec sleep 5")), 0x3000, SIZE), 3)
    monkeypatch.setattr(stretches._Worker, "part", lambda _self: ([], {}, "it is enough"))
    assert next(parts)[2] == "it is enough"
    assert list(parts) == [] and len(made) == 3
    for pid in made[1:]:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    os.kill(made[0], signal.SIGKILL)
    os.waitpid(made[0], 0)
