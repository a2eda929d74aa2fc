"""`pgops backup window` says what a restore really does: at both ends of every span, and just outside them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgops.config.loader import load
from practice.backup.scratch import Restored, Scratch
from practice.conftest import LabUnderTest
from practice.engine.desk import Desk, wait_until

pytestmark = [pytest.mark.practice, pytest.mark.xdist_group("backup-window")]
LAB = "window"
STEP = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
UTC = timezone.utc


@dataclass(frozen=True)
class Story:
    """What happened: when each row was committed (a moment just after it), and which segment went missing."""

    rows: dict[int, datetime]
    missing: str
    archive_before: list[str]


class Writer:
    """Commits rows whose times are known, over HAProxy as a client would."""

    def __init__(self, lab: LabUnderTest) -> None:
        proxy = load(lab.config).clusters[0].proxies[0]
        self._dsn = (
            f"host={proxy.address} port={proxy.primary_port} user=postgres dbname=postgres connect_timeout=5 "
            f"passfile={Path(lab.config).with_name('pgpass')}"
        )
        self.rows: dict[int, datetime] = {}

    def ask(self, query: str) -> str:
        """One value from the primary."""
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            row = connection.execute(query).fetchone()
            assert row is not None
            return str(row[0])

    def quieten(self) -> None:
        """Let nobody else commit: autovacuum does, where it stores statistics."""
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET autovacuum = off")
            connection.execute("SELECT pg_reload_conf()")

    def commit(self, number: int) -> None:
        """A row of its own transaction; the time remembered is behind its commit and before the next one's."""
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS proof (n int PRIMARY KEY)")
            connection.execute("INSERT INTO proof VALUES (%s)", (number,))
            row = connection.execute("SELECT clock_timestamp()").fetchone()
            assert row is not None
            self.rows[number] = row[0].astimezone(UTC)
        time.sleep(0.05)  # that the next row's time is another one, whatever the clock's resolution

    def abort(self) -> None:
        """A transaction that wrote something and was rolled back: recovery stops before its end as well."""
        with psycopg.connect(self._dsn) as connection:
            connection.execute("INSERT INTO proof VALUES (-1)")
            connection.rollback()

    def switch(self) -> str:
        """End the present segment and wait until it is archived; its name."""
        name = self.ask("SELECT pg_walfile_name(pg_switch_wal())")
        wait_until(lambda: self.ask("SELECT last_archived_wal FROM pg_stat_archiver") == name, 30)
        return name


@pytest.fixture(scope="module")
def story(lab: LabUnderTest, desk: Desk, scratch: Scratch) -> Story:
    """Rows 1 and 2 | 3 (this segment is lost) | 4 | a second backup | 5 | a switchover | 6 | 7 and an abort."""
    writer = Writer(lab)
    writer.quieten()
    await_next_second(writer)
    writer.commit(1)
    writer.commit(2)
    writer.switch()
    writer.commit(3)
    missing = writer.switch()
    writer.commit(4)
    writer.switch()
    scratch.back_up("incr")
    await_next_second(writer)
    writer.commit(5)
    writer.switch()
    before = archive_listing(scratch)
    leader = desk.leader()
    other = next(name for name in desk.cluster["hosts"] if name != leader)
    desk.ask_patroni("POST", "/switchover", {"leader": leader, "candidate": other})
    wait_until(lambda: desk.leader() == other, 60)
    wait_until(lambda: is_writable(writer), 60)
    writer.quieten()
    writer.commit(6)
    writer.switch()
    writer.commit(7)
    writer.abort()
    writer.switch()
    scratch.run("find", scratch.repository, "-name", f"{missing}-*", "-delete")
    return Story(writer.rows, missing, before)


def await_next_second(writer: Writer) -> None:
    """A restore to a time takes backups that stopped in an earlier second: rows that follow one shall be in a later."""
    begun = writer.ask("SELECT date_trunc('second', clock_timestamp())")
    wait_until(lambda: writer.ask("SELECT date_trunc('second', clock_timestamp())") > begun, 5)


