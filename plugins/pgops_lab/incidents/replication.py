"""Incidents of replicas: one that can never catch up, one that may not log in, a slot that nobody reads."""

from __future__ import annotations

from dataclasses import replace

from pgops_lab import acts, holds, passwords, probes, supervisor
from pgops_lab.configs.patroni import render_patroni
from pgops_lab.files import write
from pgops_lab.healing import wait_until_archived
from pgops_lab.incidents.incident import Caused, Incident, Scene
from pgops_lab.lab import Lab, Member
from pgops_lab.waiting import LogReader, wait_for

SLOT = "forgotten_subscriber"
SEGMENTS = 6
"""WAL files of 16 MiB that pass while a replica is away; the leader keeps one (wal_keep_size)."""


def _leave_behind(scene: Scene) -> Caused:
    lab, replica = scene.lab, scene.replica()
    leader = probes.require_leader(lab)
    program = f"patroni-{replica.name}"
    holds.hold(lab, program, "lab break replica-behind")
    supervisor.stop(lab, program)
    first = probes.sql(lab, leader, "SELECT pg_walfile_name(pg_current_wal_lsn())")[0][0]
    last = _pass_segments(lab, leader, SEGMENTS)
    scene.tell(
        f"{replica.name} is stopped; {first} to {last} were written; taking them from the leader and the archive"
    )
    wait_until_archived(lab, leader, last)
    _recycle(lab, leader, replica, first)
    removed = _remove_from_archive(lab, first, last)
    log = LogReader(lab, f"postgresql-{replica.name}")
    holds.release(lab, program)
    supervisor.start(lab, program)
    wait_for(
        f"{replica.name} is refused the WAL it needs",
        lambda: log.says("has already been removed"),
        timeout_s=60,
        lab=lab,
        program=program,
    )
    return Caused(
        f"{replica.name} needs WAL from {first} on, which the leader has recycled; {removed} files of it are gone from "
        "the archive as well.",
        replica.name,
        {"member": replica.name},
    )


def _pass_segments(lab: Lab, leader: Member, count: int) -> str:
    """Fill WAL files with rows; gives the name of the last finished one."""
    last = ""
    for _ in range(count):
        acts.write_rows(lab, leader, "replica-behind", 2000)
        last = probes.sql(lab, leader, "SELECT pg_walfile_name(pg_switch_wal())")[0][0]
    return last


def _recycle(lab: Lab, leader: Member, replica: Member, first: str) -> None:
    """Have the leader remove `first`, by making its slot for the replica anew, further on.

    Patroni alone cannot be left to make it: 3.0 does not notice that one of its slots was dropped.
    """
    slots = f"FROM pg_replication_slots WHERE slot_name = '{replica.name}'"
    renew = (
        "CHECKPOINT;"
        f"SELECT pg_drop_replication_slot(slot_name) {slots} AND NOT active;"
        f"SELECT pg_create_physical_replication_slot('{replica.name}', true) WHERE NOT EXISTS (SELECT {slots});"
        "CHECKPOINT"
    )

    def gone() -> bool:
        probes.sql(lab, leader, renew, timeout_s=60)
        there = probes.sql(lab, leader, f"SELECT count(*) FROM pg_ls_waldir() WHERE name = '{first}'")  # noqa: S608 - our own name
        return there == [["0"]]

    wait_for(f"{leader.name} recycles {first}", gone, timeout_s=40)


def _remove_from_archive(lab: Lab, first: str, last: str) -> int:
    """Take the archived files from `first` to `last` away; gives how many."""
    found = [
        path
        for path in lab.repo_dir.glob(f"archive/{lab.name}/*/*/*")
        if len(path.name) > 24 and first <= path.name[:24] <= last
    ]
    for path in found:
        path.unlink()
    return len(found)


def _clone_and_back_up(scene: Scene) -> None:
    """The archive has a gap: the replica is cloned, and a full backup makes the gap harmless."""
    from pgops_lab import healing, repository

    leader = probes.require_leader(scene.lab)
    name = scene.facts.get("member")
    if name is not None and name != leader.name:
        healing.clone_anew(scene.lab, scene.lab.member(name), scene.tell)
    scene.tell("taking a full backup, as the archive has a gap")
    repository.backrest(scene.lab, leader, "--type=full", "backup")


def _lock_out(scene: Scene) -> Caused:
    lab, replica = scene.lab, scene.replica()
    wrong = replace(passwords.read(lab.directory), replicator="not-the-password", rewind="not-the-password")
    write(replica.patroni_config, render_patroni(lab, replica, wrong), mode=0o600, user=lab.user)
    log = LogReader(lab, f"postgresql-{replica.name}")
    acts.restart_patroni(lab, replica)
    wait_for(
        f"{replica.name} is refused",
        lambda: log.says("password authentication failed") and replica.name not in probes.streaming(lab),
        timeout_s=60,
        lab=lab,
        program=f"patroni-{replica.name}",
    )
    return Caused(f"patroni.yml of {replica.name} has a wrong replication password: it does not stream.", replica.name)


def _let_in(scene: Scene) -> None:
    lab = scene.lab
    for member in lab.members:
        right = render_patroni(lab, member, passwords.read(lab.directory))
        if member.patroni_config.read_text() != right:
            write(member.patroni_config, right, mode=0o600, user=lab.user)
            acts.restart_patroni(lab, member)


def _forget_slot(scene: Scene) -> Caused:
    lab, leader = scene.lab, scene.leader()
    # Patroni drops slots that it does not know, unless it is told to leave them
    ignored = {"ignore_slots": [{"name": SLOT, "type": "physical"}]}
    probes.patch_config(lab, ignored)
    probes.sql(lab, leader, f"SELECT pg_create_physical_replication_slot('{SLOT}', true)")
    _pass_segments(lab, leader, SEGMENTS)
    probes.sql(lab, leader, "CHECKPOINT", timeout_s=60)
    kept = probes.sql(
        lab,
        leader,
        "SELECT pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)) FROM pg_replication_slots "  # noqa: S608 - our own name
        f"WHERE slot_name = '{SLOT}' AND NOT active",
    )[0][0]
    return Caused(f"the slot {SLOT} on {leader.name} is read by nobody and keeps {kept} of WAL.", leader.name)


def _drop_slot(scene: Scene) -> None:
    lab = scene.lab
    leader = probes.require_leader(lab)
    drop = f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{SLOT}'"  # noqa: S608 - our own name
    probes.sql(lab, leader, drop)
    probes.patch_config(lab, {"ignore_slots": None})


INCIDENTS = (
    Incident(
        "replica-behind",
        "a replica away for so long that the WAL it needs is gone, from the leader and from the archive",
        'it does not stream; its log: "requested WAL segment ... has already been removed"',
        _leave_behind,
        _clone_and_back_up,
        members=2,
    ),
    Incident(
        "replica-broken",
        "a wrong replication password in one replica's patroni.yml",
        'it runs and does not stream; its log: "password authentication failed"',
        _lock_out,
        _let_in,
        members=2,
    ),
    Incident(
        "slot-stale",
        "a replication slot on the leader that nobody reads",
        "an inactive slot that keeps more and more WAL from being removed",
        _forget_slot,
        _drop_slot,
    ),
)
