"""The procedure `recover-split-brain`: what only the losers have is kept, and they are cloned anew from the survivor.

Nothing is destroyed: WAL is copied before a loser is stopped, its data directory is moved aside, and both stay until
a person removes them. A stuck Patroni is never continued, since it would demote and rewind at once: it is held, then killed.
A survivor that does not lead comes above all others first: `pgops_recover.lifting`.
"""

from __future__ import annotations

from dataclasses import replace

from pgops.observe.facts import SqlFacts, WalReceiver
from pgops.observe.snapshot import DcsKeys, Node, Snapshot, View
from pgops.plan.step import Params, Part, Pinned, Procedure, Risk, Step, Verdict, blocked, needed, satisfied, unread
from pgops.readings import Known, Unknown, known, reason
from pgops.steps.holds import release
from pgops.steps.services import find_service, predict, start_actions
from pgops.steps.switching import acknowledgement, switch
from pgops_recover.diagnosing import led_elsewhere
from pgops_recover.incident import HELD, OFF, PROCEDURE, Incident, Lift, Loser, find_copy, find_incident
from pgops_recover.leaving_out import allow_rewind, bar_rewind, judge_left_out
from pgops_recover.lifting import drop_keys, lift_survivor, lock_gone, resume_in_keys, start_survivor, stop_survivor
from pgops_recover.losing import (
    account,
    hold_member,
    keep_data,
    keep_wal,
    open_copy,
    quarantine,
    save_evidence,
    silence,
    stop,
)

_DAY_S = 86400.0
_TTL_S = 30.0
"""Patroni's own default of `ttl`. Source: Patroni docs, dynamic_configuration.rst."""


def _steps(params: Params, pinned: Pinned, first: Snapshot) -> tuple[Part, ...]:
    incident = find_incident(params, pinned, first)
    keys = known(first.keys)
    paused = bool(incident.losers and keys is not None and keys.paused)
    last = [allow_rewind()] if not incident.left_out and keys is not None and keys.left_out_record else []
    if incident.lift is not None:
        return (_evidence(incident), *_lifting_steps(incident, incident.lift, pinned, first, paused=paused), *last)
    parts: list[Part] = [_evidence(incident), *([bar_rewind(incident, pinned)] if incident.left_out else [])]
    for loser in incident.losers:
        parts += [*_mute(loser.name, incident, pinned), *_keep(loser, incident, pinned)]
    if paused:
        silent = frozenset((*(loser.name for loser in incident.losers), *incident.left_out))
        parts += [switch(on=False), acknowledgement(on=False, without=silent)]
    for loser in incident.losers:
        parts += [_release(loser.name), _rejoin(loser, incident)]
    return (*parts, *last)


def _lifting_steps(
    incident: Incident, lift: Lift, pinned: Pinned, first: Snapshot, *, paused: bool
) -> tuple[Step, ...]:
    """No Patroni acts until the survivor is above all others: the lock's holder is killed last, so that nobody takes over."""
    keys, survivor = known(first.keys), incident.survivor
    told = (keys.config or {}).get("ttl") if keys else None
    ttl_s = float(told) if isinstance(told, int) else _TTL_S
    names = [survivor, *incident.others, *(loser.name for loser in incident.losers)]
    names.sort(key=lambda name: name == lift.holder)
    steps = [step for name in names for step in _mute(name, incident, pinned)]
    for loser in incident.losers:
        steps += _keep(loser, incident, pinned)
    steps += [lock_gone(lift, ttl_s), *([resume_in_keys()] if paused else [])]
    steps += [stop_survivor(incident, lift), lift_survivor(incident, lift)]
    steps += [drop_keys(incident), _release(survivor), start_survivor(incident)]
    for name in incident.others:
        steps += [_release(name), _start_again(name, incident)]
    for loser in incident.losers:
        steps += [_release(loser.name), _rejoin(loser, incident)]
    # From then on who leads is what this changes; until then another leader would make it another incident.
    turn = f"silence-{lift.holder}" if lift.holder in names else f"start-{survivor}"
    at = [step.id for step in steps].index(turn)
    return (*steps[:at], *(replace(step, moves=step.moves | {"leader"}) for step in steps[at:]))


