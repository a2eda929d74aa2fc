"""A real split brain, mended: what only the loser has is kept and counted, pgops killed at every effect on the way."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from pgops.hosts import process
from practice.engine.desk import Desk, wait_until
from practice.recover.rows import ON_THE_LOSER, SETUP, Sides

LAB = "split"
pytestmark = [pytest.mark.practice, pytest.mark.xdist_group("split-brain")]


def _copies(desk: Desk, name: str) -> list[Path]:
    data_dir = Path(desk.cluster["hosts"][name]["data_dir"])
    return sorted(data_dir.parent.glob(f"{data_dir.name}.pgops-*"))


def _roles(desk: Desk) -> tuple[str, str]:
    """(who leads, the old leader)."""
    return desk.leader(), next(name for name in desk.cluster["hosts"] if name != desk.leader())


def _apply(sides: Sides, survivor: str, folder: Path) -> None:
    """The script inserts what the survivor has not, tells what it has otherwise, and does nothing until it says COMMIT."""
    count = "SELECT count(*) FROM both_sides WHERE id LIKE 'lost%'"
    said = sides.run_file(survivor, folder / "app.sql")
    assert "public.both_sides|0|1\n" in said and "INSERT 0 5" in said and "ROLLBACK" in said
    assert "public.ledger|20|0\n" in said and "INSERT 0 17" in said, "20 numbers were given on both sides"
    assert "public.both_sides|1|1\n" in said, "of the one deleted row, one is here as it was"
    with (folder / "app/public.both_sides.deleted.csv").open(newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == ["old 2"]
    assert sides.sql(survivor, count) == [["0"]]
    script = folder / "app.sql"
    script.write_text(script.read_text().replace("\nROLLBACK;\n", "\nCOMMIT;\n"))
    sides.run_file(survivor, script)
    assert "INSERT 0 0" in sides.run_file(survivor, script), "it is done once"
    assert sides.sql(survivor, count) == [["5"]]
    assert sides.sql(survivor, "SELECT note FROM both_sides WHERE id = 'old 1'") == [["before"]]


def _measured(place: Path) -> int:
    return int(process.run(["du", "-s", "--block-size=1", str(place)], timeout_s=60).stdout.split()[0])


def _salvage(desk: Desk, run: str) -> None:
    """It is done once, and the copy is then told with the names of its tables."""
    desk.done("salvage", run)
    assert desk.done("salvage", run).out.startswith("nothing to do")
    said = desk.done("copies", "show", run).out
    assert "app: public.ledger: 37 rows inserted, 0 updated, 0 deleted; 37 rows are saved" in said, said
    assert f"next: pgops copies remove {run}" in said


def _show(desk: Desk, copy: Path, survivor: str) -> None:
    """What it says of the copy is what lies there."""
    run = copy.name.partition(".pgops-")[2]
    (told,) = json.loads(desk.done("copies", "show", run, "-f", "json").out)["copies"]
    assert told["size_bytes"] == _measured(copy)
    (piece,) = json.loads((copy / "manifest.json").read_text())["pieces"]
    assert told["fork"] == {"timeline": piece["timeline"], "lsn": piece["from"]}
    assert told["survivor"] == survivor and told["account"]["complete"]
    assert told["account"]["transactions"]["count"] == 7
    assert sorted(file["inserted"] for file in told["account"]["files"])[-2:] == [5, 37] and told["salvage"] is None
    said = desk.done("copies", "show", run).out
    assert f"size: {told['size_bytes']} bytes" in said and f"next: pgops salvage {run}" in said, said
    listed = json.loads(desk.done("copies", "list", "-f", "json").out)["copies"]
    assert [each["size_bytes"] for each in listed] == [told["size_bytes"]]


def _evidence(desk: Desk, copy: Path, survivor: str, loser: str) -> None:
    """What was seen before anything was done, and Patroni's keys as they were."""
    seen = json.loads((copy / "evidence.json").read_text())["snapshot"]
    primaries = {node["name"] for node in seen["nodes"] if node["sql"]["value"]["in_recovery"] is False}
    assert primaries == {survivor, loser}
    keys = json.loads((copy / "dcs.json").read_text())["keys"]
    prefix = f"/service/{desk.etcd.scope}/"
    assert keys[f"{prefix}leader"]["value"] == survivor and keys[f"{prefix}leader"]["lease"]
    now = desk.etcd.keys()
    assert keys[f"{prefix}initialize"]["value"] == now[f"{prefix}initialize"].value
    assert json.loads(keys[f"{prefix}config"]["value"])["ttl"] and keys[f"{prefix}config"]["mod_revision"] > 0
    assert "n1" in (copy / "evidence.json").read_text() and (copy / "evidence.json").stat().st_mode & 0o077 == 0


