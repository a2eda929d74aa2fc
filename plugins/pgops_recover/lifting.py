"""The steps for a survivor that does not lead, or is on a lower timeline than a loser: it goes on above all of them.

A standby that reads the archive follows the highest history file it finds there, and one of a loser's leads it astray. So
every Patroni is held and killed, the survivor comes to a timeline above all, and is the first to start again.
Sources: PostgreSQL docs, continuous-archiving (timelines); Patroni, patroni/ha.py (is_healthiest_node: who may lead, by
`status` and `sync`; a member that starts while another one's lock is there follows that one).
"""

from __future__ import annotations

import json
from dataclasses import replace

from pgops.dcs import Delete, Put
from pgops.observe.branch_facts import BranchFacts
from pgops.observe.snapshot import DcsKeys, Node, Snapshot, View
from pgops.plan.actions import Action, Again, ChangeKeys, RunCommand
from pgops.plan.keys import change_seen, foresee_keys
from pgops.plan.step import Params, Risk, Step, Verdict, blocked, needed, satisfied, unread
from pgops.readings import Known, Unknown, known, reason
from pgops.steps.services import find_service, predict, start_actions
from pgops_recover.incident import Incident, Lift
from pgops_recover.programs import argv_of, backrest_argv

_LONG_S = 7 * 3600.0
_STALE = ("failover", "status", "sync")
"""Keys of the branch that loses: who may lead next, and how far it had come."""


def resume_in_keys() -> Step:
    """No Patroni runs that could be asked: the key itself is written, only while it is as it was read."""

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        keys = known(now.keys)
        if keys is None or keys.config is None:
            return unread(f"the DCS cannot be read: {reason(now.keys)}", "pgops health --check dcs")
        return needed("the configuration says pause") if keys.paused else satisfied("nobody paused it")

    def actions(_first: Snapshot, now: Snapshot) -> tuple[Action, ...]:
        keys = known(now.keys)
        if keys is None:
            return ()
        return change_seen(now, Put(f"{now.cluster.prefix}config", json.dumps(_resumed(keys), sort_keys=True)))

    def expect(now: Snapshot) -> Snapshot:
        return foresee_keys(now, lambda keys: replace(keys, config=_resumed(keys)))

    return Step(
        id="resume",
        why="a Patroni that is started while the configuration says pause starts no PostgreSQL",
        check=check,
        actions=actions,
        expect=expect,
        views=frozenset({View.DCS}),
        hosts=frozenset(),
        risk=Risk.CHANGE,
        moves=frozenset({"key:config"}),
        usually="under a second",
    )


def _resumed(keys: DcsKeys) -> dict[str, object]:
    return {name: value for name, value in (keys.config or {}).items() if name != "pause"}


def lock_gone(lift: Lift, ttl_s: float) -> Step:
    """Wait until the lease of the former holder ends."""

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        keys = known(now.keys)
        if keys is None:
            return unread(f"the DCS cannot be read: {reason(now.keys)}", "pgops health --check dcs")
        if keys.leader is None:
            return satisfied("nobody holds the lock")
        return needed(f"{keys.leader} holds the lock until its lease ends")

    def expect(now: Snapshot) -> Snapshot:
        return foresee_keys(now, lambda keys: replace(keys, leader=None))

    return Step(
        id="lock-gone",
        why="a survivor that starts while another one's lock is there would follow, and be rewound to, that one",
        check=check,
        expect=expect,
        views=frozenset({View.DCS}),
        hosts=frozenset(),
        timeout_s=ttl_s + 60.0,
        usually=f"up to {ttl_s:g} s, the lease of {lift.holder or 'the lock'}",
    )


def stop_survivor(incident: Incident, lift: Lift) -> Step:
    """A clean stop, from which it starts on a new timeline."""
    name = incident.survivor

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        seen = _branch(now, name)
        if isinstance(seen, str):
            return unread(f"whether PostgreSQL of {name} runs cannot be seen: {seen}")
        branch = seen[1]
        if not branch.serving or _is_above(now, name, lift):
            return satisfied(f"no PostgreSQL uses {lift.data_dir}" if not branch.serving else "it is above all already")
        return needed(f"PostgreSQL of {name} runs on timeline {lift.timeline}, and timeline {lift.above} is known")

    def expect(now: Snapshot) -> Snapshot:
        seen = _branch(now, name)
        if isinstance(seen, str):
            return now
        node, branch = seen
        stopped = replace(branch, serving=False, end_timeline=lift.timeline, end_bytes=0)
        return now.with_node(replace(node, branch=Known(stopped), sql=Unknown("it is stopped")))

    argv = (lift.program("pg_ctl"), "-D", lift.data_dir, "-m", "fast", "-w", "-t", str(int(_LONG_S)), "stop")
    return Step(
        id=f"stop-{name}",
        why="only a server that starts after a clean stop can go over to a timeline of its own",
        check=check,
        actions=lambda _first, _now: (RunCommand(name, argv, again=Again.SAFE, timeout_s=_LONG_S),),
        expect=expect,
        views=frozenset({View.BRANCH, View.SQL}),
        hosts=frozenset({name}),
        risk=Risk.INTERRUPT,
        may_settle=True,
        usually="seconds, by the size of its checkpoint",
        interrupts=f"clients of {name} lose their connections, until it leads on its new timeline",
    )


