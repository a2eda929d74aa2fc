"""The lift of a real server that stopped cleanly, or that crashed: every row is there, on a timeline above all others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.recover.own_server import Server, place_for_servers

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
    wish = {"data_dir": str(server.data), "bin_dir": str(server.bin_dir), "above": 3, "archive": None}
    for _ in range(2):  # again, it is high enough
        assert server.program("lift", {**wish, "histories": HISTORIES}) == {"timeline": 4}
    options = f"-c listen_addresses='' -k {server.top} -c max_prepared_transactions=5"
    log = str(server.top / "log")
    server.run(f"{server.bin_dir}/pg_ctl", "-D", str(server.data), "-l", log, "-o", options, "-w", "start")
    assert server.sql("SELECT count(*), min(id) FROM t") == "3001|-1"
    assert server.sql("SELECT gid FROM pg_prepared_xacts") == "kept"
    assert server.sql("SELECT pg_is_in_recovery(), timeline_id FROM pg_control_checkpoint()") == "f|4"
    server.run(*stop)
