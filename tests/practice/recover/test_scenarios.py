"""Split brains of other kinds: paused, with a dead Patroni, of three members; with clients that write all the while."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from pgops.hosts import process
from pgops_lab import processes
from practice.engine.desk import Desk, named_run, wait_until
from practice.recover.clients import SETUP, Written, writing
from practice.recover.elsewhere import leading_elsewhere
from practice.recover.rows import Sides

LAB = "split"
pytestmark = [pytest.mark.practice, pytest.mark.xdist_group("split-brain")]


def _break(desk: Desk, sides: Sides) -> tuple[str, int]:
    """(who led, the process of its Patroni, which is frozen)."""
    desk.await_healthy()
    loser = desk.leader()
    sides.sql(loser, f"{SETUP}; TRUNCATE load")
    told = desk.lab.lab("break", "split-brain")
    return loser, int((told.stdout + told.stderr).partition("(pid ")[2].partition(")")[0])


def _recover(
    desk: Desk, survivor: str, cuts: Iterable[int], meanwhile: Callable[[int], None] = lambda number: None
) -> str:
    """Recover, killed before the n-th effect of each go, with what happens while nobody is at it; gives the run's id."""
    words: tuple[str, ...] = ("recover", "split-brain", "--survivor", survivor, "--yes")
    run = ""
    for number, cut in enumerate(cuts):
        ended = desk.pgops(*words, at=cut, after=number % 2 == 1)
        assert ended.code == -9, ended.said
        run = desk.run_id()
        words = ("runs", "continue", run, "--yes")
        meanwhile(number)
    desk.done(*words)
    return run


def _saved(desk: Desk, name: str, run: str) -> set[str]:
    copy = Path(f"{desk.cluster['hosts'][name]['data_dir']}.pgops-{run}")
    with (copy / "salvage/app/public.load.csv").open(newline="") as file:
        return {row["id"] for row in csv.DictReader(file)}


def _account(desk: Desk, name: str, run: str) -> dict[str, Any]:
    copy = Path(f"{desk.cluster['hosts'][name]['data_dir']}.pgops-{run}")
    told: dict[str, Any] = json.loads((copy / "account/account.json").read_text())
    return told


def _check_survivor(sides: Sides, survivor: str, written: Written) -> None:
    found = {row[0] for row in sides.sql(survivor, "SELECT id FROM load")}
    written.check(found)


def _finish(desk: Desk, run: str) -> None:
    """Healthy, and nothing is left of the run: other tests come to this lab."""
    try:
        wait_until(lambda: desk.lab.health("--deep")[0] == 0, 90)
    except AssertionError:
        raise AssertionError(desk.pgops("health", "--deep").said) from None
    desk.done("copies", "remove", run, "--confirm", desk.lab.name)
    assert desk.done("copies", "list").out.startswith("there are no safety copies")
    desk.lab.lab("mend")


def test_paused_and_under_load(desk: Desk) -> None:
    sides = Sides.of(desk.lab.name)
    loser, _ = _break(desk, sides)
    survivor = desk.leader()
    desk.ask_patroni("PATCH", "/config", {"pause": True})
    with writing(sides, loser, "lost") as lost, writing(sides, survivor, "kept") as kept:
        wait_until(lambda: len(lost.acknowledged) > 50 and len(kept.acknowledged) > 50, 30)
        run = _recover(desk, survivor, (3, 5))
    _check_survivor(sides, survivor, kept)
    assert not desk.etcd.is_paused()
    desk.done("salvage", run)
    lost.check(_saved(desk, loser, run))
    _finish(desk, run)


def _out_of_reach(desk: Desk, name: str, folder: Path) -> Desk:
    """The same desk where nothing of this member answers: not its host, not its PostgreSQL, not its Patroni."""
    document = yaml.safe_load(Path(desk.lab.config).read_text())
    (cluster,) = document["clusters"].values()
    nobody = "127.88.88.88"
    cluster["hosts"][name].update(
        ssh={"destination": nobody, "port": 9}, sql_host=nobody, rest_url=f"http://{nobody}:9"
    )
    changed = folder / "pgops.yml"
    changed.write_text(yaml.safe_dump(document))
    changed.chmod(0o600)
    return replace(desk, lab=replace(desk.lab, config=str(changed)))


