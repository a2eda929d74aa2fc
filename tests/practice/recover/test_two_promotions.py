"""Two members that were promoted out of one timeline: an archive has one file of a name, and both want theirs there."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from practice.engine.desk import Desk, wait_until
from practice.recover.clients import SETUP, Written, writing
from practice.recover.elsewhere import leading_elsewhere
from practice.recover.rows import Sides

LAB = "split"
pytestmark = [pytest.mark.practice, pytest.mark.xdist_group("split-brain")]

_ARCHIVED = "SELECT last_archived_wal FROM pg_stat_archiver"
_FAILING = (
    "SELECT last_failed_wal FROM pg_stat_archiver WHERE last_failed_time > coalesce(last_archived_time, '-infinity')"
)
_TIMELINE = "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"


def _members(desk: Desk, sides: Sides) -> tuple[str, str, str]:
    """(the leader, one that will lead in another DCS, one that will survive)."""
    desk.await_healthy()
    leader = desk.leader()
    elsewhere, survivor = (name for name in desk.cluster["hosts"] if name != leader)
    sides.sql(leader, "SELECT pg_switch_wal()")  # so that both leave within the same segment
    sides.sql(leader, f"{SETUP}; TRUNCATE load")
    return leader, elsewhere, survivor


def _archived_partial(sides: Sides, name: str) -> str:
    """The `.partial` file that it archives last of all when it is promoted."""
    wait_until(lambda: sides.sql(name, _ARCHIVED)[0][0].endswith(".partial"), 30)
    return sides.sql(name, _ARCHIVED)[0][0]


def _signal_patroni(desk: Desk, name: str, sign: str) -> None:
    desk.supervise("signal", sign, desk.cluster["services"]["names"]["patroni"].replace("{host}", name))


def _fail_over(desk: Desk, sides: Sides, frozen: str, survivor: str) -> None:
    _signal_patroni(desk, frozen, "STOP")
    wait_until(lambda: desk.leader() == survivor, 60)
    wait_until(lambda: sides.sql(survivor, "SELECT pg_is_in_recovery()") == [["f"]], 30)


def _recover(desk: Desk, survivor: str, cuts: tuple[int, ...]) -> str:
    """Recover, killed after the n-th effect of each go; gives the run's id."""
    sure = ("--confirm", desk.lab.name)
    words: tuple[str, ...] = ("recover", "split-brain", "--survivor", survivor)
    run = ""
    for cut in cuts:
        ended = desk.pgops(*words, *sure, at=cut, after=True)
        assert ended.code == -9, ended.said
        run = desk.run_id()
        words = ("runs", "continue", run)
    desk.done(*words, *sure)
    return run


def _check(desk: Desk, sides: Sides, run: str, lost: Written, kept: Written, loser: str) -> Path:
    """Every row of both sides is where it belongs; gives the loser's copy."""
    survivor = desk.leader()
    kept.check({row[0] for row in sides.sql(survivor, "SELECT id FROM load WHERE id NOT LIKE 'before %'")})
    desk.done("salvage", run)
    copy = Path(f"{desk.cluster['hosts'][loser]['data_dir']}.pgops-{run}")
    with (copy / "salvage/app/public.load.csv").open(newline="") as file:
        lost.check({row["id"] for row in csv.DictReader(file)})
    return copy


def _finish(desk: Desk, sides: Sides, run: str) -> None:
    """The archive takes all, and all is well once Patroni has written its history anew, which skips a loser's number."""
    leader = desk.leader()
    wait_until(lambda: not sides.sql(leader, _FAILING), 90)
    desk.done("backup", "--type", "full", "--yes")
    other = next(name for name in desk.cluster["hosts"] if name != leader)
    desk.ask_patroni("POST", "/switchover", {"leader": leader, "candidate": other})
    try:
        wait_until(lambda: desk.lab.health("--deep")[0] == 0, 90)
    except AssertionError:
        raise AssertionError(desk.pgops("health", "--deep").said) from None
    desk.done("copies", "remove", run, "--confirm", desk.lab.name)
    desk.lab.lab("mend")


