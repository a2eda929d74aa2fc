"""The archive knows a higher timeline than any member: a restored copy was promoted once, archived that, and is gone."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from practice.engine.desk import Desk, named_run, wait_until
from practice.recover.clients import SETUP, writing
from practice.recover.rows import Sides

LAB = "pgbench"
pytestmark = [pytest.mark.practice, pytest.mark.xdist_group("split-pgbench")]
_TIMELINE = "SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int"


def _archive(desk: Desk, name: str, file: str, text: str) -> None:
    """Have a history file of that name in the archive, as its server's archiver put it there."""
    host = desk.cluster["hosts"][name]
    become = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="pgops-astray-", dir="/tmp") as top:
        Path(top).chmod(0o755)
        path = Path(top, file)
        path.write_text(text)
        argv = [*become, "pgbackrest", f"--config={host['pgbackrest_config']}", f"--stanza={desk.cluster['stanza']}"]
        argv += ["--log-level-file=off", "archive-push", str(path)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, cwd="/")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_survivor_that_leads_goes_on_above_it(desk: Desk) -> None:
    desk.await_healthy()
    sides, loser = Sides.of(desk.lab.name), desk.leader()
    sides.sql(loser, f"{SETUP}; TRUNCATE load")
    desk.lab.lab("break", "split-brain")
    survivor = desk.leader()
    (before,) = sides.sql(survivor, _TIMELINE)[0]
    pg_wal = Path(desk.cluster["hosts"][survivor]["data_dir"], "pg_wal")
    lines = (pg_wal / f"{int(before):08X}.history").read_text().splitlines()
    parent = lines[-1].split("\t")[0]
    for number in (int(before) + 1, int(before) + 2):
        _archive(desk, survivor, f"{number:08X}.history", "\n".join([*lines[:-1], f"{parent}\t0/3000000\tastray", ""]))

    with writing(sides, loser, "lost") as lost, writing(sides, survivor, "kept") as kept:
        wait_until(lambda: len(lost.acknowledged) > 50 and len(kept.acknowledged) > 50, 30)
        words = ("recover", "split-brain", "--survivor", survivor)
        told = desk.done(*words, "--dry-run", "--no-counts").out
        assert f"{survivor} is on timeline {before}, and timeline {int(before) + 2} is known" in told, told
        run = named_run(desk.done(*words, "--yes").said)
    assert desk.leader() == survivor
    assert int(sides.sql(survivor, _TIMELINE)[0][0]) > int(before) + 2
    kept.check({row[0] for row in sides.sql(survivor, "SELECT id FROM load WHERE id LIKE 'kept%'")})
    wait_until(lambda: desk.lab.health("--deep")[0] == 0, 90)
    assert sides.sql(survivor, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == [["2"]]
    assert desk.done(*words).out.startswith("nothing to do")
    desk.done("copies", "remove", run, "--unsalvaged", "--confirm", desk.lab.name)
    desk.lab.lab("mend")