def _mute(name: str, incident: Incident, pinned: Pinned) -> list[Step]:
    return [hold_member(name, incident, pinned), silence(name)]


def _keep(loser: Loser, incident: Incident, pinned: Pinned) -> list[Step]:
    return [
        keep_wal(loser, incident, pinned),
        stop(loser),
        keep_data(loser, incident, pinned),
        save_evidence(loser, pinned),
        *([quarantine(loser, incident, pinned)] if loser.is_contested or loser.barring else []),
        account(loser, pinned),
        open_copy(loser, incident, pinned),
    ]


def _release(name: str) -> Step:
    return replace(release({"node": name}), id=f"release-{name}")


def _evidence(incident: Incident) -> Step:
    """Who leads now, and that nobody who may lose is unseen."""
    survivor = incident.survivor

    def check(first: Snapshot, now: Snapshot) -> Verdict:
        keys, node = known(now.keys), now.node(survivor)
        sql = known(node.sql) if node else None
        if node is None:
            return blocked(f"there is no member {survivor}", "pgops health")
        if keys is None or sql is None:
            why = reason(now.keys) if keys is None else reason(node.sql)
            return unread(f"whether {survivor} leads cannot be read: {why}", "pgops health")
        obstacle = _obstacle(incident, now, keys, sql) or judge_left_out(incident, now) or _unready(incident, first)
        if obstacle is not None:
            return obstacle
        if not incident.losers:
            left = f"; {_left_out(incident)}" if incident.left_out else ""
            told = f"{survivor} leads, and no member that is seen has anything that it has not{left}"
            return satisfied(told + _told_of_barring(incident, first))
        told = "; ".join(f"{loser.name} {loser.parting.describe()}" for loser in incident.losers)
        lift = incident.lift
        if lift is not None:
            holds = f"{lift.holder or 'nobody'} holds the lock and timeline {lift.above} is known"
            return satisfied(f"{survivor} takes writes on timeline {lift.timeline}, {holds}; {told}")
        archived = first.archived_timelines
        if isinstance(archived, Unknown):
            told += f"; whether the archive knows a higher timeline than {survivor} is on is unknown: {archived.reason}"
        told += _told_of_barring(incident, first)
        return satisfied(f"{survivor} leads; {told}" + (f"; {_left_out(incident)}" if incident.left_out else ""))

    return Step(
        id="evidence",
        why="the survivor must take writes, and every member that could hold rows of its own must be seen",
        check=check,
        views=frozenset({View.DCS, View.SQL, View.REST, View.SERVICES}),
        hosts=frozenset(
            (
                *(loser.name for loser in incident.losers),
                *(name for name, how in incident.left_out.items() if how == HELD),
            )
        ),
    )


def _rejoin(loser: Loser, incident: Incident) -> Step:
    """Patroni clones it, since there is no data directory any more."""
    params: Params = {"node": loser.name}

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        copy = find_copy(loser, now)
        if isinstance(copy, str):
            return unread(f"the copies of {loser.name} cannot be seen: {copy}", "pgops health --check services")
        if copy is None or not copy.has("data") or not copy.accounted or copy.proof is None:
            return blocked(f"what {loser.name} has is not kept, counted and opened yet")
        return _judge_follower(loser.name, incident, now)

    return Step(
        id=f"rejoin-{loser.name}",
        why="without a data directory its Patroni makes a new one from the survivor; one member after the other",
        check=check,
        actions=lambda _first, now: start_actions(now.cluster, params),
        expect=lambda now: _following(loser.name, incident, predict(params, now, running=True)),
        views=frozenset({View.SERVICES, View.SQL, View.COPIES}),
        hosts=frozenset({loser.name}),
        risk=Risk.CHANGE,
        timeout_s=_DAY_S,
        usually="as long as a base backup takes",
    )