def lift_survivor(incident: Incident, lift: Lift) -> Step:
    """A new timeline, above all that were ever seen, which the archive knows before anybody follows."""
    name = incident.survivor
    stanza, config = lift.stanza, lift.config.pgbackrest_config
    wish = {
        "data_dir": lift.data_dir,
        "bin_dir": lift.config.bin_dir,
        "above": lift.above,
        "histories": dict(lift.histories),
        "own": list(lift.own),
        "archive": None if stanza is None else backrest_argv(stanza, config, lift.data_dir),
    }

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        seen = _branch(now, name)
        if isinstance(seen, str):
            return unread(f"the branch of {name} cannot be seen: {seen}")
        node, branch = seen
        if _is_above(now, name, lift):
            return satisfied(f"{name} is above timeline {lift.above}")
        if branch.serving and known(node.sql) is not None:
            return blocked(f"PostgreSQL of {name} runs")
        return needed(f"{name} is on timeline {lift.timeline}, and timeline {lift.above} is known")

    def expect(now: Snapshot) -> Snapshot:
        seen = _branch(now, name)
        if isinstance(seen, str):
            return now
        node, branch = seen
        return now.with_node(replace(node, branch=Known(replace(branch, end_timeline=lift.above + 1))))

    return Step(
        id=f"lift-{name}",
        why="members that read the archive follow the highest timeline there, which must be the survivor's",
        check=check,
        actions=lambda _first, _now: (RunCommand(name, argv_of("lift", wish), again=Again.SAFE, timeout_s=_LONG_S),),
        expect=expect,
        views=frozenset({View.BRANCH, View.SQL}),
        hosts=frozenset({name}),
        risk=Risk.CHANGE,
        usually="seconds: it starts where nobody can connect, and stops again",
    )


def _branch(now: Snapshot, name: str) -> tuple[Node, BranchFacts] | str:
    """The survivor with its branch, or why that cannot be seen."""
    node = now.node(name)
    branch = known(node.branch) if node else None
    if node is None or branch is None:
        return reason(node.branch) if node else "it is gone"
    return node, branch


def _is_above(now: Snapshot, name: str, lift: Lift) -> bool:
    """Whether the survivor came to a timeline above all, as it says itself, or as its files do once it is stopped."""
    seen = _branch(now, name)
    if isinstance(seen, str):
        return False
    node, branch = seen
    sql = known(node.sql)
    timeline = (sql.timeline if sql else None) if branch.serving else branch.end_timeline
    return timeline is not None and timeline > lift.above


def drop_keys(incident: Incident) -> Step:
    """By their names, one by one. No Patroni runs that could write them, so nothing is compared but our lock.

    Until it was held, Patroni wrote them anew every few seconds: no plan could know their revisions.
    """

    def present(now: Snapshot) -> list[str] | None:
        keys = known(now.keys)
        return None if keys is None else [name for name in _STALE if f"{now.cluster.prefix}{name}" in keys.revisions]

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        found = present(now)
        if found is None:
            return unread(f"the DCS cannot be read: {reason(now.keys)}", "pgops health --check dcs")
        return (
            needed(f"keys of the losing branch are there: {', '.join(found)}") if found else satisfied("none is there")
        )

    def actions(_first: Snapshot, now: Snapshot) -> tuple[Action, ...]:
        return (ChangeKeys((), tuple(Delete(f"{now.cluster.prefix}{name}") for name in _STALE), again=Again.SAFE),)

    def expect(now: Snapshot) -> Snapshot:
        gone = {f"{now.cluster.prefix}{name}" for name in _STALE}

        def dropped(keys: DcsKeys) -> DcsKeys:
            left = {name: revision for name, revision in keys.revisions.items() if name not in gone}
            return replace(keys, revisions=left, optime_bytes=None, sync=None, failover=None)

        return foresee_keys(now, dropped)

    return Step(
        id="drop-keys",
        why=f"by them Patroni would find that {incident.survivor} is too far behind to lead, or no synchronous standby",
        check=check,
        actions=actions,
        expect=expect,
        views=frozenset({View.DCS}),
        hosts=frozenset(),
        risk=Risk.CHANGE,
        usually="under a second",
    )


def start_survivor(incident: Incident) -> Step:
    """The first Patroni to start, which so takes the lock."""
    name = incident.survivor
    params: Params = {"node": name}

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        keys, node, state = known(now.keys), now.node(name), find_service(params, now)
        sql = known(node.sql) if node else None
        if keys is None:
            return unread(f"the DCS cannot be read: {reason(now.keys)}", "pgops health --check dcs")
        if isinstance(state, str):
            return unread(f"the services of {name} cannot be seen: {state}", "pgops health --check services")
        if keys.leader not in (None, name):
            return blocked(f"{keys.leader} holds the lock", "pgops health")
        if not state.running:
            return needed(f"Patroni of {name} does not run ({state.state})")
        if keys.leader is None or sql is None or sql.in_recovery:
            return needed(f"{name} does not lead yet")
        return satisfied(f"{name} leads, on timeline {sql.timeline}")

    def expect(now: Snapshot) -> Snapshot:
        return foresee_keys(predict(params, now, running=True), lambda keys: replace(keys, leader=name))

    return Step(
        id=f"start-{name}",
        why="nobody else can take the lock: every other Patroni is held",
        check=check,
        actions=lambda _first, now: start_actions(now.cluster, params),
        expect=expect,
        views=frozenset({View.DCS, View.SERVICES, View.SQL}),
        hosts=frozenset({name}),
        risk=Risk.CHANGE,
        timeout_s=300.0,
        usually="a loop or two of Patroni (loop_wait)",
    )
