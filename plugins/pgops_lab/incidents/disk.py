"""The incident of a full file system: a replica's pg_wal on a small one in memory, which is then really filled."""

from __future__ import annotations

import errno
import os
import pwd
import shutil
from pathlib import Path

from pgops.errors import PgopsError
from pgops.hosts.process import run
from pgops_lab import acts, holds, probes, supervisor
from pgops_lab.incidents.incident import Caused, Incident, Scene
from pgops_lab.lab import Lab, Member
from pgops_lab.waiting import LogReader, wait_for

SPARE_BYTES = 24 * 1024 * 1024
FULL_PERCENT = 97.0
BALLAST = "ballast"


def _fill(scene: Scene) -> Caused:
    lab, replica = scene.lab, scene.replica()
    program = f"patroni-{replica.name}"
    holds.hold(lab, program, "lab break disk-full")
    supervisor.stop(lab, program)
    acts.end_postgres(lab, replica)
    wal = replica.data_dir / "pg_wal"
    _move_to_memory(lab, replica, wal)
    holds.release(lab, program)
    supervisor.start(lab, program)
    wait_for(
        f"{replica.name} streams", lambda: replica.name in probes.streaming(lab), timeout_s=60, lab=lab, program=program
    )
    _fill_up(wal / BALLAST)
    percent = used_percent(wal)
    if percent < FULL_PERCENT:
        raise PgopsError("the file system did not get full", where=str(wal), why=f"{percent:.0f} %")
    log = LogReader(lab, f"postgresql-{replica.name}")
    leader = probes.require_leader(lab)

    def runs_out() -> bool:
        # files that were recycled in advance take a while to be used up
        acts.write_rows(lab, leader, "disk-full", 1000)
        probes.sql(lab, leader, "SELECT pg_switch_wal()")
        return log.says("No space left on device")

    wait_for(f"PostgreSQL of {replica.name} runs out of space", runs_out, timeout_s=40, lab=lab, program=program)
    return Caused(
        f"pg_wal of {replica.name} is on a file system of its own that is {percent:.0f} % full.", replica.name
    )


def used_percent(path: Path) -> float:
    """How full the file system of `path` is, in percent of what its user may use."""
    seen = os.statvfs(path)
    used = seen.f_blocks - seen.f_bfree
    return 100.0 * used / (used + seen.f_bavail)


def _move_to_memory(lab: Lab, replica: Member, wal: Path) -> None:
    """Mount a tmpfs over pg_wal with its content and a little room."""
    content = sum(path.stat().st_size for path in wal.rglob("*") if path.is_file())
    aside = replica.directory / "pg_wal.aside"
    shutil.move(wal, aside)
    owner = pwd.getpwnam(lab.user) if lab.user else pwd.getpwuid(os.geteuid())
    wal.mkdir(mode=0o700)
    os.chown(wal, owner.pw_uid, owner.pw_gid)
    options = f"size={content + SPARE_BYTES},mode=0700,uid={owner.pw_uid},gid={owner.pw_gid}"
    result = run(["mount", "-t", "tmpfs", "-o", options, "pgops-lab", str(wal)], timeout_s=20)
    if not result.ok:
        wal.rmdir()
        shutil.move(aside, wal)
        raise PgopsError("a file system cannot be mounted here", where=str(wal), why=result.fault)
    for path in aside.rglob("*"):
        target = wal / path.relative_to(aside)
        if path.is_dir():
            target.mkdir(mode=0o700)
        else:
            shutil.copy2(path, target)
        os.chown(target, owner.pw_uid, owner.pw_gid)
    shutil.rmtree(aside)


def _fill_up(path: Path) -> None:
    chunk = bytes(64 * 1024)
    with path.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(chunk)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def _empty(scene: Scene) -> None:
    """The file system is unmounted, and the replica, whose WAL was on it, cloned anew."""
    from pgops_lab import healing
    from pgops_lab.down import mounts_under

    for member in scene.lab.members:
        if mounts_under(member.directory):
            healing.clone_anew(scene.lab, member, scene.tell)


INCIDENTS = (
    Incident(
        "disk-full",
        "a replica's pg_wal on a small file system that is full",
        'the replica does not stream; its log: "No space left on device"',
        _fill,
        _empty,
        needs_root=True,
        members=2,
    ),
)