def test_out_of_reach_then_back_with_a_dead_patroni(desk: Desk, tmp_path: Path) -> None:
    sides = Sides.of(desk.lab.name)
    loser, patroni = _break(desk, sides)
    survivor = desk.leader()
    desk.done("node", "hold", loser)
    os.kill(patroni, signal.SIGKILL)
    with writing(sides, loser, "lost") as lost:
        wait_until(lambda: len(lost.acknowledged) > 50, 30)
        ended = _out_of_reach(desk, loser, tmp_path).pgops("recover", "split-brain", "--survivor", survivor, "--yes")
        assert ended.code == 5 and loser in ended.said and f"--without {loser}" in ended.said, ended.said
        assert sides.sql(loser, "SELECT pg_is_in_recovery()") == [["f"]], "it was touched"
        run = _recover(desk, survivor, (1, 4))
    desk.done("salvage", run)
    lost.check(_saved(desk, loser, run))
    _finish(desk, run)


def test_left_out_then_back_with_a_patroni_that_wakes_up(desk: Desk, tmp_path: Path) -> None:
    """Nobody can look at the loser. Its Patroni comes back before anybody kept what only it has, and must not rewind it."""
    sides = Sides.of(desk.lab.name)
    loser, patroni = _break(desk, sides)
    survivor = desk.leader()
    far = _out_of_reach(desk, loser, tmp_path)
    recover = ("recover", "split-brain", "--survivor", survivor, "--yes")
    with writing(sides, loser, "lost") as lost:
        wait_until(lambda: len(lost.acknowledged) > 50, 30)
        refused = desk.pgops(*recover, "--without", f"{loser}=off")
        assert refused.code == 3 and "is said to be off, and its PostgreSQL answers" in refused.said, refused.said
        refused = far.pgops(*recover, "--without", f"{loser}=held")
        assert refused.code == 5 and "whether Patroni of" in refused.said, refused.said
        assert far.pgops(*recover, "--without", loser).code == 2
        ended = far.pgops(*recover, "--without", f"{loser}=off", at=1, after=True)
        assert ended.code == -9, ended.said
        far.done("runs", "continue", desk.run_id())
        assert far.done(*recover, "--without", f"{loser}=off").out.startswith("nothing to do")
    assert not _rewinds(desk)
    told = desk.pgops("health", "--check", "left-out")
    assert told.code == 1 and f"left {loser} out" in told.said, told.said

    os.kill(patroni, signal.SIGCONT)
    wait_until(lambda: "shut down" in sides.state(loser) or "recovery" in sides.state(loser), 60)
    log = Path(desk.cluster["hosts"][loser]["data_dir"]).parents[1] / "log"
    wait_until(lambda: "Failed to rewind from healthy primary" in (log / f"patroni-{loser}.log").read_text(), 60)
    wait_until(lambda: "requested timeline" in (log / f"postgresql-{loser}.log").read_text(), 60)

    run = _recover(desk, survivor, (3, 2))
    assert _rewinds(desk) and desk.pgops("health", "--check", "left-out").code == 0
    desk.done("salvage", run)
    lost.check(_saved(desk, loser, run))
    _finish(desk, run)


