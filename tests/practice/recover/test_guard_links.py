"""The guard before a Patroni that knows no `bin_name` (3.0.2): by a directory of links, which its own file names."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from practice.engine.desk import Desk, Ended, named_run, wait_until
from practice.recover.rows import ON_THE_LOSER, SETUP, Sides

LAB = "guard302"
OPTIONS = ("--patroni", "3.0")
pytestmark = [pytest.mark.practice, pytest.mark.xdist_group("guard302")]

MEMBERS = ("n1", "n2", "n3")


def _data(desk: Desk, name: str) -> Path:
    return Path(desk.cluster["hosts"][name]["data_dir"])


def _file(desk: Desk, name: str) -> Path:
    return Path(desk.cluster["hosts"][name]["patroni_config"])


def _files(desk: Desk) -> dict[str, tuple[bytes, int, int]]:
    """Each member's patroni.yml: content, mode, owner."""
    found = {name: (_file(desk, name), _file(desk, name).stat()) for name in MEMBERS}
    return {name: (path.read_bytes(), seen.st_mode, seen.st_uid) for name, (path, seen) in found.items()}


def _postmasters(desk: Desk) -> dict[str, list[str]]:
    """Each member's server, by process and start."""
    lines = {name: (_data(desk, name) / "postmaster.pid").read_text().splitlines() for name in MEMBERS}
    return {name: [told[0], told[2]] for name, told in lines.items()}


def _log_of(desk: Desk, name: str) -> str:
    return (_data(desk, name).parents[1] / f"log/patroni-{name}.log").read_text()


def _split(desk: Desk, sides: Sides) -> tuple[str, str]:
    """(survivor, loser), with rows on both sides; then the loser's Patroni comes back."""
    loser = desk.leader()
    told = desk.lab.lab("break", "split-brain")
    survivor = desk.leader()
    sides.sql(loser, ON_THE_LOSER)
    # With its last checkpoint before the fork it could start as a standby on the new timeline, beyond the fork, and Patroni
    # would find nothing to rewind where it looks a moment too late.
    sides.sql(loser, "CHECKPOINT")
    # Woken by SIGCONT this Patroni may take the lock back, by what it knew of the DCS when it froze. Source: Patroni 3.0.2,
    # patroni/dcs/etcd3.py, _update_leader. Killed, it is started again at once, and looks first.
    os.kill(int((told.stdout + told.stderr).partition("(pid ")[2].partition(")")[0]), signal.SIGKILL)
    return survivor, loser


def test_installed_and_removed_no_server_is_restarted_and_no_byte_stays_changed(desk: Desk) -> None:
    desk.await_healthy()
    files, servers, leader = _files(desk), _postmasters(desk), desk.leader()
    assert desk.pgops("guard", "install").code == 3, "clients may notice, so it asks"
    assert desk.pgops("guard", "status").code == 1 and _files(desk) == files
    desk.done("guard", "install", "--yes")
    assert desk.done("guard", "install").out.startswith("nothing to do")
    assert desk.done("guard", "status").out.count("Patroni calls it before any rewind") == 3
    assert (_postmasters(desk), desk.leader(), desk.etcd.is_paused()) == (servers, leader, False)
    for name, (content, mode, owner) in _files(desk).items():
        before = files[name][0].splitlines()
        changed = [pair for pair in zip(before, content.splitlines(), strict=True) if pair[0] != pair[1]]
        assert [pair[0].strip().partition(b" ")[0] for pair in changed] == [b"bin_dir:"]
        assert (mode, owner) == files[name][1:]
        assert Path(f"{_file(desk, name)}.pgops-guard-original").read_bytes() == files[name][0]
    for journal in desk.state.rglob("*"):
        text = journal.read_bytes() if journal.is_file() else b""
        assert not any(word in text for word in _passwords(files["n1"][0]))

    # Everything that Patroni does with PostgreSQL's programs, it does over the links: start, promote, clone.
    desk.ask_patroni("POST", "/restart", {})
    desk.await_healthy()
    target = next(name for name in MEMBERS if name != desk.leader())
    desk.ask_patroni("POST", "/switchover", {"leader": desk.leader(), "candidate": target})
    wait_until(lambda: desk.leader() == target and desk.lab.health()[0] == 0, 90)
    replica = next(name for name in MEMBERS if name != target)
    desk.supervise("stop", f"patroni-{replica}")
    shutil.rmtree(_data(desk, replica))
    desk.supervise("start", f"patroni-{replica}")
    wait_until(lambda: desk.lab.health()[0] == 0, 90)
    assert b"pgops-guard/postgres" in _command(desk, replica)
    assert desk.lab.health("--deep")[0] == 0
    assert desk.done("guard", "status").out.count("Patroni calls it before any rewind") == 3

    servers, leader = _postmasters(desk), desk.leader()
    desk.done("guard", "remove", "--yes")
    assert (_postmasters(desk), desk.leader(), desk.etcd.is_paused()) == (servers, leader, False)
    assert _files(desk) == files and desk.pgops("guard", "status").code == 1
    for name in MEMBERS:
        assert list(_file(desk, name).parent.glob("patroni.yml*")) == [_file(desk, name)]
        assert list((_data(desk, name).parent / "pgops-guard").iterdir()) == []
    desk.await_healthy()


