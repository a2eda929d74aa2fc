"""How much WAL before the fork is read for the transactions that were open there."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from pgops_recover.remote.account import _Reader

HEAD = b"rmgr: %-11b len (rec/tot):     54/    54, tx:          0, lsn: 0/%08X, prev 0/06000000, desc: "
PROGRAM = """#!/bin/sh
case "$1" in --version) echo "pg_waldump (PostgreSQL) VERSION"; exit ;; esac
cat LINES
SAYS
"""
BEGIN, FORK = 0x100, 0x900


def _running(place: int, following: int, oldest: int) -> bytes:
    snapshot = b"RUNNING_XACTS nextXid %d latestCompletedXid %d oldestRunningXid %d; 1 xacts: %d"
    return HEAD % (b"Standby", place) + snapshot % (following, following - 1, oldest, oldest) + b"\n"


def _restart(desc: bytes) -> bytes:
    return HEAD % (b"XLOG", 0x250) + desc + b"\n"


CASES = {
    "what began before the first snapshot is over": ([(0x200, 740, 735), (0x300, 760, 745), (0x400, 770, 750)], 0x200),
    "nothing is open": ([(0x200, 740, 735), (0x400, 770, 770)], 0x400),
    "the last that is early enough": ([(0x200, 740, 735), (0x300, 750, 745), (0x400, 770, 750)], 0x300),
    "one is older than all that is told": ([(0x200, 740, 735), (0x400, 770, 738)], BEGIN),
    "no snapshot": ([], BEGIN),
    "ids begin anew": ([(0x200, 4294967290, 4294967280), (0x400, 20, 5)], 0x200),
}


def _open_from(top: Path, lines: list[bytes], says: str = "", version: str = "15.4") -> int:
    (top / "lines").write_bytes(b"".join(lines))
    program = top / "pg_waldump"
    text = PROGRAM.replace("LINES", str(top / "lines")).replace("SAYS", says).replace("VERSION", version)
    program.write_text(text)
    program.chmod(0o755)
    wish = {"pg_waldump": str(program), "segment_bytes": 1 << 24}
    return _Reader(wish, str(top), io.BytesIO(), io.BytesIO())._open_from(1, BEGIN, FORK)


@pytest.mark.parametrize("case", CASES)
def test_it_begins_where_all_that_is_open_at_the_fork_is_still_to_come(tmp_path: Path, case: str) -> None:
    snapshots, begin = CASES[case]
    assert _open_from(tmp_path, [_running(*each) for each in snapshots]) == begin


@pytest.mark.parametrize("desc", [b"CHECKPOINT_SHUTDOWN redo 0/28; tli 1", b"END_OF_RECOVERY tli 2; prev tli 1"])
def test_after_a_start_all_is_read(tmp_path: Path, desc: bytes) -> None:
    """What a crash cut off has no end in WAL, and snapshots do not tell of it any more."""
    lines = [_running(0x200, 740, 735), _restart(desc), _running(0x400, 770, 770)]
    assert _open_from(tmp_path, lines) == BEGIN
    assert _open_from(tmp_path, [lines[0], _restart(b"CHECKPOINT_ONLINE redo 0/28; tli 1"), lines[2]]) == 0x400


def test_wal_that_cannot_be_read_and_programs_that_do_not_filter_make_no_difference(tmp_path: Path) -> None:
    lines = [_running(0x400, 770, 770)]
    assert _open_from(tmp_path, lines, says="echo broken >&2; exit 1") == BEGIN
    assert _open_from(tmp_path, lines, version="14.9") == BEGIN
