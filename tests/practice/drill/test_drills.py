"""Drills on a real cluster: good and damaged backups, cuts, aborts, and production left as it was."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pgops.hosts.process import run
from practice.drill.production import Production
from practice.engine.desk import Desk, named_run

LAB = "dr"
pytestmark = [pytest.mark.practice, pytest.mark.xdist_group("drill")]

DRILL = ("drill", "restore")


@pytest.fixture(scope="module", autouse=True)
def _content(request: pytest.FixtureRequest) -> None:
    """A table to restore, and a backup that has it."""
    from practice.conftest import LabUnderTest

    lab: LabUnderTest = request.getfixturevalue("lab")
    production = Production(Desk(lab, Path("/nowhere")))
    production.sql("create table kept as select n, md5(n::text) as text from generate_series(1, 5000) n")
    production.sql("create index on kept (text)")
    production.backup()


def _assertions(tmp_path: Path, *statements: str) -> str:
    file = tmp_path / "assertions.sql"
    file.write_text("".join(f"{statement};\n" for statement in statements))
    return str(file)


def test_a_good_backup_passes_and_production_is_as_it_was(desk: Desk, production: Production, tmp_path: Path) -> None:
    before = production.untouchables()
    file = _assertions(tmp_path, "select count(*) = 5000 from kept", "select not pg_is_in_recovery()")

    shown = desk.done(*DRILL, "-n", "--check-sql", file, "--database", "app")
    assert "a replica" in shown.out and production.record() == {}
    ended = desk.pgops(*DRILL, "--check-sql", file, "--database", "app", record=str(tmp_path / "children"))

    assert ended.code == 0, ended.said
    assert production.untouchables() == before
    assert production.leftovers() == []
    record = production.record()
    assert record["outcome"] == "passed" and all(item["passed"] for item in record["checks"]), record
    assert record["restore_s"] > 0 and record["replay_s"] > 0 and record["replay_bytes"] > 0
    assert "all 2 SQL assertions hold" in ended.said
    code, finding = production.health()
    assert (code, finding["verdict"]) == (0, "ok") and "last proven restore" in finding["text"], finding
    assert finding["numbers"]["restore_s"] == record["restore_s"]
    children = (tmp_path / "children").read_text()
    assert "from kept" not in children, "an assertion stood in a command line"
    assert not {name for name in desk.etcd.own() if name.startswith(("run", "lock/"))}


def test_all_wal_and_a_time_can_be_replayed_to(desk: Desk, production: Production, tmp_path: Path) -> None:
    production.sql("create table later as select 1 as n")
    moment = production.sql(
        "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US+00:00')"
    )
    production.sql("drop table later")
    production.sql("select pg_switch_wal()")
    desk.lab.pgops("health")
    file = _assertions(tmp_path, "select to_regclass('later') is not null")
    production.sql("checkpoint")
    _await_archived(production)

    at = desk.pgops(*DRILL, "--target", moment, "--check-sql", file, "--database", "app")
    assert at.code == 0, at.said
    end = desk.pgops(*DRILL, "--to-end", "--check-sql", file, "--database", "app")
    assert end.code == 1 and "assertion 1 (select to_regclass('later') is not null) gave f" in end.err, end.said
    assert production.leftovers() == []
    code, finding = production.health()
    assert (code, finding["verdict"]) == (2, "critical") and "assertion 1" in finding["text"], finding
    assert "last proven restore" in finding["text"]


def test_meanwhile_a_backup_can_be_made_but_no_second_drill(desk: Desk, production: Production) -> None:
    first = desk.stopped(*DRILL, at=4)
    try:
        second = desk.pgops(*DRILL)
        assert second.code == 7, second.said
        label = production.backup("incr")
    finally:
        ended = first.go_on()
    assert ended.code == 0, ended.said
    assert production.record()["label"] != label, "the one that was chosen is the one that was restored"
    assert production.leftovers() == []


@pytest.mark.parametrize(("at", "after"), [(2, True), (4, False), (10, True), (12, False), (14, True)])
def test_killed_anywhere_and_continued_it_ends_the_same(
    desk: Desk, production: Production, at: int, after: bool
) -> None:
    before = production.untouchables()
    ended = desk.pgops(*DRILL, at=at, after=after)
    assert ended.code == -9, ended.said
    run_id = json.loads(desk.etcd.own()["run/drill"].value)["id"]
    refused = desk.pgops(*DRILL)
    assert refused.code == 7 and named_run(refused.err) == run_id, refused.said
    ended = desk.pgops("runs", "continue", run_id)

    assert ended.code == 0, ended.said
    record = production.record()
    assert (record["run"], record["outcome"]) == (run_id, "passed"), record
    assert record["restore_s"] > 0 and record["replay_s"] > 0
    assert production.untouchables() == before
    assert production.leftovers() == []
    assert not {name for name in desk.etcd.own() if name.startswith(("run", "lock/"))}


@pytest.mark.parametrize(("at", "after"), [(1, True), (2, True), (4, True)])
def test_aborted_anywhere_nothing_of_it_is_left(desk: Desk, production: Production, at: int, after: bool) -> None:
    before, record = production.untouchables(), production.record()
    ended = desk.pgops(*DRILL, at=at, after=after)
    assert ended.code == -9, ended.said
    run_id = json.loads(desk.etcd.own()["run/drill"].value)["id"]

    ended = desk.pgops("runs", "abort", run_id)

    assert ended.code == 0, ended.said
    assert production.leftovers() == []
    assert production.record() == record, "an aborted drill proves nothing"
    assert production.untouchables() == before


@contextmanager
def _flipped(path: Path) -> Iterator[None]:
    """Some bytes in the middle of a file are others."""
    content = path.read_bytes()
    middle = len(content) // 2
    with path.open("r+b") as file:
        file.seek(middle)
        file.write(bytes(byte ^ 0xFF for byte in content[middle : middle + 64]))
    try:
        yield
    finally:
        with path.open("r+b") as file:
            file.write(content)


def test_a_damaged_backup_fails_and_says_so(desk: Desk, production: Production) -> None:
    label = production.backup()
    folder = production.repo / "backup" / desk.cluster["stanza"] / label / "pg_data/base"
    victim = max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    before = production.untouchables()
    with _flipped(victim):
        ended = desk.pgops(*DRILL, "--set", label)

    assert ended.code == 1, ended.said
    assert f"the drill of backup {label} failed: the restore failed" in ended.err, ended.said
    assert production.leftovers() == []
    assert production.untouchables().keys() == before.keys()
    assert production.record()["outcome"] == "failed"
    code, finding = production.health()
    assert (code, finding["verdict"]) == (2, "critical") and label in finding["text"], finding
    again = desk.pgops(*DRILL, "--set", label)
    assert again.code == 0, again.said
    assert production.health()[0] == 0


def test_wal_that_is_missing_from_the_archive_fails_and_says_so(desk: Desk, production: Production) -> None:
    label = production.backup()
    archive = production.repo / "archive" / desk.cluster["stanza"]
    needed = max(archive.glob("*/*/*.backup"), key=lambda path: path.name).name.partition(".")[0]
    (segment,) = archive.glob(f"*/*/{needed}-*")
    aside = production.top / segment.name
    segment.rename(aside)
    try:
        ended = desk.pgops(*DRILL, "--set", label)
    finally:
        aside.rename(segment)

    assert ended.code == 1, ended.said
    assert "what was restored does not start: PostgreSQL did not come up: FATAL: " in ended.err, ended.said
    assert production.leftovers() == []


def test_a_page_that_was_damaged_before_the_backup_is_found(desk: Desk, production: Production) -> None:
    production.sql("create table worn as select n from generate_series(1, 20000) n")
    production.sql("checkpoint")
    path = production.sql("select pg_relation_filepath('worn')")
    file = production.top / desk.leader() / "data" / path
    with file.open("r+b") as data:
        data.seek(3 * 8192 + 4000)
        data.write(b"\xff" * 64)
    try:
        label = production.backup()
    finally:
        production.sql("drop table worn")
    assert desk.pgops(*DRILL, "-n").out.find(label) < 0, "a backup with an error is not the newest good one"

    ended = desk.pgops(*DRILL, "--set", label)

    assert ended.code == 1, ended.said
    assert "a page has a wrong checksum: base/" in ended.err and "block 3" in ended.err, ended.said
    checks = {item["name"]: item["passed"] for item in production.record()["checks"]}
    assert checks["restore"] is checks["replay"] is True and checks["checksums"] is False, checks
    assert production.leftovers() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
def test_too_little_room_is_refused(desk: Desk, production: Production, tmp_path: Path) -> None:
    small = production.top / "small"
    small.mkdir()
    done = run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=1777", "pgops-test", str(small)], timeout_s=20)
    assert done.ok, done.stderr
    config = Path(desk.lab.config)
    text = config.read_text()
    record = production.record()
    try:
        place = production.top / "n2/pgops"
        config.write_text(text.replace(f"state_dir: {place}", f"state_dir: {place}\n        scratch_dir: {small}"))
        planned = desk.pgops(*DRILL, "--node", "n2")
        assert planned.code == 3 and "too little room on n2: 64.0 MiB" in planned.err, planned.said
        assert production.record() == record
        config.write_text(text)
        measured = desk.pgops(*DRILL, "--node", "n2", "--scratch", str(small))
        assert measured.code == 1 and "too little room" in measured.err, measured.said
        assert production.record()["outcome"] == "unmade"
        assert list(small.iterdir()) == []
    finally:
        config.write_text(text)
        run(["umount", str(small)], timeout_s=20)
        small.rmdir()
    assert production.leftovers() == []


def test_a_signal_leaves_the_restore_running_and_it_is_gone_on_with(desk: Desk, production: Production) -> None:
    running = desk.stopped(*DRILL, at=2, after=True)
    ended = running.go_on(signal.SIGTERM)
    assert ended.code == 4, ended.said
    ended = desk.pgops("runs", "continue", named_run(ended.said))
    assert ended.code == 0, ended.said
    assert production.leftovers() == []


def test_what_is_kept_is_named(desk: Desk, production: Production) -> None:
    ended = desk.pgops(*DRILL, "--keep")
    assert ended.code == 0 and "it is left in " in ended.said, ended.said
    (kept,) = (production.top / "n2/pgops/owner").glob("pgops-drill-*")
    assert str(kept) in ended.said and production.processes() == []
    assert (kept / "data/PG_VERSION").exists() and (kept / "pgbackrest.conf").stat().st_mode & 0o077 == 0
    run(["rm", "-rf", "--", str(kept)], timeout_s=30)


def _await_archived(production: Production) -> None:
    """Until the segment that was switched away from is in the archive."""
    from practice.engine.desk import wait_until

    # Of the switch itself: a record that the server writes by itself right after it is in a segment that stays open.
    wanted = production.sql("select pg_walfile_name(pg_switch_wal() - 1)")
    wait_until(lambda: production.sql("select last_archived_wal from pg_stat_archiver") >= wanted, 60)


@pytest.fixture
def second_repository(production: Production) -> Iterator[str]:
    """An encrypted one beside the first, with a backup; gives its passphrase."""
    passphrase = "canary-cipher-pass-4711"
    configs = [production.top / name / "pgbackrest.conf" for name in ("n1", "n2", "n3")]
    texts = [path.read_text() for path in configs]
    place = production.top / "repo" / "second"
    more = (
        f"repo2-path={place}\nrepo2-cipher-type=aes-256-cbc\nrepo2-cipher-pass={passphrase}\nrepo2-retention-full=1\n"
    )
    words = ["pgbackrest", f"--config={configs[0]}", f"--stanza={production.desk.cluster['stanza']}"]
    try:
        for path, text in zip(configs, texts, strict=True):
            path.write_text(text.replace("[global]\n", f"[global]\n{more}", 1))
        for command in (["stanza-create"], ["--repo=2", "--type=full", "--no-expire-auto", "backup"]):
            done = run([*words, *command], timeout_s=120, user=production.owner)
            assert done.exit_code == 0, done.stdout + done.stderr
        yield passphrase
    finally:
        for path, text in zip(configs, texts, strict=True):
            path.write_text(text)
        run(["rm", "-rf", "--", str(place)], timeout_s=60)


def test_the_passphrase_of_a_repository_stays_on_its_host(
    desk: Desk, production: Production, second_repository: str, tmp_path: Path
) -> None:
    plan, children = tmp_path / "plan.json", tmp_path / "children"
    desk.done(*DRILL, "--repo", "2", "--plan-out", str(plan))
    ended = desk.pgops(*DRILL, "--repo", "2", "--keep", record=str(children))

    assert ended.code == 0, ended.said
    assert production.record()["repo_key"] == 2
    (kept,) = (production.top / "n2/pgops/owner").glob("pgops-drill-*")
    told = [ended.said, *(path.read_text() for path in (plan, children, *desk.state.rglob("*.jsonl")))]
    told += [key.value for key in desk.etcd.own().values()]
    assert len(told) > 3 and not any(second_repository in text for text in told)
    holders = [path for path in kept.rglob("*") if path.is_file() and second_repository.encode() in path.read_bytes()]
    assert holders == [kept / "pgbackrest.conf"] and holders[0].stat().st_mode & 0o077 == 0
    run(["rm", "-rf", "--", str(kept)], timeout_s=30)