def is_writable(writer: Writer) -> bool:
    try:
        return writer.ask("SELECT pg_is_in_recovery()") == "False"
    except psycopg.Error:
        return False


def archive_listing(scratch: Scratch) -> list[str]:
    return scratch.run("find", f"{scratch.repository}/archive", "-type", "f").stdout.split()


@pytest.fixture(scope="module")
def windows(lab: LabUnderTest, story: Story) -> dict[int, dict[str, Any]]:
    """`pgops backup window -f json`, by timeline."""
    document = answered(lab, 0)
    assert document["present_timeline"] == 2 and document["remarks"] == []
    return {line["timeline"]: line for line in document["windows"]}


def answered(lab: LabUnderTest, code: int, *options: str) -> dict[str, Any]:
    result = lab.pgops("backup", "window", "-f", "json", *options)
    assert result.exit_code == code, result.stdout + result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def ends(window: dict[str, Any], number: int) -> tuple[datetime, datetime]:
    span = window["spans"][number]
    return datetime.fromisoformat(span["from"]), datetime.fromisoformat(span["until"])


def to(moment: datetime, timeline: int, *options: str) -> tuple[str, ...]:
    return ("--type=time", f"--target={moment.isoformat(sep=' ')}", f"--target-timeline={timeline}", *options)


def rows_until(story: Story, moment: datetime) -> tuple[int, ...]:
    return tuple(sorted(number for number, at in story.rows.items() if at <= moment))


def assert_not_reached(restored: Restored) -> None:
    assert restored.pgbackrest.ok, restored.pgbackrest.stderr
    assert restored.rows is None
    assert "recovery ended before configured recovery target was reached" in restored.log


def test_the_shape_of_it(windows: dict[int, dict[str, Any]], story: Story) -> None:
    """Timeline 2 leads over 1; both have one gap, behind which the second backup begins anew."""
    assert set(windows) == {1, 2}
    for window in windows.values():
        first, second = window["spans"]
        (gap,) = window["gaps"]
        assert (gap["first_segment"], gap["segments"]) == (story.missing, 1)
        assert gap["whole_from"] == second["backups"][0] != first["backups"][0]
        assert window["unusable_backups"] == []
    assert windows[2]["parent_timeline"] == 1
    assert ends(windows[1], 0) == ends(windows[2], 0), "below the fork both are one"
    assert story.rows[1] < ends(windows[2], 0)[1] < story.rows[2] < story.rows[3]
    assert story.rows[4] < ends(windows[2], 1)[0] < story.rows[5]
    assert story.rows[7] < ends(windows[2], 1)[1]


@pytest.mark.parametrize(("timeline", "span"), [(2, 0), (2, 1), (1, 1)])
def test_both_ends_can_be_restored(
    windows: dict[int, dict[str, Any]], story: Story, scratch: Scratch, timeline: int, span: int
) -> None:
    lower, upper = ends(windows[timeline], span)
    at_upper = scratch.restore(*to(upper, timeline))
    assert at_upper.rows == rows_until(story, upper), at_upper.log
    at_lower = scratch.restore(*to(lower, timeline))
    assert at_lower.rows == rows_until(story, lower), at_lower.log


@pytest.mark.parametrize(("timeline", "span"), [(2, 0), (2, 1)])
def test_just_after_the_upper_end_it_fails(
    windows: dict[int, dict[str, Any]], story: Story, scratch: Scratch, timeline: int, span: int
) -> None:
    _, upper = ends(windows[timeline], span)
    assert_not_reached(scratch.restore(*to(upper + STEP, timeline)))


def test_just_before_the_lower_end_pgbackrest_refuses(windows: dict[int, dict[str, Any]], scratch: Scratch) -> None:
    lower, _ = ends(windows[2], 0)
    refused = scratch.restore(*to(lower - SECOND, 2))
    assert refused.pgbackrest.exit_code == 75, refused.pgbackrest


