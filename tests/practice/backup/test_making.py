"""`pgops backup` on a real cluster: from cron on every node, and struck in the middle."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from pgops.hosts.process import CommandResult, run
from practice.conftest import LabUnderTest
from practice.engine.desk import Desk, Running, named_run, wait_until

pytestmark = [pytest.mark.practice, pytest.mark.xdist_group("backup-making")]
LAB = "making"
NODES = ("n1", "n2", "n3")
CRON = ("backup", "--type", "diff", "--if-older-than", "20h", "--window", "00:00-23:59")


@pytest.fixture(autouse=True)
def _healthy(desk: Desk) -> None:
    desk.await_healthy()


def backups(desk: Desk, node: str = "n1") -> dict[str, dict[str, Any]]:
    """The repository's backups by label, as pgBackRest itself tells them."""
    host = desk.cluster["hosts"][node]
    argv = ["pgbackrest", f"--config={host['pgbackrest_config']}", f"--stanza={desk.cluster['stanza']}"]
    told = run([*argv, "--output=json", "info"], timeout_s=30, user="postgres" if os.geteuid() == 0 else None)
    assert told.ok, told.fault
    found: list[dict[str, Any]] = json.loads(told.stdout)[0]["backup"]
    return {each["label"]: each for each in found}


def workers(desk: Desk) -> list[psutil.Process]:
    """pgBackRest's processes of a backup of this lab, the one that began them first."""
    configs = [f"--config={host['pgbackrest_config']}" for host in desk.cluster["hosts"].values()]
    found = []
    for process in psutil.process_iter(["cmdline", "create_time"]):
        words = process.info["cmdline"] or []
        if words and words[0] == "pgbackrest" and set(words) & set(configs) and {"backup", "backup:local"} & set(words):
            found.append(process)
    return sorted(found, key=lambda process: ("backup:local" in process.info["cmdline"], process.info["create_time"]))


@contextmanager
def midway(desk: Desk, *options: str) -> Iterator[Running]:
    """A full backup that stands still in its middle; it goes on, where it still can, at the end."""
    running = desk.start("backup", "--type", "full", *options)
    wait_until(lambda: bool(workers(desk)), 30)
    stopped = workers(desk)
    for process in stopped:
        process.send_signal(signal.SIGSTOP)
    try:
        yield running
    finally:
        for process in stopped:
            if process.is_running():
                process.send_signal(signal.SIGCONT)


def at_once(desk: Desk, *words: str) -> list[tuple[int, str]]:
    """The same command on all nodes at the same moment: exit code, and all that it said."""
    running = [desk.start(*words, "--node", node) for node in NODES]
    return [(ended.code, ended.said) for ended in (each.end() for each in running)]


def test_one_window_one_backup_and_silence(desk: Desk) -> None:
    before = backups(desk)
    due = tuple("1s" if word == "20h" else word for word in CRON)
    assert at_once(desk, *due, "-q") == [(0, "")] * 3
    made = backups(desk).keys() - before.keys()
    assert len(made) == 1, made
    assert at_once(desk, *CRON) == [(0, "")] * 3
    assert backups(desk).keys() - before.keys() == made
    leader = desk.leader()
    for node in NODES:
        said = desk.done(*CRON, "-v", "--node", node).said
        assert said.count("\n") == 1 and ("not due" if node == leader else f"{node} is a replica") in said, said
    outside = "00:00-00:01" if time.gmtime().tm_hour else "12:00-12:01"
    assert at_once(desk, "backup", "--type", "full", "--window", outside) == [(0, "")] * 3


