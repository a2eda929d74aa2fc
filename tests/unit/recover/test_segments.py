"""WAL files in directories, and those that only the archive has."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from pgops_recover.remote.segments import fetch_missing, segment_name, written_segments

SIZE = 1 << 20


def _write(directory: Path, timeline: int, number: int, said: int | None = None) -> str:
    name = segment_name(timeline, number * SIZE, SIZE)
    place = (number if said is None else said) * SIZE
    (directory / name).write_bytes(b"\x10\xd1\x06\x00" + timeline.to_bytes(4, "little") + place.to_bytes(8, "little"))
    return name


def _wish(top: Path, **more: object) -> dict[str, Any]:
    archive = top / "archive"
    program = top / "pgbackrest"
    program.write_text(
        f'#!/bin/sh\n[ "$1 $2" = "--stanza=x archive-get" ] || exit 31\n'
        f'echo "$3" >>{top}/asked\n[ -f "{archive}/$3" ] || exit 1\ncp "{archive}/$3" "$4"\n'
    )
    program.chmod(0o755)
    wish: dict[str, Any] = {
        "segment_bytes": SIZE,
        "wal_dirs": [str(top / "kept"), str(top / "pg_wal")],
        "pieces": [{"timeline": 1, "from": "0/400028", "to": None}],
        "archive": {"argv": [str(program), "--stanza=x"], "into": str(top / "kept")},
    }
    return {**wish, **more}


def _places(top: Path) -> None:
    for name in ("kept", "pg_wal", "archive"):
        (top / name).mkdir()


def test_a_file_that_holds_other_wal_is_none(tmp_path: Path) -> None:
    name = _write(tmp_path, 1, 3)
    _write(tmp_path, 1, 9, said=5)
    (tmp_path / "00000001000000000000000A").write_bytes(bytes(100))
    (tmp_path / "00000002.history").write_text("")
    assert list(written_segments(str(tmp_path), SIZE)) == [(name, 3 * SIZE)]
    assert list(written_segments(str(tmp_path / "nowhere"), SIZE)) == []


def test_what_is_missing_is_fetched_and_what_the_archive_has_not_stays_missing(tmp_path: Path) -> None:
    _places(tmp_path)
    _write(tmp_path / "kept", 1, 6)
    _write(tmp_path / "pg_wal", 1, 8)
    for number in (3, 4, 5, 7):
        _write(tmp_path / "archive", 1, number)
    (tmp_path / "archive" / segment_name(1, 5 * SIZE, SIZE)).unlink()
    (tmp_path / "kept" / f"{segment_name(1, 4 * SIZE, SIZE)}.new").write_text("cut off before")
    fetch_missing(_wish(tmp_path))
    asked = (tmp_path / "asked").read_text().split()
    assert asked == [segment_name(1, number * SIZE, SIZE) for number in (1, 2, 3, 4, 5, 7)]
    found = sorted(start // SIZE for _, start in written_segments(str(tmp_path / "kept"), SIZE))
    assert found == [3, 4, 6, 7]


def test_each_piece_is_asked_on_its_own_timeline(tmp_path: Path) -> None:
    _places(tmp_path)
    pieces = [
        {"timeline": 1, "from": "0/400028", "to": "0/500100"},
        {"timeline": 3, "from": "0/500100", "to": None},
    ]
    _write(tmp_path / "pg_wal", 3, 7)
    fetch_missing(_wish(tmp_path, pieces=pieces))
    asked = (tmp_path / "asked").read_text().split()
    first = [segment_name(1, number * SIZE, SIZE) for number in (1, 2, 3, 4, 5)]
    assert asked == [*first, *(segment_name(3, number * SIZE, SIZE) for number in (5, 6))]


def test_where_the_archive_may_have_another_branch_it_is_not_asked(tmp_path: Path) -> None:
    _places(tmp_path)
    _write(tmp_path / "pg_wal", 1, 8)
    wish = _wish(tmp_path)
    wish["archive"]["until"] = f"0/{5 * SIZE + 100:X}"
    fetch_missing(wish)
    asked = (tmp_path / "asked").read_text().split()
    assert asked == [segment_name(1, number * SIZE, SIZE) for number in (1, 2, 3, 4)]


def test_without_the_program_nothing_is_fetched(tmp_path: Path) -> None:
    _places(tmp_path)
    _write(tmp_path / "pg_wal", 1, 8)
    wish = _wish(tmp_path)
    shutil.rmtree(tmp_path / "archive")
    wish["archive"]["argv"] = [str(tmp_path / "no-such-program")]
    fetch_missing(wish)
    assert list((tmp_path / "kept").iterdir()) == []