def test_a_former_leader_that_is_started_without_a_rewind(desk: Desk) -> None:
    """It replays its own WAL and then streams, looks well to Patroni, and has rows that nobody else has."""
    sides = Sides.of(desk.lab.name)
    loser, patroni = _break(desk, sides)
    survivor = desk.leader()
    desk.ask_patroni("PATCH", "/config", {"postgresql": {"use_pg_rewind": False}})
    with writing(sides, loser, "lost") as lost:
        wait_until(lambda: len(lost.acknowledged) > 50, 30)
    log = Path(desk.cluster["hosts"][loser]["data_dir"]).parents[1] / f"log/postgresql-{loser}.log"
    before = len(log.read_text())
    os.kill(patroni, signal.SIGCONT)
    wait_until(lambda: "started streaming WAL from primary" in log.read_text()[before:], 60)
    ours = "SELECT pg_current_wal_lsn() > '{}'::pg_lsn"
    (end,) = sides.sql(loser, "SELECT pg_last_wal_replay_lsn()")
    with writing(sides, survivor, "kept") as kept:
        wait_until(lambda: sides.sql(survivor, ours.format(end[0])) == [["t"]], 60)
    told = desk.pgops("health", "--check", "ahead")
    assert told.code == 2 and f"{loser}: has replayed" in told.said and "never had" in told.said, told.said
    told = desk.done("recover", "split-brain", "--dry-run", "--survivor", survivor)
    counted = re.search(rf"what only {loser} has: (\d+) transactions", told.out)
    assert counted and int(counted[1]) >= len(lost.acknowledged), told.out.partition("plan:")[0]

    desk.ask_patroni("PATCH", "/config", {"postgresql": {"use_pg_rewind": True}})
    ended = desk.done("recover", "split-brain", "--survivor", survivor, "--yes")
    _check_follow_up(desk, ended.out, survivor)
    run = named_run(ended.out.partition("next: ")[2])
    _check_survivor(sides, survivor, kept)
    desk.done("salvage", run)
    lost.check(_saved(desk, loser, run))
    _finish(desk, run)


def _check_follow_up(desk: Desk, said: str, survivor: str) -> None:
    """The deep look was told, and a full backup was made, which nobody has to wait for."""
    assert f"{desk.lab.name}: " in said and "wal-identity" in said.partition("next: ")[2], said
    assert "done: make a full backup" in said and f" on {survivor}" in said.partition("make a full backup")[2], said
    backups = json.loads(desk.done("backup", "list", "-f", "json").out)["backups"]
    newest = max(backups, key=lambda backup: str(backup["stopped_at"]))
    assert newest["type"] == "full" and newest["pgops_run"] and not newest["error"], newest


def _rewinds(desk: Desk) -> bool:
    return "bin_name" not in json.loads(_key(desk, "config"))["postgresql"]