def test_a_leader_killed_midway_is_said_and_the_next_run_makes_it_whole(
    lab: LabUnderTest, desk: Desk, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(lambda: lab.lab("mend"))
    with midway(desk) as running:
        lab.lab("break", "leader-crash")
    ended = running.end()
    assert ended.code == 1, ended.said
    assert "exit code" in ended.err or "suspect" in ended.err, ended.err
    before = backups(desk)
    ends = at_once(desk, "backup", "--type", "full", "--if-older-than", "1s", "-q")
    assert sorted(code for code, _ in ends)[-1] in (0, 5), ends  # the dead node cannot tell what it is
    (label,) = backups(desk).keys() - before.keys()
    assert backups(desk)[label]["error"] is False


def test_two_primaries_make_none(lab: LabUnderTest, desk: Desk, request: pytest.FixtureRequest) -> None:
    request.addfinalizer(lambda: lab.lab("mend"))
    lab.lab("break", "split-brain")
    before = backups(desk)
    ends = dict(zip(NODES, at_once(desk, "backup", "--type", "full"), strict=True))
    leader = desk.leader()
    codes = sorted(code for code, _ in ends.values())
    assert codes == [0, 3, 3], ends
    assert "split brain" in ends[leader][1]
    (lockless,) = [said for node, (code, said) in ends.items() if code == 3 and node != leader]
    assert f"it does not hold the leader lock: {leader} holds it" in lockless
    assert backups(desk).keys() == before.keys()


def test_a_killed_pgops_is_taken_up_by_the_next_one(desk: Desk) -> None:
    before = backups(desk)
    with midway(desk) as running:
        running.child.kill()
        running.child.wait()
        listed = desk.done("runs", "list").out
        assert "unfinished" in listed
        assert "pause the cluster" in desk.done("pause", "--dry-run").out, "a backup stands in nobody's way"
    ended = desk.done("backup", "--type", "full")
    assert "was left unfinished" in ended.err and "going on with it" in ended.err
    (label,) = backups(desk).keys() - before.keys()
    assert backups(desk)[label]["annotation"]["pgops-run"] == named_run(listed)
    assert "unfinished" not in desk.done("runs", "list").out


@pytest.mark.parametrize("all_of_it", [False, True], ids=["the one that began it", "all of it"])
def test_a_killed_pgbackrest_is_explained_and_mended(desk: Desk, all_of_it: bool) -> None:
    before = backups(desk)
    with midway(desk) as running:
        found = workers(desk)
        for process in found if all_of_it else found[:1]:
            process.kill()
    ended = running.end()
    assert ended.code == 1
    assert "pgBackRest was killed by signal 9" in ended.err and "next:" in ended.err, ended.err
    assert backups(desk).keys() == before.keys()
    wait_until(lambda: not workers(desk), 60)
    desk.done("backup", "--type", "full")
    assert len(backups(desk).keys() - before.keys()) == 1


def test_an_interrupt_leaves_the_job_at_work(desk: Desk) -> None:
    before = backups(desk)
    with midway(desk) as running:
        running.child.send_signal(signal.SIGINT)
        ended = running.end()
    assert ended.code == 4 and "pgops runs continue" in ended.err, ended.said
    assert "going on with it" in desk.done("backup", "--type", "full").err
    assert len(backups(desk).keys() - before.keys()) == 1


def _told(desk: Desk, *words: str) -> str:
    ended = desk.pgops("backup", "--type", "full", *words)
    assert ended.code not in (0, 2), ended.said
    assert "next:" in ended.err and "Traceback" not in ended.err, ended.err
    return ended.err


def _backrest(desk: Desk, *words: str) -> CommandResult:
    host = desk.cluster["hosts"][desk.leader()]
    argv = ["pgbackrest", f"--config={host['pgbackrest_config']}", f"--stanza={desk.cluster['stanza']}", *words]
    return run(argv, timeout_s=60, user="postgres" if os.geteuid() == 0 else None)


def test_a_stop_file_is_one_clear_sentence(desk: Desk) -> None:
    assert _backrest(desk, "stop").ok
    try:
        assert "pgbackrest start" in _told(desk)
    finally:
        assert _backrest(desk, "start").ok


def test_a_repository_that_cannot_be_written_is_one_clear_sentence(desk: Desk) -> None:
    before = backups(desk)
    path = Path(desk.lab.config).parent / "repo/backup" / desk.cluster["stanza"]
    mode = path.stat().st_mode & 0o777
    path.chmod(0o550)
    try:
        assert "may not be used" in _told(desk)
    finally:
        path.chmod(mode)
    assert backups(desk).keys() == before.keys()


def test_a_wrong_stanza_is_one_clear_sentence(desk: Desk, tmp_path: Path) -> None:
    config = tmp_path / "pgops.yml"
    config.touch(0o600)
    config.write_text(Path(desk.lab.config).read_text().replace(f"stanza: {desk.cluster['stanza']}", "stanza: other"))
    assert "stanza" in _told(Desk(LabUnderTest(desk.lab.name, str(config)), desk.state))
