"""The procedure `recover-split-brain`: what only the losers have is kept, and they are cloned anew from the survivor.

Nothing is destroyed: WAL is copied before a loser is stopped, its data directory is moved aside, and both stay until
a person removes them. A stuck Patroni is never continued, since it would demote and rewind at once: it is held, then killed.
"""

from __future__ import annotations

from dataclasses import replace

from pgops.observe.facts import WalReceiver
from pgops.observe.snapshot import Node, Snapshot, View
from pgops.plan.actions import Action, Again, RunCommand
from pgops.plan.step import Params, Part, Pinned, Procedure, Risk, Step, Verdict, blocked, needed, satisfied, unread
from pgops.readings import Known, known, reason
from pgops.steps.holds import release
from pgops.steps.services import REFUSED_CODES, find_service, manager_of, predict, unit_of
from pgops.steps.switching import acknowledgement, switch
from pgops_recover.incident import PROCEDURE, Incident, Loser, find_copy, find_incident
from pgops_recover.losing import account, hold_loser, keep_data, keep_wal, silence, stop

_DAY_S = 86400.0


def _steps(params: Params, pinned: Pinned, first: Snapshot) -> tuple[Part, ...]:
    incident = find_incident(params, pinned, first)
    parts: list[Part] = [_evidence(incident)]
    for loser in incident.losers:
        parts += [
            hold_loser(loser, incident, pinned),
            silence(loser),
            keep_wal(loser, incident, pinned),
            stop(loser),
            keep_data(loser, incident, pinned),
            account(loser, pinned),
        ]
    keys = known(first.keys)
    if incident.losers and keys is not None and keys.paused:
        silent = frozenset(loser.name for loser in incident.losers) | incident.left_out
        parts += [switch(on=False), acknowledgement(on=False, without=silent)]
    for loser in incident.losers:
        parts += [replace(release({"node": loser.name}), id=f"release-{loser.name}"), _rejoin(loser, incident)]
    return tuple(parts)


def _evidence(incident: Incident) -> Step:
    """Who leads now, and that nobody who may lose is unseen."""
    survivor = incident.survivor

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        keys, node = known(now.keys), now.node(survivor)
        sql = known(node.sql) if node else None
        if node is None:
            return blocked(f"there is no member {survivor}", "pgops health")
        if keys is None or sql is None:
            why = reason(now.keys) if keys is None else reason(node.sql)
            return unread(f"whether {survivor} leads cannot be read: {why}", "pgops health")
        if keys.leader != survivor or sql.in_recovery:
            return blocked(
                f"{survivor} does not lead: {keys.leader or 'nobody'} holds the lock. Only its holder can survive as yet",
                "name the member that holds the lock and takes writes as --survivor",
            )
        if incident.unseen:
            told = "; ".join(f"{name}: {why}" for name, why in sorted(incident.unseen.items()))
            return unread(
                f"not every member can be seen, and an unreachable one is not a stopped one: {told}",
                f"mend that, or leave it as it is with --without {','.join(sorted(incident.unseen))}",
            )
        if not incident.losers:
            return satisfied(f"{survivor} leads alone, and no member has anything that it has not")
        told = "; ".join(f"{loser.name} {loser.parting.describe()}" for loser in incident.losers)
        return satisfied(f"{survivor} leads; {told}")

    return Step(
        id="evidence",
        why="the survivor must hold the lock, and every member that could hold rows of its own must be seen",
        check=check,
        views=frozenset({View.DCS, View.SQL}),
        hosts=frozenset(),
    )


def _rejoin(loser: Loser, incident: Incident) -> Step:
    """Patroni clones it, since there is no data directory any more."""
    params: Params = {"node": loser.name}

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        copy = find_copy(loser, now)
        if isinstance(copy, str):
            return unread(f"the copies of {loser.name} cannot be seen: {copy}", "pgops health --check services")
        if copy is None or not copy.has("data") or not copy.accounted:
            return blocked(f"what {loser.name} has is not kept and counted yet")
        state = find_service(params, now)
        if isinstance(state, str):
            return unread(f"the services of {loser.name} cannot be seen: {state}", "pgops health --check services")
        if not state.running:
            return needed(f"Patroni of {loser.name} does not run ({state.state})")
        why = _not_streaming(now.node(loser.name), now.node(incident.survivor))
        return satisfied(f"{loser.name} streams from {incident.survivor}") if why is None else needed(why)

    def actions(_first: Snapshot, now: Snapshot) -> tuple[Action, ...]:
        # Also where it runs already: a service manager may try again by itself as soon as the hold is gone.
        manager = manager_of(now.cluster)
        argv = manager.start_argv(unit_of(now.cluster, params))
        return (
            RunCommand(
                loser.name, argv, manager.hold_identity, Again.SAFE, timeout_s=120.0, accepts=(0, *REFUSED_CODES)
            ),
        )

    def expect(now: Snapshot) -> Snapshot:
        after = predict(params, now, running=True)
        node, survivor = after.node(loser.name), after.node(incident.survivor)
        sql, source = (known(each.sql) if each else None for each in (node, survivor))
        if node is None or sql is None or source is None:
            return after
        receiver = WalReceiver("streaming", source.timeline, source.flush_bytes, None)
        follows = replace(sql, in_recovery=True, timeline=source.timeline, receiver=Known(receiver))
        return after.with_node(replace(node, sql=Known(follows)))

    return Step(
        id=f"rejoin-{loser.name}",
        why="without a data directory its Patroni makes a new one from the survivor; one member after the other",
        check=check,
        actions=actions,
        expect=expect,
        views=frozenset({View.SERVICES, View.SQL, View.COPIES}),
        hosts=frozenset({loser.name}),
        risk=Risk.CHANGE,
        timeout_s=_DAY_S,
        usually="as long as a base backup takes",
    )


def _not_streaming(node: Node | None, survivor: Node | None) -> str | None:
    """Why the member cannot be called a replica of the survivor; None where it is one."""
    sql, source = (known(each.sql) if each else None for each in (node, survivor))
    name = node.name if node else "it"
    if source is None:
        return "the survivor cannot be asked"
    if sql is None:
        return f"{name} is being cloned: {reason(node.sql) if node else 'it is gone'}"
    if not sql.in_recovery:
        return f"{name} takes writes"
    receiver = known(sql.receiver)
    if receiver is None or receiver.status != "streaming":
        return f"{name} runs, and does not stream yet"
    if sql.timeline != source.timeline:
        return f"{name} is on timeline {sql.timeline}, the survivor on {source.timeline}"
    return None


def _goal(params: Params, cluster: str) -> str:
    return f"let {params['survivor']} survive the split brain of the cluster {cluster}, and keep what the others have"


RECOVER = Procedure(
    name=PROCEDURE,
    goal=_goal,
    views=frozenset({View.DCS, View.REST, View.SQL, View.HOST, View.SERVICES, View.BRANCH, View.COPIES}),
    steps=_steps,
    # Members come and go in such an incident; who leads, and whose data it is, must not.
    premises=("leader", "system_identifier"),
)
"""Mend a split brain in favour of the member that the operator named."""