def _passwords(content: bytes) -> list[bytes]:
    found = [line.partition(b"password:")[2].strip(b" \"'") for line in content.splitlines() if b"password:" in line]
    assert len(found) > 3
    return found


def _command(desk: Desk, name: str) -> bytes:
    return Path(f"/proc/{_postmasters(desk)[name][0]}/cmdline").read_bytes()


def test_cut_off_anywhere_it_is_continued_or_goes_back(desk: Desk) -> None:
    """Killed between the writing of a file and the restart that it needs, paused; then back, and again, and on."""
    desk.await_healthy()
    files, servers = _files(desk), _postmasters(desk)
    actions = json.loads(desk.done("guard", "install", "--dry-run", "-f", "json").out)
    flat = [action for step in actions["steps"] for action in step["actions"]]
    # The first restart, counted from 1.
    at = 1 + next(number for number, action in enumerate(flat) if "restart" in action.get("argv", ()))
    for going in ("abort", "continue"):
        running = desk.start("guard", "install", "--yes", at=at, signal="SIGKILL")
        assert running.end().code == -signal.SIGKILL
        assert desk.etcd.is_paused() and _files(desk) != files
        run = named_run(desk.pgops("runs", "list").said)
        wait_until(lambda run=run, going=going: desk.pgops("runs", going, run, "--yes").code == 0, 90)  # type: ignore[misc] # bound now
        assert not desk.etcd.is_paused() and _postmasters(desk) == servers
        if going == "abort":
            assert _files(desk) == files
    assert desk.done("guard", "status").out.count("Patroni calls it before any rewind") == 3


def test_the_wal_of_an_automatic_rewind_is_kept(desk: Desk) -> None:
    desk.await_healthy()
    desk.done("guard", "install", "--yes")
    sides = Sides.of(desk.lab.name)
    sides.sql(desk.leader(), SETUP)
    desk.done("backup", "--type", "full")
    survivor, loser = _split(desk, sides)
    wait_until(lambda: desk.lab.health()[0] == 0, 90)

    assert desk.leader() == survivor
    assert sides.sql(loser, "SELECT count(*) FROM both_sides WHERE id LIKE 'lost%'") == [["0"]], "it was not rewound"
    (copy,) = _data(desk, loser).parent.glob("data.pgops-rewind-*")
    run_id = copy.name.partition(".pgops-")[2]
    desk.done("salvage", run_id)
    account = json.loads((copy / "account/account.json").read_text())
    assert account["complete"] and account["transactions"]["count"] == 6, "five transactions of ours, one of the lab's"
    with (copy / "salvage/app/public.both_sides.csv").open(newline="") as file:
        saved = {row["id"]: row["_pgops_change"] for row in csv.DictReader(file)}
    assert saved == {**dict.fromkeys(("lost 1", "lost 2", "lost 3"), "insert"), "old 1": "update"}
    with (copy / "salvage/app/public.ledger.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 37
    desk.done("copies", "remove", run_id, "--confirm", desk.lab.name)
    assert desk.done("guard", "status").out.count("Patroni calls it before any rewind") == 3


def test_a_member_with_commits_of_its_own_waits_for_a_person(desk: Desk) -> None:
    desk.lab.lab("mend")
    desk.await_healthy()
    desk.done("guard", "install", "--mode", "stop", "--yes")
    sides = Sides.of(desk.lab.name)
    survivor, loser = _split(desk, sides)
    refusal = "nothing is rewound: it has commits that its source has not"
    wait_until(lambda: refusal in _log_of(desk, loser), 60)
    time.sleep(10)  # several loops of its Patroni, each of which tries to start it
    assert desk.lab.health()[0] != 0

    # Its Patroni tries to start it again and again: a look may meet a server that has just begun and answers nobody.
    tries: list[Ended] = []

    def recovers() -> bool:
        tries.append(desk.pgops("recover", "split-brain", "--survivor", survivor, "--yes"))
        return tries[-1].code == 0

    try:
        wait_until(recovers, 90)
    except AssertionError:
        raise AssertionError("\n".join(f"{ended.code}: {ended.said}" for ended in tries)) from None
    (copy,) = [path for path in _data(desk, loser).parent.glob("data.pgops-2*") if path.is_dir()]
    account = json.loads((copy / "account/account.json").read_text())
    assert account["complete"] and account["transactions"]["count"] == 6
    wait_until(lambda: desk.lab.health()[0] == 0, 90)
    desk.done("guard", "remove", "--yes")
    assert not any(b"pgops-guard" in content for content, *_ in _files(desk).values())