def _obstacle(incident: Incident, now: Snapshot, keys: DcsKeys, sql: SqlFacts) -> Verdict | None:
    """Why it must not survive as things are, if it must not."""
    survivor, lift = incident.survivor, incident.lift
    if sql.in_recovery or (keys.leader != survivor and lift is None):
        how = "takes no writes" if sql.in_recovery else f"does not lead: {keys.leader or 'nobody'} holds the lock"
        return blocked(f"{survivor} {how}", "name a member that takes writes as --survivor; see --dry-run without it")
    elsewhere = [name for name in led_elsewhere(now) if not _is_held(name, now)]
    if elsewhere:
        names = ", ".join(elsewhere)
        return blocked(
            f"there are two DCSs: the Patroni of {names} holds a leader lock that this one does not know, and would again",
            f"pgops node hold {elsewhere[0]}; then set the DCS right in its patroni.yml, without a reload or restart, which "
            "would rewind it; then run this again",
        )
    if incident.unseen:
        told = "; ".join(f"{name}: {why}" for name, why in sorted(incident.unseen.items()))
        name = min(incident.unseen)
        without = (
            f"mend that, or leave it as it is: --without {name}={OFF} where its host has no power, or pgops node hold {name} "
            f"and --without {name}={HELD}"
        )
        return unread(
            f"not every member can be seen, and an unreachable one is not a stopped one: {told}",
            "mend that first; --without is for a survivor that leads" if lift else without,
        )
    holder = now.node(lift.holder) if lift and lift.holder else None
    if holder is not None and holder.name != survivor and known(holder.rest) is None:
        return blocked(
            f"{holder.name} holds the lock, and its Patroni does not answer ({reason(holder.rest)}): who leads may change",
            "wait until its lease ended (ttl), then look again",
        )
    if lift is not None and incident.left_out:
        return blocked(
            f"{survivor} is on timeline {lift.timeline} and {lift.holder or 'nobody'} holds the lock: a member that is "
            f"left as it is ({', '.join(sorted(incident.left_out))}) could take the lock, or lead others astray",
            "make it reachable, and leave --without out",
        )
    return None


def _left_out(incident: Incident) -> str:
    names = ", ".join(sorted(incident.left_out))
    return f"what {names} alone may have is left as it is: run this again once it is back"


def _is_held(name: str, now: Snapshot) -> bool:
    state = find_service({"node": name}, now)
    return not isinstance(state, str) and state.held


def _unready(incident: Incident, first: Snapshot) -> Verdict | None:
    """Before any Patroni is killed: why what is to be kept could not be found any more, or not be moved aside."""
    places = {loser.name: loser.data_dir for loser in incident.losers if not loser.config.data_dir}
    if incident.lift is not None and not incident.lift.config.data_dir:
        places[incident.survivor] = incident.lift.data_dir
    if places:
        return blocked(
            f"where the data of {', '.join(places)} lies is told by its server alone, which is stopped on the way",
            f"set in pgops.yml: {'; '.join(f'hosts.{name}.data_dir: {place}' for name, place in places.items())}",
        )
    nodes = {loser.name: first.node(loser.name) for loser in incident.losers}
    branches = {name: known(node.branch) for name, node in nodes.items() if node is not None}
    told = [f"{name}: {why}" for name, branch in branches.items() if branch is not None for why in branch.fixed]
    if not told:
        return None
    return blocked(
        f"what a loser has is kept by moving it aside, which cannot be done: {'; '.join(told)}",
        "let PostgreSQL's user write the directory above it; a volume of its own can only be kept by a snapshot of it",
    )