def test_wal_that_was_recycled_comes_from_the_archive(desk: Desk) -> None:
    sides = Sides.of(desk.lab.name)
    loser, _ = _break(desk, sides)
    survivor = desk.leader()
    sides.sql(loser, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active")
    with writing(sides, loser, "lost") as lost:
        (forked,) = sides.sql(loser, "SELECT pg_walfile_name(pg_current_wal_lsn())")
        for _ in range(4):
            sides.sql(loser, "INSERT INTO load SELECT 'filler ' || clock_timestamp(), ''; SELECT pg_switch_wal()")
        (last,) = sides.sql(loser, "SELECT pg_walfile_name(pg_switch_wal() - 1)")
        wait_until(lambda: sides.sql(loser, "SELECT last_archived_wal FROM pg_stat_archiver") >= [last], 60)
        sides.sql(loser, "CHECKPOINT")
        sides.sql(loser, "CHECKPOINT")
        there = {row[0] for row in sides.sql(loser, "SELECT name FROM pg_ls_waldir()")}
        assert forked[0] not in there, "nothing was recycled"
        run = _recover(desk, survivor, (4, 3))
    account = _account(desk, loser, run)
    assert account["complete"] and account["gaps"] == [], account["straddling"]
    desk.done("salvage", run)
    lost.check({id_ for id_ in _saved(desk, loser, run) if not id_.startswith("filler")})
    _finish(desk, run)


def _key(desk: Desk, name: str) -> str:
    key = desk.etcd.keys().get(f"/service/{desk.etcd.scope}/{name}")
    return key.value if key else ""


def test_synchronous_commits(desk: Desk) -> None:
    """Nothing that only the loser has was acknowledged, and what its clients were waiting for is there all the same."""
    sides = Sides.of(desk.lab.name)
    desk.await_healthy()
    desk.ask_patroni("PATCH", "/config", {"synchronous_mode": True})
    loser = desk.leader()
    sides.sql(loser, f"{SETUP}; TRUNCATE load")
    # Only who is named there may be promoted.
    wait_until(lambda: '"sync_standby":"' in _key(desk, "sync"), 30)
    with writing(sides, loser, "early") as early:
        wait_until(lambda: len(early.acknowledged) > 50, 30)
    desk.supervise("signal", "STOP", desk.cluster["services"]["names"]["patroni"].replace("{host}", loser))
    wait_until(lambda: desk.leader() not in ("", loser), 60)
    survivor = desk.leader()
    wait_until(lambda: sides.sql(survivor, "SELECT pg_is_in_recovery()") == [["f"]], 30)
    with writing(sides, loser, "alone") as alone:
        wait_until(lambda: len(alone.sent) == 3, 30)
        run = _recover(desk, survivor, (2, 4))
    desk.done("salvage", run)
    _check_survivor(sides, survivor, early)
    assert not alone.acknowledged and _saved(desk, loser, run) == alone.sent
    desk.ask_patroni("PATCH", "/config", {"synchronous_mode": None})
    _finish(desk, run)


def test_the_survivor_has_not_the_lock(desk: Desk) -> None:
    """Clients wrote to the former leader: it survives, above the timelines of those that had the lock meanwhile."""
    sides = Sides.of(desk.lab.name)
    survivor, _ = _break(desk, sides)
    holder = desk.leader()
    third = next(name for name in desk.cluster["hosts"] if name not in (survivor, holder))
    desk.ask_patroni("PATCH", "/config", {"pause": True})

    def crash() -> None:
        """Its Patroni is held: nobody starts it again."""
        pid = int((sides.member(survivor).data_dir / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not processes.is_alive(pid), 10)
        assert sides.state(survivor).endswith("in production")

    with writing(sides, survivor, "kept") as kept, writing(sides, holder, "lost") as lost:
        wait_until(lambda: len(kept.acknowledged) > 50 and len(lost.acknowledged) > 50, 30)
        refused = desk.pgops("recover", "split-brain", "--survivor", survivor, "--without", f"{holder}=off", "--yes")
        assert refused.code == 3 and "could take the lock" in refused.said, refused.said
        run = _recover(desk, survivor, (4, 9, 2, 1, 1, 1), lambda number: crash() if number == 1 else None)
    _check_survivor(sides, survivor, kept)
    assert desk.leader() == survivor and not desk.etcd.is_paused()
    assert sides.sql(survivor, "SELECT timeline_id > 3 FROM pg_control_checkpoint()") == [["t"]]
    desk.done("salvage", run)
    lost.check(_saved(desk, holder, run))
    assert _saved(desk, third, run) <= lost.sent
    _finish(desk, run)


def test_three_members_on_three_branches(desk: Desk) -> None:
    sides = Sides.of(desk.lab.name)
    first, _ = _break(desk, sides)
    second = desk.leader()
    services = desk.cluster["services"]
    desk.supervise("signal", "STOP", services["names"]["patroni"].replace("{host}", second))
    wait_until(lambda: desk.leader() not in ("", first, second), 60)
    survivor = desk.leader()
    wait_until(lambda: sides.sql(survivor, "SELECT pg_is_in_recovery()") == [["f"]], 30)
    with writing(sides, first, "first") as one, writing(sides, second, "second") as two:
        wait_until(lambda: len(one.acknowledged) > 50 and len(two.acknowledged) > 50, 30)
        run = _recover(desk, survivor, (2, 9))
    desk.done("salvage", run)
    one.check(_saved(desk, first, run))
    two.check(_saved(desk, second, run))
    _finish(desk, run)


def test_a_member_that_leads_in_another_dcs(desk: Desk) -> None:
    """Its Patroni was told of another etcd, found nobody there, and promoted its PostgreSQL: two leaders with a lock each."""
    sides = Sides.of(desk.lab.name)
    desk.await_healthy()
    survivor = desk.leader()
    loser = next(name for name in desk.cluster["hosts"] if name != survivor)
    sides.sql(survivor, f"{SETUP}; TRUNCATE load")
    with (
        leading_elsewhere(desk, sides, loser) as set_right,
        writing(sides, loser, "lost") as lost,
        writing(sides, survivor, "kept") as kept,
    ):
        wait_until(lambda: len(lost.acknowledged) > 50 and len(kept.acknowledged) > 50, 30)
        told = desk.done("recover", "split-brain", "--dry-run", "--no-counts").out
        assert f"{loser} holds a leader lock that this DCS does not know: there are two DCSs" in told, told
        refused = desk.pgops("recover", "split-brain", "--survivor", survivor, "--yes")
        assert refused.code == 3 and f"pgops node hold {loser}" in refused.said, refused.said
        desk.done("node", "hold", loser)
        set_right()
        run = _recover(desk, survivor, (4, 6))
    account = _account(desk, loser, run)
    assert account["complete"], account["straddling"]
    _check_survivor(sides, survivor, kept)
    desk.done("salvage", run)
    lost.check(_saved(desk, loser, run))
    _finish(desk, run)


def _allow_prepared(desk: Desk, sides: Sides) -> None:
    """Let the lab's servers keep prepared transactions, which takes a restart of each."""
    desk.ask_patroni("PATCH", "/config", {"postgresql": {"parameters": {"max_prepared_transactions": 10}}})
    patronictl = [str(sides.lab.environment / "bin/patronictl"), "-c", str(sides.member("n1").patroni_config)]
    names = tuple(desk.cluster["hosts"])
    setting = "SELECT pending_restart FROM pg_settings WHERE name = 'max_prepared_transactions'"
    wait_until(lambda: all(sides.sql(name, setting) == [["t"]] for name in names), 30)
    done = process.run([*patronictl, "restart", "--force", desk.lab.name], timeout_s=120)
    assert done.ok, done.stdout + done.stderr
    wait_until(lambda: all(sides.sql(name, "SHOW max_prepared_transactions") == [["10"]] for name in names), 60)


def test_prepared_transactions(desk: Desk) -> None:
    """One that was prepared before the fork and committed behind it, one prepared and committed there, one left undecided."""
    sides = Sides.of(desk.lab.name)
    desk.await_healthy()
    _allow_prepared(desk, sides)
    desk.await_healthy()
    prepare = "BEGIN; INSERT INTO load VALUES ('{0}', ''); PREPARE TRANSACTION '{0}'"
    first = desk.leader()
    sides.sql(first, f"{SETUP}; TRUNCATE load")
    sides.sql(first, prepare.format("across"))
    desk.lab.lab("break", "split-brain")
    loser, survivor = first, desk.leader()
    sides.sql(loser, "COMMIT PREPARED 'across'")
    sides.sql(loser, prepare.format("alone"))
    sides.sql(loser, "COMMIT PREPARED 'alone'")
    sides.sql(loser, prepare.format("undecided"))
    told = desk.done("recover", "split-brain", "--dry-run").out
    # The third is of `lab break` itself, which writes a few rows there.
    assert f"what only {loser} has: 3 transactions" in told and "prepared and undecided: undecided" in told, told
    assert "public.load: 2 rows inserted, 0 updated, 0 deleted" in told, told
    run = _recover(desk, survivor, (5, 2))
    desk.done("salvage", run)
    assert _saved(desk, loser, run) == {"across", "alone"}
    report = Path(f"{desk.cluster['hosts'][loser]['data_dir']}.pgops-{run}/salvage/REPORT.md").read_text()
    assert "undecided" in report, report
    # What the survivor had prepared before the fork is there as before, for whoever coordinates it.
    assert sides.sql(survivor, "SELECT gid FROM pg_prepared_xacts") == [["across"]]
    sides.sql(survivor, "ROLLBACK PREPARED 'across'")
    _finish(desk, run)
