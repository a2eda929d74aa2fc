"""A split brain under load from pgbench itself, from before the fork to the end: updates, and a table that has no key."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from practice.engine.desk import Desk, wait_until
from practice.recover.bench_load import BALANCES, CLIENTS, Row, Tables, benches, initialise, opened, read, read_member
from practice.recover.rows import Sides

LAB = "pgbench"
pytestmark = [pytest.mark.practice, pytest.mark.xdist_group("split-pgbench")]
_WRITTEN = "SELECT count(*) > 300 FROM pgbench_history"


def _saved(salvage: Path, table: str) -> list[dict[str, str]]:
    with (salvage / f"app/public.{table}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _check_rows(salvage: Path, truth: Tables, lost: Counter[Row]) -> None:
    """Row by row: every history row that only the loser has, and every balance that its transactions changed; no other."""
    history = Counter(
        (row["tid"], row["bid"], row["aid"], row["delta"], row["mtime"]) for row in _saved(salvage, "pgbench_history")
    )
    missing, invented = lost - history, history - lost
    assert (missing.total(), invented.total()) == (0, 0), f"missing {list(missing)[:5]}, invented {list(invented)[:5]}"
    for table, wanted in truth.of(lost).items():
        key, balance = BALANCES[table]
        rows = _saved(salvage, table)
        assert len(rows) == len({row[key] for row in rows}), f"{table}: a row is there twice"
        assert {row[key]: int(row[balance]) for row in rows} == wanted, table
        assert {row["_pgops_change"] for row in rows} == {"update"}, table


def _check_counts(desk: Desk, run: str, account: dict[str, Any], summary: dict[str, Any], count: int) -> None:
    """One row of history, and one update of each other table, for each transaction; told alike wherever it is told."""
    assert account["complete"] and account["gaps"] == [], account["straddling"]
    told = {table["table"]: table for table in summary["tables"]}
    for table in BALANCES:
        found = told[f"public.{table}"]
        assert (found["inserted"], found["updated"], found["deleted"]) == (0, count, 0), found
    found = told["public.pgbench_history"]
    assert (found["inserted"], found["updated"], found["deleted"], found["rows"]) == (count, 0, 0, count), found
    said = desk.done("copies", "show", run).out
    assert f"app: public.pgbench_history: {count} rows inserted, 0 updated, 0 deleted; {count} rows are saved" in said
    assert account["transactions"]["count"] >= count


def test_pgbench_writes_to_both_all_the_while(desk: Desk) -> None:
    desk.await_healthy()
    sides = Sides.of(desk.lab.name)
    lab, loser = sides.lab, desk.leader()
    initialise(lab, loser)
    with benches(lab) as running:
        running.start(loser)
        wait_until(lambda: sides.sql(loser, _WRITTEN) == [["t"]], 60)
        desk.lab.lab("break", "split-brain")
        survivor = desk.leader()
        assert survivor != loser
        running.start(survivor)
        before = int(sides.sql(survivor, "SELECT count(*) FROM pgbench_history")[0][0])
        wait_until(lambda: int(sides.sql(survivor, "SELECT count(*) FROM pgbench_history")[0][0]) > before + 300, 60)
        told = desk.done("recover", "split-brain", "--dry-run").out
        assert "app: public.pgbench_history: " in told and "app: public.pgbench_accounts: 0 rows inserted, " in told, (
            told
        )
        run = _recover(desk, survivor)
        wait_until(lambda: desk.lab.health("--deep")[0] == 0, 90)
        ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'pgbench'"
        assert sides.sql(survivor, ended) == [[str(CLIENTS)]], "clients of the survivor lost their connections"
        acknowledged = {name: bench.end() for name, bench in running.benches.items()}

    copy = Path(f"{desk.cluster['hosts'][loser]['data_dir']}.pgops-{run}")
    with opened(lab, copy / "data") as psql:
        truth = read(psql)
    here = read_member(lab, survivor)
    truth.check()
    here.check()
    lost = truth.history - here.history
    assert lost.total() > 1000, "too little load"
    # The last transaction of each client may have been committed without its client having been told.
    assert acknowledged[loser] <= truth.history.total() <= acknowledged[loser] + CLIENTS
    own = (here.history - truth.history).total()
    assert acknowledged[survivor] <= own <= acknowledged[survivor] + CLIENTS

    desk.done("salvage", run)
    account = json.loads((copy / "account/account.json").read_text())
    summary = json.loads((copy / "salvage/summary.json").read_text())
    _check_rows(copy / "salvage", truth, lost)
    _check_counts(desk, run, account, summary, lost.total())
    assert not [text for text in summary["unknown"] if "pgbench" in text], summary["unknown"]
    assert desk.done("recover", "split-brain", "--survivor", survivor).out.startswith("nothing to do")
    desk.done("copies", "remove", run, "--confirm", desk.lab.name)
    desk.lab.lab("mend")


def _recover(desk: Desk, survivor: str) -> str:
    """Recover, killed once in the middle; the run."""
    ended = desk.pgops("recover", "split-brain", "--survivor", survivor, "--yes", at=5)
    assert ended.code == -9, ended.said
    run = desk.run_id()
    desk.done("runs", "continue", run, "--yes")
    return run
