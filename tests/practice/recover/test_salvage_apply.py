"""Lost rows come back: compared with the leader, read by a person, applied once though pgops and the leader are killed."""

from __future__ import annotations

import csv
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from pgops.errors import PgopsError
from practice.engine.desk import Desk, wait_until
from practice.recover.rows import ON_THE_LOSER, SETUP, Sides

LAB = "apply"
pytestmark = [pytest.mark.practice, pytest.mark.xdist_group("salvage-apply")]

MORE = """
CREATE TABLE a_line (id int PRIMARY KEY, invoice int NOT NULL);
CREATE TABLE invoice (id int PRIMARY KEY, note text);
ALTER TABLE a_line ADD CONSTRAINT of_an_invoice FOREIGN KEY (invoice) REFERENCES invoice;
CREATE TABLE times (id int GENERATED ALWAYS AS IDENTITY, what text);
CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(6); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON times DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.what = 'slowly') EXECUTE FUNCTION dawdle();
"""
LOST = """
INSERT INTO invoice SELECT n, E'a "note",\\n' || n FROM generate_series(1, 40) n;
INSERT INTO a_line SELECT n, n FROM generate_series(1, 40) n;
"""
MEANWHILE = """
INSERT INTO both_sides VALUES ('kept', 'on the survivor'), ('lost 1', 'another one'), ('lost 2', 'outer');
UPDATE both_sides SET note = 'changed here' WHERE id = 'old 1';
"""


@pytest.fixture(scope="module")
def lost(desk: Desk) -> dict[str, Any]:
    """A split brain that is mended, and what was saved of the loser."""
    desk.await_healthy()
    sides, loser = Sides.of(desk.lab.name), desk.leader()
    sides.sql(loser, SETUP)
    sides.sql(loser, MORE)
    desk.lab.lab("break", "split-brain")
    survivor = desk.leader()
    sides.sql(loser, ON_THE_LOSER)
    sides.sql(loser, LOST)
    sides.sql(survivor, MEANWHILE)
    desk.done("recover", "split-brain", "--survivor", survivor, "--yes")
    data_dir = Path(desk.cluster["hosts"][loser]["data_dir"])
    (copy,) = data_dir.parent.glob(f"{data_dir.name}.pgops-*")
    run = copy.name.partition(".pgops-")[2]
    desk.done("salvage", run)
    return {"run": run, "copy": copy, "loser": loser, "survivor": survivor}


def _carried(desk: Desk) -> list[Path]:
    """What lies on any host of a folder that was carried there."""
    places = [Path(host["data_dir"]) for host in desk.cluster["hosts"].values()]
    return [path for place in places for path in place.parent.glob(f"{place.name}.pgops-applying-*")]


def _conflicts(desk: Desk, run: str, code: int) -> dict[str, dict[str, Any]]:
    ended = desk.pgops("salvage", "apply", run, "--dry-run", "-f", "json")
    assert ended.code == code, ended.said
    return {each["table"]: each for each in json.loads(ended.out)["conflicts"]}


def _counts(told: dict[str, Any]) -> tuple[int, ...]:
    return tuple(told[name] for name in ("rows", "absent", "held", "same", "both", "changed"))


def _run_id(desk: Desk) -> str:
    found: str = json.loads(desk.etcd.own()["run/salvage"].value)["id"]
    return found


def _edit(copy: Path, old: str, new: str) -> None:
    script = copy / "salvage/app.sql"
    text = script.read_text()
    assert old in text
    script.write_text(text.replace(old, new))


def _takes_writes(desk: Desk, sides: Sides) -> bool:
    leader = desk.leader()
    try:
        return bool(leader) and sides.sql(leader, "SELECT pg_is_in_recovery()") == [["f"]]
    except PgopsError:
        return False