def test_within_the_gap_it_fails(lab: LabUnderTest, story: Story, scratch: Scratch, windows: dict[int, Any]) -> None:
    lower, _ = ends(windows[2], 1)
    assert_not_reached(scratch.restore(*to(lower - SECOND, 2)))
    inside = answered(lab, 3, "--at", story.rows[4].isoformat())
    assert inside["reachable"] is False and story.missing in inside["why"]


@pytest.mark.parametrize("number", [1, 5, 6])
def test_what_is_told_of_a_time_leads_there(lab: LabUnderTest, story: Story, scratch: Scratch, number: int) -> None:
    """Its options restore exactly the rows up to then, and read the WAL that was told."""
    moment = story.rows[number]
    told = answered(lab, 0, "--at", moment.isoformat())
    assert told["timeline"] == 2
    restored = scratch.restore(*told["options"])
    assert restored.rows == rows_until(story, moment), restored.log
    assert told["wal_exact"]
    # By name: where the backup's checkpoint ends in a later segment than it began in, PostgreSQL asks for that one first,
    # and it reads the last one again when the new timeline begins.
    read = sorted(set(restored.segments))
    assert (read[0], read[-1], len(read)) == (told["wal_first"], told["wal_last"], told["wal_segments"])


def test_the_refusals_of_a_person(lab: LabUnderTest, windows: dict[int, dict[str, Any]], story: Story) -> None:
    lower, upper = ends(windows[2], 0)[0], ends(windows[2], 1)[1]
    early = lab.pgops("backup", "window", "--at", (lower - STEP).isoformat())
    assert early.exit_code == 3 and lower.isoformat() in early.stderr
    late = lab.pgops("backup", "window", "--at", (upper + STEP).isoformat())
    assert late.exit_code == 3 and upper.isoformat() in late.stderr
    unzoned = lab.pgops("backup", "window", "--at", story.rows[5].replace(tzinfo=None).isoformat())
    assert unzoned.exit_code == 2 and "zone" in unzoned.stderr
    nowhere = lab.pgops("backup", "window", "--repo", "7")
    assert nowhere.exit_code == 3 and "there is no repository 7" in nowhere.stderr


def test_the_table_and_the_list(lab: LabUnderTest, story: Story) -> None:
    table = lab.pgops("backup", "window")
    assert table.exit_code == 0 and "2 (present)" in table.stdout
    assert f"{story.missing} is missing; whole again from backup" in table.stdout
    listed = lab.pgops("backup", "list")
    assert listed.exit_code == 0 and "whole, on " in listed.stdout, listed.stdout
    document = json.loads(lab.pgops("backup", "list", "-f", "json").stdout)
    full, incr = document["backups"]
    assert (full["type"], incr["type"], incr["prior"]) == ("full", "incr", full["label"])
    assert incr["chain_whole"] and incr["size_bytes"] > 0 and document["running"] == []


def test_nothing_is_left_behind(lab: LabUnderTest, story: Story, scratch: Scratch, windows: dict[int, Any]) -> None:
    """The archive grew by nothing but what the cluster itself archived, and no directory of ours is on the host."""
    answered(lab, 0)
    gone = set(story.archive_before) - set(archive_listing(scratch))
    assert all(story.missing in name for name in gone)
    assert not [name for name in archive_listing(scratch) if name.endswith("00000003.history")]
    assert list(Path("/tmp").glob("pgops-window-*")) == []


def test_without_pg_waldump_the_end_is_unknown_and_said(lab: LabUnderTest, story: Story, tmp_path: Path) -> None:
    text = Path(lab.config).read_text()
    copy = tmp_path / "pgops.yml"
    copy.write_text(text.replace("/bin\n", "/nowhere\n"))
    copy.chmod(0o600)
    other = LabUnderTest(lab.name, str(copy))
    spans = [span for line in answered(other, 0)["windows"] for span in line["spans"]]
    assert all(span["until"] is None and span["reachable"] and "bin_dir" in span["why"] for span in spans)
    assert answered(other, 5, "--at", story.rows[5].isoformat())["reachable"] is None
