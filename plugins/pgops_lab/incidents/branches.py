"""The incident that nothing notices by itself: two branches of history with one timeline number."""

from __future__ import annotations

import signal

from pgops.errors import PgopsError
from pgops_lab import acts, booting, healing, holds, probes, supervisor
from pgops_lab.configs.patroni import LOOP_WAIT_S
from pgops_lab.incidents.archive import close_archive, open_archive
from pgops_lab.incidents.incident import Caused, Incident, Scene
from pgops_lab.lab import Lab, Member
from pgops_lab.programs import check_run
from pgops_lab.waiting import wait_for

REASON = "lab break same-timeline"
AHEAD_BYTES = 12 * 1024 * 1024
"""How far into a WAL file of 16 MiB the member that diverged has come."""


def _diverge(scene: Scene) -> Caused:
    """Two standbys of a leader that was stopped cleanly are promoted, each by hand, with no Patroni running.

    Both branch off at the same point and take the next timeline's number, since neither can see the other's history
    file in the archive. The one that becomes leader ends *behind* the other within one WAL file: the other can then
    ask it for that file from its start, streams, and looks well, because its own end is past the leader's.
    """
    lab, old = scene.lab, scene.leader()
    winner, loser = [member for member in lab.members if member != old][:2]
    if scene.node in (winner, loser):
        winner, loser = (loser, winner) if scene.node == winner else (winner, loser)
    booting.wait_for_replicas(lab, frozenset(member.name for member in lab.members))
    _quieten(lab, old)
    for member in [member for member in lab.members if member != old]:
        acts.kill(lab, f"patroni-{member.name}", REASON)
    holds.hold(lab, f"patroni-{old.name}", REASON)
    supervisor.stop(lab, f"patroni-{old.name}")
    scene.tell(f"{old.name} is stopped cleanly; the archive is closed; promoting {winner.name} and {loser.name} apart")
    close_archive(lab)
    try:
        _promote(lab, winner)
        _promote(lab, loser)
        finished = _write_branch(lab, winner, 25)
        _write_branch(lab, loser, 1000)
        _run_ahead(lab, loser)
        _rejoin(scene, winner, loser)
    finally:
        open_archive(lab)
    for member in lab.members:
        holds.release(lab, f"patroni-{member.name}")
    booting.start_dead(lab, lab.programs, scene.tell)
    booting.wait_for_replicas(lab, frozenset(member.name for member in lab.members))
    _wake_archiver(lab, winner)
    healing.wait_until_archived(lab, winner, finished)
    if loser.name not in probes.streaming_from(lab, winner):
        raise PgopsError(f"{loser.name} does not stream any more", where=str(lab.log_dir))
    numbers = {member.name: acts.count_rows(lab, member) for member in (winner, loser)}
    if numbers[winner.name] == numbers[loser.name]:
        raise PgopsError("the two branches came out equal", why=f"{numbers}")
    return Caused(
        f"{winner.name} leads and {loser.name} streams from it on the same timeline, with different content: the "
        f"ledger has {numbers[winner.name]} rows on {winner.name} and {numbers[loser.name]} on {loser.name}.",
        loser.name,
        {"loser": loser.name},
    )


def _promote(lab: Lab, member: Member) -> None:
    check_run(lab, [f"{lab.pg_bin}/pg_ctl", "promote", "-D", str(member.data_dir), "-w", "-t", "30"], timeout_s=40)
    wait_for(f"{member.name} is promoted", lambda: acts.is_primary(lab, member), timeout_s=20)


def _write_branch(lab: Lab, member: Member, rows: int) -> str:
    """Rows, a finished WAL file (its name is given), and rows again: the branches differ in a file both finished."""
    acts.write_rows(lab, member, "written apart", rows)
    finished = probes.sql(lab, member, "SELECT pg_walfile_name(pg_switch_wal())")[0][0]
    acts.write_rows(lab, member, "written apart", rows)
    return finished


def _run_ahead(lab: Lab, member: Member) -> None:
    """Write until most of the present WAL file is full: the leader will not pass that point for a while."""
    offset = "SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn) % (SELECT setting::bigint FROM pg_settings "
    offset += "WHERE name = 'wal_segment_size')"
    while int(probes.sql(lab, member, offset)[0][0]) < AHEAD_BYTES:
        acts.write_rows(lab, member, "written apart", 1000)
    # a restart begins at this checkpoint, and never asks the archive for the file that differs
    probes.sql(lab, member, "CHECKPOINT", timeout_s=60)


def _wake_archiver(lab: Lab, member: Member) -> None:
    """The archiver sleeps a minute after failures; SIGHUP ends its sleep. A WAL switch would too, but moves the end."""
    rows = probes.sql(lab, member, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'archiver'")
    for row in rows:
        acts.send(int(row[0]), signal.SIGHUP)


def _quieten(lab: Lab, leader: Member) -> None:
    """Set every hint bit before: under checksums each one set later writes a whole page of WAL, even for a SELECT."""
    for database in ("postgres", "app"):
        probes.sql(lab, leader, "VACUUM (FREEZE, ANALYZE)", database=database, timeout_s=120)
    probes.sql(lab, leader, "CHECKPOINT", timeout_s=60)


def _rejoin(scene: Scene, winner: Member, loser: Member) -> None:
    lab = scene.lab
    for member in (winner, loser):
        holds.release(lab, f"patroni-{member.name}")
        booting.start_dead(lab, (f"patroni-{member.name}",), scene.tell)
        if member is winner:
            wait_for(
                f"{winner.name} leads",
                lambda: probes.leader(lab) == winner,
                timeout_s=40,
                lab=lab,
                program=f"patroni-{winner.name}",
            )
    scene.tell(f"{winner.name} leads; waiting until Patroni makes {loser.name} its replica, without a word")
    wait_for(
        f"{loser.name} streams",
        lambda: loser.name in probes.streaming(lab),
        timeout_s=30 + 5 * LOOP_WAIT_S,
        lab=lab,
        program=f"patroni-{loser.name}",
    )


def _clone_loser(scene: Scene) -> None:
    lab = scene.lab
    open_archive(lab)
    loser = scene.facts.get("loser")
    if loser is None:
        return
    if probes.require_leader(lab).name == loser:
        raise PgopsError(f"{loser}, the member that diverged, leads now", next_step="pgops lab down, then pgops lab up")
    healing.clone_anew(lab, lab.member(loser), scene.tell)


INCIDENTS = (
    Incident(
        "same-timeline",
        "two members promoted apart to one timeline number, then joined again by Patroni",
        "patronictl list shows both on one timeline, streaming, lag 0; their tables and WAL files differ",
        _diverge,
        _clone_loser,
        members=3,
    ),
)