def _saved(copy: Path, table: str) -> list[dict[str, str]]:
    with (copy / f"salvage/app/{table}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_conflicts_are_shown_before_anything_is_written(desk: Desk, lost: dict[str, Any]) -> None:
    sides, survivor, run = Sides.of(desk.lab.name), lost["survivor"], lost["run"]
    before = sides.sql(survivor, "SELECT count(*), (SELECT count(*) FROM pg_class) FROM both_sides")
    told = _conflicts(desk, run, 3)
    # One is not there, one is there as it is, one key was given on both sides, and one row was changed on either.
    assert _counts(told["public.both_sides"]) == (4, 1, 0, 1, 1, 1), told["public.both_sides"]
    assert told["public.both_sides"]["both_keys"] == ["lost 1"] and told["public.both_sides"]["changed_keys"] == [
        "old 1"
    ]
    assert _counts(told["public.invoice"]) == _counts(told["public.a_line"]) == (40, 40, 0, 0, 0, 0)
    assert told['"Odd Name"."a table"']["rows"] == 3 and "no primary key" in told['"Odd Name"."a table"']["why"]
    ledger = told["public.ledger"]
    assert sum(_counts(ledger)[1:]) == ledger["rows"] == len(_saved(lost["copy"], "public.ledger"))
    said = desk.pgops("salvage", "apply", run, "--dry-run")
    assert said.code == 3 and "keys of both: lost 1" in said.out and "ends in ROLLBACK" in said.out
    assert sides.sql(survivor, "SELECT count(*), (SELECT count(*) FROM pg_class) FROM both_sides") == before
    refused = desk.pgops("salvage", "apply", run)
    assert refused.code == 3 and f"{lost['copy']}/salvage/app.sql on {lost['loser']} ends in ROLLBACK" in refused.said
    assert _carried(desk) == []


def test_killed_before_and_after_effects_every_row_comes_back_once(desk: Desk, lost: dict[str, Any]) -> None:
    sides, survivor, run, copy = Sides.of(desk.lab.name), lost["survivor"], lost["run"], lost["copy"]
    # Not to be repeated: it would be seen.
    _edit(copy, "\nROLLBACK;\n", "\nINSERT INTO times (what) VALUES ('once');\nCOMMIT;\n")
    plan = desk.done("salvage", "apply", run, "--dry-run").out
    assert "risk: change" in plan and "carry" in plan
    ended = desk.pgops("salvage", "apply", run, at=2)
    assert ended.code == -9
    assert sides.sql(survivor, "SELECT count(*) FROM times") == [["0"]] and len(_carried(desk)) == 1
    id_ = _run_id(desk)
    assert desk.pgops("runs", "continue", id_, at=1, after=True).code == -9
    assert sides.sql(survivor, "SELECT count(*) FROM times") == [["1"]]
    assert desk.pgops("runs", "continue", id_, at=1).code == -9
    done = desk.done("runs", "continue", id_)
    assert f"pgops copies show {run}" in done.out

    there = {row[0]: row[1] for row in sides.sql(survivor, "SELECT id, note FROM both_sides")}
    for row in _saved(copy, "public.both_sides"):
        assert row["id"] in there, f"{row['id']} did not come back"
    assert (there["lost 1"], there["lost 3"], there["old 1"]) == ("another one", "inner", "changed here")
    whole = "SELECT count(*) FROM invoice WHERE note = E'a \"note\",\\n' || id"
    assert sides.sql(survivor, whole) == [["40"]]
    assert sides.sql(survivor, "SELECT count(*) FROM a_line") == [["40"]]
    ledger = {row[0] for row in sides.sql(survivor, "SELECT id FROM ledger")}
    assert {row["id"] for row in _saved(copy, "public.ledger")} <= ledger
    assert sides.sql(survivor, "SELECT what FROM times") == [["once"]]

    assert _carried(desk) == [], "customers' rows are left on the leader's host"
    (told,) = json.loads((copy / "salvage/applied.json").read_text())["applied"]
    assert sides.sql(survivor, f"SELECT txid_status({told['xid']})") == [["committed"]]
    with (copy / "salvage/app/public.both_sides.deleted.csv").open(newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == ["old 2"]
    again = desk.done("salvage", "apply", run)
    assert again.out.startswith("nothing to do") and f"as transaction {told['xid']}" in again.out
    shown = desk.done("copies", "show", run).out
    assert f"applied: app: {told['inserted']} rows inserted" in shown and f"next: pgops copies remove {run}" in shown
    after = _conflicts(desk, run, 0)
    assert [after[name]["absent"] for name in ("public.both_sides", "public.invoice", "public.a_line")] == [0, 0, 0]


def test_a_leader_that_is_killed_at_the_commit_has_it_once(desk: Desk, lost: dict[str, Any]) -> None:
    """An edited script is another one. Its COMMIT takes a while, and the leader's server dies within."""
    sides, run, copy = Sides.of(desk.lab.name), lost["run"], lost["copy"]
    leader = desk.leader()
    _edit(copy, "VALUES ('once')", "VALUES ('slowly')")
    told = desk.done("salvage", "apply", run, "--dry-run").out
    assert "with other content, SHA-256" in told and "it was not" in told
    running = desk.start("salvage", "apply", run)
    wait_until(
        lambda: sides.sql(leader, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COMMIT%'") == [["1"]], 60
    )
    postmaster = int((Path(desk.cluster["hosts"][leader]["data_dir"]) / "postmaster.pid").read_text().splitlines()[0])
    os.kill(postmaster, signal.SIGKILL)
    ended = running.end()
    assert ended.code == 4 and "how it ended is not told yet" in ended.said, ended.said
    wait_until(lambda: _takes_writes(desk, sides), 120)
    id_ = _run_id(desk)
    if desk.leader() == leader:
        desk.done("runs", "continue", id_)
    else:
        stale = desk.pgops("runs", "continue", id_)
        assert stale.code == 4 and "the leader was" in stale.said, stale.said
        desk.done("runs", "abort", id_, "--forget", "--yes")
        desk.done("salvage", "apply", run)
    now = desk.leader()
    assert sides.sql(now, "SELECT what FROM times ORDER BY what") == [["once"], ["slowly"]]
    assert len(json.loads((copy / "salvage/applied.json").read_text())["applied"]) == 2
    assert _carried(desk) == []


def test_the_folder_goes_and_the_copy_stays(desk: Desk, lost: dict[str, Any]) -> None:
    run, copy, name = lost["run"], lost["copy"], desk.lab.name
    script = (copy / "salvage/app.sql").read_text()
    told = desk.pgops("salvage", "remove", run, "--dry-run")
    assert told.code == 0 and "rows of" in told.out and "risk: destroy" in told.out
    assert desk.pgops("salvage", "remove", run, "--yes").code == 3
    assert desk.pgops("salvage", "remove", run, "--confirm", name, at=2, after=True).code == -9
    assert (copy / "salvage/summary.json").exists()
    desk.done("runs", "continue", _run_id(desk), "--confirm", name)
    assert not (copy / "salvage").exists() and (copy / "data").is_dir()
    assert desk.done("salvage", "remove", run).out.startswith("nothing to do")
    refused = desk.pgops("copies", "remove", run, "--confirm", name)
    assert refused.code == 3 and "never read" in refused.said

    desk.done("salvage", run)
    (copy / "salvage/app.sql").write_text(script)
    again = desk.done("salvage", "apply", run)
    assert again.out.startswith("nothing to do"), "what was applied is forgotten with the folder"
    desk.done("copies", "remove", run, "--confirm", name)
    desk.lab.lab("mend")