@pytest.mark.parametrize("recycled", [False, True])
def test_a_partial_segment_that_bars_the_survivors(desk: Desk, recycled: bool) -> None:
    """`recycled`: the other member's own file is gone, and the archive alone has it."""
    sides = Sides.of(desk.lab.name)
    frozen, elsewhere, survivor = _members(desk, sides)
    with leading_elsewhere(desk, sides, elsewhere) as set_right:
        partial = _archived_partial(sides, elsewhere)
        _fail_over(desk, sides, frozen, survivor)
        wait_until(lambda: sides.sql(survivor, _FAILING) == [[partial]], 60)
        if recycled:
            (sides.member(elsewhere).data_dir / "pg_wal" / partial).unlink()
        with writing(sides, elsewhere, "lost") as lost, writing(sides, survivor, "kept") as kept:
            wait_until(lambda: len(lost.acknowledged) > 50 and len(kept.acknowledged) > 50, 30)
            desk.done("node", "hold", elsewhere)
            set_right()
            plan = desk.done("recover", "split-brain", "--survivor", survivor, "--dry-run").out
            assert f"the archive has another {partial} than the survivor's" in plan, plan
            run = _recover(desk, survivor, (7 if elsewhere < frozen else 16, 1))
    copy = _check(desk, sides, run, lost, kept, elsewhere)
    removed = json.loads((copy / "archive.json").read_text())["removed"]
    assert [Path(item["path"]).name.partition("-")[0] for item in removed] == [partial], removed
    assert (copy / "archive" / partial).exists() is recycled
    _finish(desk, sides, run)


@contextmanager
def _without_archive(desk: Desk, sides: Sides, name: str) -> Iterator[None]:
    """Its PostgreSQL has no restore_command, and so takes a number that the archive knows to be taken."""
    settings = sides.member(name).patroni_config
    right = settings.read_text()
    document = yaml.safe_load(right)
    del document["postgresql"]["recovery_conf"]
    settings.write_text(yaml.safe_dump(document))
    try:
        _signal_patroni(desk, name, "HUP")
        wait_until(lambda: sides.sql(name, "SELECT current_setting('restore_command') = ''") == [["t"]], 30)
        yield
    finally:
        settings.write_text(right)
        _signal_patroni(desk, name, "HUP")


def test_one_number_with_two_histories(desk: Desk) -> None:
    """The last one that archived its history file has it there, and members that read the archive would go its way."""
    sides = Sides.of(desk.lab.name)
    frozen, elsewhere, survivor = _members(desk, sides)
    with leading_elsewhere(desk, sides, elsewhere) as set_right:
        _archived_partial(sides, elsewhere)
        with _without_archive(desk, sides, survivor):
            sides.sql(frozen, "INSERT INTO load SELECT 'before ' || n FROM generate_series(1, 100) n")
            wait_until(lambda: sides.sql(survivor, "SELECT count(*) FROM load") == [["100"]], 30)
            _fail_over(desk, sides, frozen, survivor)
        (number,) = sides.sql(survivor, _TIMELINE)[0]
        assert sides.sql(elsewhere, _TIMELINE) == [[number]]
        history = f"{number}.history"
        wait_until(lambda: sides.sql(survivor, _FAILING) != [], 60)
        truth, other = (
            (sides.member(name).data_dir / "pg_wal" / history).read_text() for name in (survivor, elsewhere)
        )
        assert truth != other
        with writing(sides, elsewhere, "lost") as lost, writing(sides, survivor, "kept") as kept:
            wait_until(lambda: len(lost.acknowledged) > 50 and len(kept.acknowledged) > 50, 30)
            sides.sql(elsewhere, "SELECT pg_switch_wal()")
            sides.push(elsewhere, history)
            desk.done("node", "hold", elsewhere)
            set_right()
            run = _recover(desk, survivor, (9, 6, 5))
    assert _archived(desk, history) == truth
    (newest,) = sides.sql(survivor, _TIMELINE)[0]
    assert _archived(desk, f"{newest}.history").startswith(truth)
    _check(desk, sides, run, lost, kept, elsewhere)
    _finish(desk, sides, run)


def _archived(desk: Desk, history: str) -> str:
    """A history file, as the archive has it."""
    host = next(iter(desk.cluster["hosts"].values()))
    argv = ["pgbackrest", f"--config={host['pgbackrest_config']}", f"--stanza={desk.cluster['stanza']}"]
    argv += ["--log-level-file=off", "repo-get", f"archive/{desk.cluster['stanza']}/15-1/{history}"]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout
