"""The lift of a real server that stopped cleanly, or that crashed: every row is there, on a timeline above all others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contract.recover.own_server import Server, place_for_servers
from pgops_recover.programs import argv_of

HISTORIES = {"00000002.history": "1\t0/1500000\tanother member\n", "00000003.history": "2\t0/1600000\tand another\n"}


@pytest.fixture
def place() -> Iterator[tuple[Path, Path]]:
    with place_for_servers("lift") as found:
        yield found


@pytest.mark.parametrize("how", ["fast", "immediate", "kill"])
def test_every_row_is_there_on_a_timeline_of_its_own(place: tuple[Path, Path], how: str) -> None:
    server = Server(*place)
    server.start()
    server.sql("CREATE TABLE t (id int); CHECKPOINT")
    for _ in range(3):
        server.sql("INSERT INTO t SELECT generate_series(1, 1000); SELECT pg_switch_wal()")
    server.sql("BEGIN; INSERT INTO t VALUES (0); PREPARE TRANSACTION 'kept'")
    server.sql("INSERT INTO t VALUES (-1)")
    stop = (
        f"{server.bin_dir}/pg_ctl",
        "-D",
        str(server.data),
        "-w",
        "stop",
        "-m",
        "fast" if how == "fast" else "immediate",
    )
    if how == "kill":
        pid = server.run("head", "-1", f"{server.data}/postmaster.pid").strip()
        server.run(f"{server.bin_dir}/pg_ctl", "kill", "KILL", pid)
        server.run("sh", "-c", f"while kill -0 {pid} 2>/dev/null; do sleep 0.1; done")
    else:
        server.run(*stop)
    state = server.run(f"{server.bin_dir}/pg_controldata", "-D", str(server.data))
    assert ("in production" in state) is (how != "fast"), state
    wish = {"data_dir": str(server.data), "bin_dir": str(server.bin_dir), "above": 3, "own": [], "archive": None}
    for _ in range(2):  # again, it is high enough
        assert server.program("lift", {**wish, "histories": HISTORIES}) == {"timeline": 4}
    options = f"-c listen_addresses='' -k {server.top} -c max_prepared_transactions=5"
    log = str(server.top / "log")
    server.run(f"{server.bin_dir}/pg_ctl", "-D", str(server.data), "-l", log, "-o", options, "-w", "start")
    assert server.sql("SELECT count(*), min(id) FROM t") == "3001|-1"
    assert server.sql("SELECT gid FROM pg_prepared_xacts") == "kept"
    assert server.sql("SELECT pg_is_in_recovery(), timeline_id FROM pg_control_checkpoint()") == "f|4"
    server.run(*stop)


_ARCHIVE = """#!/bin/sh
cd "$(dirname "$0")" || exit 25
case $1 in
    archive-get) [ -f "archive/$2" ] || exit 1; cp "archive/$2" "$3" ;;
    archive-push) cp "$2" archive/ ;;
    *) exit 31 ;;
esac
"""
"""As pgBackRest treats history files: the last one that is pushed is there."""


def test_another_members_history_under_its_number_is_not_believed(place: tuple[Path, Path]) -> None:
    """Both were promoted to timeline 2, and the other one archived last. (0/1000100 is before this one's own.)"""
    server = Server(*place)
    server.start()
    options = f"-c listen_addresses='' -k {server.top}"
    stop = (f"{server.bin_dir}/pg_ctl", "-D", str(server.data), "-w", "stop", "-m", "fast")
    server.run(*stop)
    wish: dict[str, Any] = {"data_dir": str(server.data), "bin_dir": str(server.bin_dir), "histories": {}}
    assert server.program("lift", {**wish, "above": 1, "own": [], "archive": None}) == {"timeline": 2}
    server.run(*stop[:3], "-l", str(server.top / "log"), "-o", options, "-w", "start")
    server.sql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS id")
    server.run(*stop)
    truth = server.read("data/pg_wal/00000002.history")
    server.run("mkdir", str(server.top / "archive"))
    program = str(server.top / "archiving")
    server.run("sh", "-c", 'cat >"$1" && chmod 755 "$1"', "sh", program, stdin=_ARCHIVE)
    server.run("sh", "-c", 'cat >"$1"', "sh", f"{server.top}/archive/00000002.history", stdin="1\t0/1000100\tanother\n")
    wish |= {"above": 2, "own": ["00000002.history"], "archive": [program]}
    refused = server.attempt(*argv_of("lift", {**wish, "archive": ["false"]}))
    assert (
        refused.exit_code == 74 and "archive-get 00000002.history" in refused.stderr
    ) or "archive-push" in refused.stderr
    control = server.run(f"{server.bin_dir}/pg_controldata", "-D", str(server.data))
    assert re.search("Latest checkpoint's TimeLineID: +2\n", control), "it is not above before its own is archived"
    for _ in range(2):  # again, nothing is to do
        assert server.program("lift", wish) == {"timeline": 3}
    assert server.read("data/pg_wal/00000003.history").startswith(truth), "its way is its own"
    assert server.run("cat", f"{server.top}/archive/00000002.history") == truth
    server.run(*stop[:3], "-l", str(server.top / "log"), "-o", options, "-w", "start")
    assert server.sql("SELECT count(*) FROM t") == "1000"
    server.run(*stop)