def _account(desk: Desk, copy: Path, survivor: str, loser: str) -> None:
    """What was counted, beside what was seen."""
    _evidence(desk, copy, survivor, loser)
    account = json.loads((copy / "account/account.json").read_text())
    assert account["complete"] and account["gaps"] == [], account["straddling"]
    assert account["straddling"] == {"complete": True, "count": 1, "why": None}
    assert account["transactions"]["aborted"] == 2, "one transaction and one sub-transaction"
    rows = [line.split("\t") for line in (copy / "account/transactions.tsv").read_text().splitlines()]
    assert len(rows) == account["transactions"]["count"] == 7


def test_killed_at_every_effect_it_comes_to_the_same_end(desk: Desk) -> None:
    desk.await_healthy()
    sides, loser = Sides.of(desk.lab.name), desk.leader()
    sides.sql(loser, SETUP)
    across = sides.begin_across(loser)
    desk.lab.lab("break", "split-brain")
    survivor = desk.leader()
    assert survivor != loser
    sides.sql(loser, ON_THE_LOSER)
    sides.sql(survivor, "INSERT INTO both_sides VALUES ('kept', 'on the survivor')")
    assert across.wait(60) == 0

    told = desk.done("recover", "split-brain", "--dry-run").out
    assert "app: public.both_sides: 5 rows inserted, 1 updated, 1 deleted" in told, told
    assert 'app: "Odd Name"."a table": 3 rows inserted' in told
    assert "app: public.ledger: 37 rows inserted" in told
    assert f"--survivor {survivor}" in told

    cuts = 0
    ended = desk.pgops("recover", "split-brain", "--survivor", survivor, "--yes", at=1)
    assert ended.code == -9
    while ended.code != 0:
        cuts += 1
        assert cuts < 40
        run = desk.run_id()
        ended = desk.pgops("runs", "continue", run, "--yes", at=1, after=cuts % 2 == 1)
        assert ended.code in (0, -9), ended.said
    assert cuts > 16, "it was not cut at every effect"

    (copy,) = _copies(desk, loser)
    _account(desk, copy, survivor, loser)
    found = sides.sql(survivor, "SELECT id FROM both_sides WHERE id LIKE 'lost%' OR id = 'kept'")
    assert found == [["kept"]]
    run = copy.name.partition(".pgops-")[2]
    _show(desk, copy, survivor)
    _salvage(desk, run)
    with (copy / "salvage/app/public.both_sides.csv").open(newline="") as file:
        saved = {row["id"]: row["_pgops_change"] for row in csv.DictReader(file)}
    inserted = dict.fromkeys(("lost 1", "lost 2", "lost 3", "lost across 1", "lost across 2"), "insert")
    assert saved == {**inserted, "old 1": "update"}
    with (copy / "salvage/app/public.ledger.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 37
    assert (copy / "salvage/app/Odd Name.a table.csv").exists()

    _apply(sides, survivor, copy / "salvage")
    wait_until(lambda: desk.lab.health("--deep")[0] == 0, 90)
    again = desk.done("recover", "split-brain", "--survivor", survivor)
    assert again.out.startswith("nothing to do"), again.said
    assert len(_copies(desk, loser)) == 1
    desk.lab.lab("mend")