def _start_again(name: str, incident: Incident) -> Step:
    """Its PostgreSQL ran on as a standby of the survivor; its Patroni looks after it again."""
    params: Params = {"node": name}

    return Step(
        id=f"start-{name}",
        why="a member that has nothing of its own goes on as it is",
        check=lambda _first, now: _judge_follower(name, incident, now),
        actions=lambda _first, now: start_actions(now.cluster, params),
        expect=lambda now: _following(name, incident, predict(params, now, running=True)),
        views=frozenset({View.SERVICES, View.SQL}),
        hosts=frozenset({name}),
        risk=Risk.CHANGE,
        timeout_s=600.0,
        usually="seconds",
    )


def _judge_follower(name: str, incident: Incident, now: Snapshot) -> Verdict:
    """Whether its Patroni runs, and it streams from the survivor."""
    state = find_service({"node": name}, now)
    if isinstance(state, str):
        return unread(f"the services of {name} cannot be seen: {state}", "pgops health --check services")
    if not state.running:
        return needed(f"Patroni of {name} does not run ({state.state})")
    why = _not_streaming(now.node(name), now.node(incident.survivor))
    return satisfied(f"{name} streams from {incident.survivor}") if why is None else needed(why)


def _following(name: str, incident: Incident, after: Snapshot) -> Snapshot:
    """The snapshot in which this member streams from the survivor."""
    node, survivor = after.node(name), after.node(incident.survivor)
    sql, source = (known(each.sql) if each else None for each in (node, survivor))
    if node is None or sql is None or source is None:
        return after
    receiver = WalReceiver("streaming", source.timeline, source.flush_bytes, None)
    follows = replace(sql, in_recovery=True, timeline=source.timeline, receiver=Known(receiver))
    return after.with_node(replace(node, sql=Known(follows)))


def _told_of_barring(incident: Incident, first: Snapshot) -> str:
    """What keeps the survivor's archiver from going on, and no step of this takes away; empty: nothing that is known of."""
    if isinstance(first.barring, Unknown):
        return f"; {first.barring.reason}"
    taken = {item for loser in incident.losers for item in loser.barring}
    left = [item for item in known(first.barring) or () if incident.survivor in item.strangers and item not in taken]
    if not left:
        return ""
    names, places = (", ".join(sorted(found)) for found in ({item.name for item in left}, {item.path for item in left}))
    return (
        f"; the archive has another {names} than {incident.survivor}'s, which nobody who loses has, and takes nothing of "
        f"its: keep {places} (pgbackrest repo-get), remove it there (pgbackrest repo-rm), and archiving goes on"
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


def _afterwards(params: Params, pinned: Pinned, first: Snapshot) -> str | None:
    """The rows are in the copies; and where a number was taken twice, a backup may be of either branch."""
    incident = find_incident(params, pinned, first)
    if not incident.losers:
        return None
    names = " and ".join(loser.name for loser in incident.losers)
    told = f"pgops salvage {pinned.run_id}, which reads the rows that {names} alone had"
    if any(loser.is_contested for loser in incident.losers):
        return f"pgops backup --type full, since one that was made behind the fork may be of either branch; then {told}"
    return told


def _goal(params: Params, cluster: str) -> str:
    return f"let {params['survivor']} survive the split brain of the cluster {cluster}, and keep what the others have"


RECOVER = Procedure(
    name=PROCEDURE,
    goal=_goal,
    views=frozenset(
        {
            View.DCS,
            View.REST,
            View.SQL,
            View.HOST,
            View.SERVICES,
            View.BRANCH,
            View.COPIES,
            View.BACKUP,
            View.SAME_TIMELINE,
            View.TIMELINES,
        }
    ),
    steps=_steps,
    # Members come and go in such an incident; who leads, and whose data it is, must not.
    premises=("leader", "system_identifier", "key:config"),
    afterwards=_afterwards,
)
"""Mend a split brain in favour of the member that the operator named."""
