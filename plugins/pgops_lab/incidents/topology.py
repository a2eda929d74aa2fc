"""Incidents of who leads: a split brain, two branches with one number, a dead leader, a hung Patroni, a dead node."""

from __future__ import annotations

import signal

from pgops_lab import acts, healing, probes
from pgops_lab.incidents.incident import Caused, Incident, Scene


def _split(scene: Scene) -> Caused:
    lab, old = scene.lab, scene.leader()
    pid = acts.freeze(lab, f"patroni-{old.name}")
    scene.tell(f"Patroni of {old.name} (pid {pid}) is stopped by SIGSTOP; its lock runs out in about 20 s")
    new = acts.wait_for_other_leader(lab, old)
    acts.write_rows(lab, old, "written on the old leader", 37)
    acts.write_rows(lab, new, "written on the new leader", 20)
    if not acts.is_primary(lab, old):
        raise AssertionError(f"{old.name} took writes a moment ago")
    return Caused(
        f"{old.name} and {new.name} both take writes: 37 rows went to {old.name}, 20 to {new.name}, which has the lock.",
        old.name,
        {"loser": old.name},
    )


def _end_split(scene: Scene) -> None:
    """The old leader's rows are thrown away: it is cloned from the leader."""
    losers = [scene.facts["loser"]] if "loser" in scene.facts else []
    for name in losers:
        leader = probes.require_leader(scene.lab)
        if leader.name != name:
            healing.clone_anew(scene.lab, scene.lab.member(name), scene.tell)


def _crash(scene: Scene) -> Caused:
    lab, old = scene.lab, scene.leader()
    acts.kill(lab, f"patroni-{old.name}", "lab break leader-crash")
    acts.end_postgres(lab, old, signal.SIGKILL)
    scene.tell(f"Patroni and PostgreSQL of {old.name} are killed; its lock runs out in about 20 s")
    if lab.size == 1:
        return Caused(f"{old.name} is dead and held; there is nobody to take over.", old.name)
    new = acts.wait_for_other_leader(lab, old)
    acts.write_rows(lab, new, "written after the crash", 20)
    return Caused(f"{old.name} is dead, its Patroni is held; {new.name} leads.", old.name)


def _hang(scene: Scene) -> Caused:
    replica = scene.replica()
    pid = acts.freeze(scene.lab, f"patroni-{replica.name}")
    return Caused(f"Patroni of the replica {replica.name} (pid {pid}) is stopped by SIGSTOP.", replica.name)


def _node_down(scene: Scene) -> Caused:
    lab = scene.lab
    node = scene.node or scene.replica()
    was_leader = probes.leader(lab) == node
    for program in (f"patroni-{node.name}", f"etcd-{node.name}"):
        acts.kill(lab, program, "lab break node-down")
    acts.end_postgres(lab, node, signal.SIGKILL)
    if was_leader and lab.size > 1:
        acts.wait_for_other_leader(lab, node)
    return Caused(f"etcd, Patroni and PostgreSQL of {node.name} are killed and held.", node.name)


INCIDENTS = (
    Incident(
        "split-brain",
        "Patroni frozen on the leader, another member promoted, rows written on both sides",
        "two primaries, although patronictl list shows a healthy cluster without the old leader",
        _split,
        _end_split,
        members=2,
    ),
    Incident(
        "leader-crash",
        "the leader's PostgreSQL and Patroni killed and kept down",
        "a new leader after about 25 s, the old one not answering",
        _crash,
    ),
    Incident(
        "patroni-hung",
        "a replica's Patroni frozen; its PostgreSQL streams on",
        "the REST API accepts connections and never answers; the member drops out of /cluster after its ttl",
        _hang,
        members=2,
    ),
    Incident(
        "node-down",
        "etcd, Patroni and PostgreSQL of one member killed and kept down",
        "nothing of that node answers; etcd has one member less",
        _node_down,
        members=2,
    ),
)
