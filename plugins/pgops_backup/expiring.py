"""The procedure `backup-expire`: what the retention no longer keeps goes, or one backup with all that depend on it. Pure."""

from __future__ import annotations

from pgops.observe.snapshot import Snapshot, View
from pgops.plan.step import Params, Part, Pinned, Procedure, Step, Verdict, blocked, needed, satisfied, unread
from pgops.readings import known
from pgops_backup.going import Going, find_going, find_left, tell, without
from pgops_backup.job_steps import halt, tidy
from pgops_backup.removing import LOOK, expire_job, refuse_broken, repo_of, stand_alone

_LOOK_AT_SET = frozenset({View.BACKUP})


def _steps(params: Params, pinned: Pinned, first: Snapshot) -> tuple[Part, ...]:
    going = find_going(params, first)
    if not going:
        return (_choose(params),)
    return (
        _choose(params),
        *stand_alone(_node(params), first),
        _expire(params, pinned, going),
        _prove(params, going),
        tidy(_node(params), pinned.run_id),
    )


def _node(params: Params) -> str:
    return str(params["node"])


def _hosts(params: Params) -> frozenset[str]:
    return frozenset({_node(params)})


def _views(params: Params) -> frozenset[View]:
    return LOOK if params.get("set") is None else _LOOK_AT_SET


def _choose(params: Params) -> Step:
    def check(first: Snapshot, now: Snapshot) -> Verdict:
        going = find_going(params, now)
        if going.fault is not None:
            return unread(going.fault, going.next_step)
        refused = _refuse(params, going, find_going(params, first), now)
        if refused is not None:
            return refused
        if not going:
            label = params.get("set")
            return satisfied("the retention keeps all" if label is None else f"there is no backup {label}")
        node = now.node(_node(params))
        return satisfied(f"what goes: {tell(going, known(node.stanza) if node else None, now.taken_at)}")

    return Step(
        id="choose",
        why="what goes is named first, and a chain to restore from must be left in each repository",
        check=check,
        views=_views(params),
        hosts=_hosts(params),
    )


def _refuse(params: Params, going: Going, planned: Going, now: Snapshot) -> Verdict | None:
    node = now.node(_node(params))
    stanza = known(node.stanza) if node else None
    if stanza is None or not going:
        return None
    if stanza.backup_running:
        return blocked("pgBackRest makes a backup on this host now", "wait for it: pgops backup list")
    refused = refuse_broken(going, stanza, now)
    if refused is not None:
        return refused
    if params.get("set") is not None and len(going.repositories) > 1:
        there = ", ".join(map(str, going.repositories))
        return blocked(f"{params['set']} is in the repositories {there}", "say which: --repo")
    more = sorted(label for _, label in going.backups - planned.backups)
    if more and planned:
        return blocked(f"more would go than was planned: {', '.join(more)}", "pgops backup expire --dry-run")
    return None


def _expire(params: Params, pinned: Pinned, planned: Going) -> Step:
    label = params.get("set")
    why = "what the retention of pgBackRest's configuration no longer keeps goes"
    return expire_job(
        params,
        pinned,
        why=why if label is None else "that backup goes, with all that depend on it; it cannot be brought back",
        still="it is still there",
        label=None if label is None else str(label),
        repo=repo_of(params) if label is None else planned.repositories[0],
        expect=lambda now: without(_node(params), planned.backups, now),
    )


def _prove(params: Params, planned: Going) -> Step:
    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        left = find_left(params, planned, now)
        if left.fault is not None:
            return needed(left.fault)
        node = now.node(_node(params))
        told = tell(left, known(node.stanza) if node else None, now.taken_at)
        return needed(f"still there: {told}") if left else satisfied("nothing of it is left")

    return Step(
        id="gone",
        why="it counts once the repository shows that it is gone",
        check=check,
        views=_views(params),
        hosts=_hosts(params),
    )


def _way_back(params: Params, pinned: Pinned, _first: Snapshot) -> tuple[Part, ...]:
    """What is gone is gone; the next expiry removes what this one left."""
    return halt(_node(params), pinned.run_id), tidy(_node(params), pinned.run_id)


def _goal(params: Params, cluster: str) -> str:
    label = params.get("set")
    if label is not None:
        return f"remove the backup {label} of the cluster {cluster}, and all that depend on it"
    return f"remove what the retention of the cluster {cluster} no longer keeps"


EXPIRE = Procedure(
    name="backup-expire",
    goal=_goal,
    views=LOOK | {View.JOBS},
    steps=_steps,
    way_back=_way_back,
    premises=("system_identifier",),
    hosts=_hosts,
    lock="backup",
    settles=True,
)
"""Parameters: node, set, repo."""
