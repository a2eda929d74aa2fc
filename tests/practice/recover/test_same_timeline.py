"""Two members that took one timeline number: Patroni joined them, all look well, and the archive has WAL of both."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from practice.engine.desk import Desk, wait_until
from practice.recover.rows import Sides

LAB = "split"
pytestmark = [pytest.mark.practice, pytest.mark.xdist_group("split-brain")]

_APART = "SELECT id, written_on FROM ledger WHERE note LIKE 'written apart%'"


def test_one_number_taken_twice(desk: Desk) -> None:
    desk.await_healthy()
    sides = Sides.of(desk.lab.name)
    desk.lab.lab("break", "same-timeline")
    winner = desk.leader()
    here = set(map(tuple, sides.sql(winner, _APART)))
    others = {name: set(map(tuple, sides.sql(name, _APART))) - here for name in desk.cluster["hosts"] if name != winner}
    (loser,) = [name for name, rows in others.items() if rows]
    lost = {id_ for id_, _ in others[loser]}
    assert len(lost) > 1000

    # The loser archives first: the survivor's file of that name is refused from then on.
    (segment,) = sides.sql(winner, "SELECT pg_walfile_name(pg_current_wal_lsn())")[0]
    sides.push(loser, segment)
    sides.sql(winner, "SELECT pg_switch_wal()")
    failed = "SELECT last_failed_wal FROM pg_stat_archiver WHERE last_failed_time > coalesce(last_archived_time, '-infinity')"
    wait_until(lambda: sides.sql(winner, failed) == [[segment]], 90)

    told = desk.done("recover", "split-brain", "--dry-run").out
    assert f"{loser} " in told and "under the same number" in told, told
    words = ("recover", "split-brain", "--survivor", winner)
    refused = desk.pgops(*words, "--yes")
    assert refused.code == 3 and "--confirm" in refused.said, refused.said
    ended = desk.pgops(*words, "--confirm", desk.lab.name, at=6, after=True)
    assert ended.code == -9, ended.said
    run = desk.run_id()
    ended = desk.pgops("runs", "continue", run, "--confirm", desk.lab.name, at=1)
    assert ended.code == -9, ended.said
    desk.done("runs", "continue", run, "--confirm", desk.lab.name)

    copy = Path(f"{desk.cluster['hosts'][loser]['data_dir']}.pgops-{run}")
    told = json.loads((copy / "archive.json").read_text())
    assert [Path(item["path"]).name[:24] for item in told["removed"]] == [segment], told
    wait_until(lambda: sides.sql(winner, "SELECT last_archived_wal FROM pg_stat_archiver")[0][0] >= segment, 120)

    desk.done("salvage", run)
    with (copy / "salvage/app/public.ledger.csv").open(newline="") as file:
        saved = {row["id"] for row in csv.DictReader(file)}
    assert saved == lost, f"missing {len(lost - saved)}, invented {len(saved - lost)}"
    assert set(map(tuple, sides.sql(winner, _APART))) == here
    wait_until(lambda: desk.lab.health("--deep")[0] == 0, 90)
    assert desk.done("recover", "split-brain", "--survivor", winner).out.startswith("nothing to do")
    desk.done("copies", "remove", run, "--confirm", desk.lab.name)
    desk.lab.lab("mend")
