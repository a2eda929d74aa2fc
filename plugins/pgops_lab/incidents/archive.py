"""Incidents of the archive and the backups."""

from __future__ import annotations

import os
from pathlib import Path

from pgops_lab import acts, probes, repository
from pgops_lab.incidents import restamp
from pgops_lab.incidents.incident import Caused, Incident, Scene
from pgops_lab.lab import Lab, Member
from pgops_lab.waiting import wait_for

OLD_DAYS = 12


def close_archive(lab: Lab) -> None:
    """Put the archive out of every member's reach: neither read nor written. The backups stay readable."""
    (lab.repo_dir / "archive").chmod(0)


def open_archive(lab: Lab) -> None:
    """Give the archive back, to read and to write."""
    top = lab.repo_dir / "archive"
    if top.exists():
        top.chmod(0o750)
        for directory, _, _ in os.walk(top):
            Path(directory).chmod(0o750)


def _fail(scene: Scene) -> Caused:
    lab, leader = scene.lab, scene.leader()
    for directory, _, _ in os.walk(lab.repo_dir / "archive" / lab.name):
        Path(directory).chmod(0o550)
    acts.write_rows(lab, leader, "archive-failing", 10)
    probes.sql(lab, leader, "SELECT pg_switch_wal()")
    query = "SELECT coalesce(last_failed_time > last_archived_time, false), last_failed_wal FROM pg_stat_archiver"

    def failing() -> str | None:
        rows = probes.sql(lab, leader, query)
        return rows[0][1] if rows[0][0] == "t" else None

    stuck = wait_for("archiving fails", failing, timeout_s=30, lab=lab, program=f"postgresql-{leader.name}")
    return Caused(f"the repository is read-only: {leader.name} cannot archive {stuck}, and keeps trying.", leader.name)


def _open(scene: Scene) -> None:
    open_archive(scene.lab)


def _turn_off(scene: Scene) -> Caused:
    lab, leader = scene.lab, scene.leader()
    probes.sql(lab, leader, "ALTER SYSTEM SET archive_mode = off")
    restart_postgres(lab, leader)
    wait_for("archive_mode is off", lambda: _archive_mode(lab, leader) == "off", timeout_s=20, lab=lab)
    acts.write_rows(lab, leader, "archive-off", 10)
    return Caused(
        f"archive_mode = off stands in postgresql.auto.conf of {leader.name}, which was restarted: nothing is archived.",
        leader.name,
        {"member": leader.name},
    )


def _turn_on(scene: Scene) -> None:
    lab = scene.lab
    for member in lab.members:
        if member.name == scene.facts.get("member", member.name) and acts.is_primary(lab, member):
            probes.sql(lab, member, "ALTER SYSTEM RESET archive_mode")
            restart_postgres(lab, member)


def restart_postgres(lab: Lab, member: Member) -> None:
    """Restart a member's PostgreSQL through Patroni and wait until it answers."""
    before = probes.sql(lab, member, "SELECT pg_postmaster_start_time()")

    def restarted() -> bool:
        status, _ = probes.rest(lab, member, "restart", method="POST", body={}, timeout_s=40)
        return status == 200

    wait_for(f"Patroni restarts PostgreSQL of {member.name}", restarted, timeout_s=60, lab=lab)
    wait_for(
        f"{member.name} leads again",
        lambda: acts.is_primary(lab, member) and probes.sql(lab, member, "SELECT pg_postmaster_start_time()") != before,
        timeout_s=30,
        lab=lab,
    )


def _archive_mode(lab: Lab, member: Member) -> str:
    return probes.sql(lab, member, "SHOW archive_mode")[0][0]


def _age(scene: Scene) -> Caused:
    lab, leader = scene.lab, scene.leader()
    restamp.age_backups(lab, leader, days=OLD_DAYS)
    newest = repository.backups(lab, leader)[-1]
    return Caused(
        f"the repository's newest backup is {newest['label']}: every backup is {OLD_DAYS} days older than it was.",
        facts={"label": str(newest["label"])},
    )


def _back_up(scene: Scene) -> None:
    lab = scene.lab
    scene.tell("taking a full backup")
    repository.backrest(lab, probes.require_leader(lab), "--type=full", "backup")


INCIDENTS = (
    Incident(
        "archive-failing",
        "the repository cannot be written: archive-push fails",
        "pg_stat_archiver.last_failed_time past last_archived_time, .ready files pile up",
        _fail,
        _open,
    ),
    Incident(
        "archive-off",
        "archive_mode = off in postgresql.auto.conf of the leader, restarted",
        "nothing is archived, nothing fails, no pending restart is shown",
        _turn_off,
        _turn_on,
    ),
    Incident(
        "backup-old",
        f"every backup of the repository {OLD_DAYS} days older than it is",
        "pgbackrest info: all is ok, and the newest backup is old",
        _age,
        _back_up,
    ),
)
