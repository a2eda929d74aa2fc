"""Patroni wakes up and rewinds by itself, before anybody came: what the guard keeps, or does not let happen."""

from __future__ import annotations

import csv
import json
import os
import signal
import time
from pathlib import Path

import pytest

from pgops.hosts.process import run
from practice.engine.desk import Desk, wait_until
from practice.recover.rows import ON_THE_LOSER, SETUP, Sides

LAB = "guard"
pytestmark = [pytest.mark.practice, pytest.mark.xdist_group("guard")]


def _directory(desk: Desk) -> str:
    """One that the owner of PostgreSQL's files may write, for all members: they live on one machine."""
    return str(Path(desk.cluster["hosts"]["n1"]["data_dir"]).parents[1] / "run/guard")


def _split(desk: Desk, sides: Sides) -> tuple[str, str, int]:
    """(survivor, loser, process of the loser's Patroni), with rows on both sides."""
    loser = desk.leader()
    told = desk.lab.lab("break", "split-brain")
    survivor = desk.leader()
    sides.sql(loser, ON_THE_LOSER)
    return survivor, loser, int((told.stdout + told.stderr).partition("(pid ")[2].partition(")")[0])


def _log_of(desk: Desk, name: str) -> str:
    return (Path(desk.cluster["hosts"][name]["data_dir"]).parents[1] / f"log/patroni-{name}.log").read_text()


def test_the_wal_of_an_automatic_rewind_is_kept(desk: Desk) -> None:
    desk.await_healthy()
    assert desk.pgops("guard", "status").code == 1
    assert "no directory fits all hosts" in desk.pgops("guard", "install").said
    desk.done("guard", "install", "--dir", _directory(desk))
    assert desk.done("guard", "install", "--dir", _directory(desk)).out.startswith("nothing to do")
    assert desk.done("guard", "status").out.count("Patroni calls it before any rewind") == 3

    sides = Sides.of(desk.lab.name)
    sides.sql(desk.leader(), SETUP)
    desk.done("backup", "--type", "full")
    sides.sql(desk.leader(), "CREATE TABLE after_the_backup AS SELECT 1 AS n; SELECT pg_switch_wal()")
    survivor, loser, patroni = _split(desk, sides)
    os.kill(patroni, signal.SIGCONT)
    wait_until(lambda: desk.lab.health()[0] == 0, 90)

    assert desk.leader() == survivor
    assert sides.sql(loser, "SELECT count(*) FROM both_sides WHERE id LIKE 'lost%'") == [["0"]], "it was not rewound"
    data_dir = Path(desk.cluster["hosts"][loser]["data_dir"])
    (copy,) = data_dir.parent.glob(f"{data_dir.name}.pgops-rewind-*")
    manifest = json.loads((copy / "manifest.json").read_text())
    (piece,) = manifest["pieces"]
    argv = [
        f"{sides.lab.pg_bin}/pg_waldump",
        "-p",
        str(copy / "wal"),
        "-t",
        str(piece["timeline"]),
        "-s",
        piece["from"],
    ]
    commits = [line for line in run([*argv, "-r", "Transaction"], timeout_s=60).stdout.splitlines() if "COMMIT" in line]
    assert len(commits) == 6, "five transactions of ours, and one of the lab's"
    run_id = copy.name.partition(".pgops-")[2]
    assert run_id in desk.done("copies", "list").out

    desk.done("salvage", run_id)
    account = json.loads((copy / "account/account.json").read_text())
    assert account["complete"] and account["transactions"]["count"] == 6
    with (copy / "salvage/app/public.both_sides.csv").open(newline="") as file:
        saved = {row["id"]: row["_pgops_change"] for row in csv.DictReader(file)}
    assert saved == {**dict.fromkeys(("lost 1", "lost 2", "lost 3"), "insert"), "old 1": "update"}
    with (copy / "salvage/app/public.ledger.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 37
    assert (copy / "salvage/app/Odd Name.a table.csv").exists()
    assert not (copy / "rebuilding").exists()
    assert desk.done("salvage", run_id).out.startswith("nothing to do")
    assert desk.done("copies", "remove", run_id, "--confirm", desk.lab.name)
    assert not copy.exists() and desk.done("copies", "list").out.startswith("there are no safety copies")
    assert desk.lab.health("--deep")[0] == 0, "production's archive was touched"


def test_a_member_with_commits_of_its_own_waits_for_a_person(desk: Desk) -> None:
    desk.lab.lab("mend")
    desk.await_healthy()
    desk.done("guard", "install", "--mode", "stop", "--dir", _directory(desk))
    sides = Sides.of(desk.lab.name)
    survivor, loser, patroni = _split(desk, sides)
    os.kill(patroni, signal.SIGCONT)
    refusal = "nothing is rewound: it has commits that its source has not"
    wait_until(lambda: refusal in _log_of(desk, loser), 60)
    time.sleep(10)  # several loops of its Patroni, each of which tries to start it
    assert desk.lab.health()[0] != 0

    desk.done("recover", "split-brain", "--survivor", survivor, "--yes")
    data_dir = Path(desk.cluster["hosts"][loser]["data_dir"])
    (copy,) = [path for path in data_dir.parent.glob(f"{data_dir.name}.pgops-2*") if path.is_dir()]
    account = json.loads((copy / "account/account.json").read_text())
    assert account["complete"] and account["transactions"]["count"] == 6
    wait_until(lambda: desk.lab.health()[0] == 0, 90)


def test_a_member_without_commits_is_rewound_all_the_same(desk: Desk) -> None:
    """The end of WAL of a leader that was killed is ahead of what its successor got, but for no transaction."""
    desk.lab.lab("mend")
    desk.await_healthy()
    loser = desk.leader()
    sides = Sides.of(desk.lab.name)
    member = sides.member(loser)
    pid = int((member.data_dir / "postmaster.pid").read_text().splitlines()[0])
    patroni = next(
        int(process.name)
        for process in Path("/proc").iterdir()
        if process.name.isdecimal() and str(member.directory / "patroni.yml").encode() in _words(process)
    )
    os.kill(patroni, signal.SIGSTOP)
    wait_until(lambda: desk.leader() not in ("", loser), 60)
    # It has the lock a moment before it is promoted, and streams from the former leader until then.
    wait_until(lambda: sides.sql(desk.leader(), "SELECT pg_is_in_recovery()") == [["f"]], 60)
    sides.sql(loser, "SELECT pg_create_restore_point('alone'); CHECKPOINT")
    os.kill(patroni, signal.SIGCONT)
    wait_until(lambda: "pg_rewind exit code=0" in _log_of(desk, loser).rpartition("pg_create_restore")[2], 60)
    wait_until(lambda: desk.lab.health()[0] == 0, 90)
    assert pid != int((member.data_dir / "postmaster.pid").read_text().splitlines()[0])
    desk.done("guard", "remove")
    assert desk.pgops("guard", "status").code == 1
    assert list(Path(_directory(desk)).iterdir()) == []


def _words(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""
