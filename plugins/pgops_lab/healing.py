"""Brings a lab back to health after its incidents were undone."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from pgops.errors import PgopsError
from pgops_lab import acts, booting, holds, probes, processes, repository
from pgops_lab.lab import Lab, Member
from pgops_lab.waiting import wait_for

SETTLE_TRIES, SETTLE_PAUSE_S = 4, 3.0

GRACE_S = 30.0
"""How long a replica gets to stream by itself (rewind included) before it is cloned anew."""


def heal(lab: Lab, tell: Callable[[str], None]) -> None:
    """Holds released, frozen Patronis killed, dead programs started; every replica streams, the archive works.

    A replica that does not stream by itself within `GRACE_S` seconds loses its data directory and is cloned.
    """
    for program in lab.programs:
        holds.release(lab, program)
    booting.start_supervisord(lab, tell)
    _kill_frozen(lab, tell)
    started = booting.start_dead(lab, lab.programs, tell)
    if started:
        tell("started " + ", ".join(started))
    booting.wait_for_etcd(lab)
    leader = _settle(lab, tell)
    repository.ensure_stanza(lab, leader)
    if not repository.backups(lab, leader):
        tell("taking a full backup")
        repository.backrest(lab, leader, "--type=full", "backup")
    booting.wait_for_members(lab, frozenset(member.name for member in lab.members))


def _settle(lab: Lab, tell: Callable[[str], None]) -> Member:
    """Wait until somebody leads for good: after a lost DCS the old leader still says so while it steps down."""
    for attempt in range(SETTLE_TRIES):
        try:
            booting.wait_for_leader(lab, timeout_s=90)
            _have_replicas_stream(lab, tell)
            leader = probes.require_leader(lab)
            wait_for_archive(lab, leader)
        except PgopsError:
            if attempt == SETTLE_TRIES - 1:
                raise
            time.sleep(SETTLE_PAUSE_S)
        else:
            break
    return leader


def wait_for_archive(lab: Lab, leader: Member, *, timeout_s: float = 75) -> None:
    """Switch to a new WAL file and wait until the one before it is archived.

    The switch also wakes the archiver, which else tries a failed file again only after a minute. Source: PostgreSQL,
    src/backend/postmaster/pgarch.c, PGARCH_AUTOWAKE_INTERVAL.
    """
    # an empty transaction would leave nothing to switch from
    rows = probes.sql(lab, leader, "SELECT pg_current_xact_id(); SELECT pg_walfile_name(pg_switch_wal())")
    wait_until_archived(lab, leader, rows[-1][0], timeout_s=timeout_s)


def wait_until_archived(lab: Lab, leader: Member, wal_file: str, *, timeout_s: float = 75) -> None:
    """Wait until the archiver has pushed `wal_file`, or a later one."""

    def archived() -> bool:
        last = probes.sql(lab, leader, "SELECT last_archived_wal FROM pg_stat_archiver")
        return bool(last and last[0][0][:24] >= wal_file)  # names of one timeline sort as they follow one another

    wait_for(
        f"the archive takes {wal_file}", archived, timeout_s=timeout_s, lab=lab, program=f"postgresql-{leader.name}"
    )


def clone_anew(lab: Lab, member: Member, tell: Callable[[str], None]) -> None:
    """Throw a member's data away, as a lab's data is practice data, and have Patroni clone it from the leader."""
    tell(f"throwing away the data of {member.name} and cloning it anew")
    acts.clear_data(lab, member)
    holds.release(lab, f"patroni-{member.name}")
    booting.start_dead(lab, (f"patroni-{member.name}",), tell)


def _kill_frozen(lab: Lab, tell: Callable[[str], None]) -> None:
    """A frozen Patroni is killed, never continued: it would go on with what it knew when it froze."""
    for process in processes.of_lab(lab):
        if process.stopped and process.name != "postgres":
            tell(f"killing the frozen process {process.pid} ({process.name})")
            acts.send(process.pid, signal.SIGKILL)


def _have_replicas_stream(lab: Lab, tell: Callable[[str], None]) -> None:
    wanted = frozenset(member.name for member in lab.members)
    try:
        booting.wait_for_replicas(lab, wanted, timeout_s=GRACE_S)
    except PgopsError:
        leader = probes.require_leader(lab)
        for name in sorted(wanted - {leader.name} - probes.streaming(lab)):
            clone_anew(lab, lab.member(name), tell)
        booting.wait_for_replicas(lab, wanted, timeout_s=90)
