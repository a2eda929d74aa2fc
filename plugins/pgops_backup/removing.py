"""The steps of every expiry, by itself and after a backup: what goes is named, a chain is left, then the job. Pure.

What goes is looked at before the job and never while it runs: pgBackRest's dry run takes the lock that the job needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pgops.observe.facts import StanzaFacts
from pgops.observe.snapshot import Snapshot, View
from pgops.pgbackrest.commands import expire_argv
from pgops.plan.step import Params, Pinned, Risk, Step, Verdict, blocked, failed, needed, satisfied, unchanged
from pgops.readings import Pending, Unknown, known
from pgops_backup.going import Going, find_broken, find_going, tell
from pgops_backup.job_steps import run_job, stanza_of

LOOK = frozenset({View.BACKUP, View.EXPIRY})

_SPARES = (2, 59)
"""The first pgBackRest whose expiry leaves alone what another host is making; source: its release notes."""


def refuse_broken(going: Going, stanza: StanzaFacts, now: Snapshot) -> Verdict | None:
    """Blocked where no chain to restore from would be left in a repository."""
    broken = find_broken(stanza, going.backups)
    if broken is None:
        return None
    return blocked(
        f"no full backup of this database without error would be left in repository {broken}; "
        f"it would take: {tell(going, stanza, now.taken_at)}",
        "make another one first: pgops backup --type full",
    )


def repo_of(params: Params) -> int | None:
    """The repository that was named; None: every one."""
    repo = params.get("repo")
    return None if repo is None else int(repo)


def expire_job(
    params: Params,
    pinned: Pinned,
    *,
    why: str,
    still: str,
    label: str | None = None,
    repo: int | None = None,
    expect: Callable[[Snapshot], Snapshot] = unchanged,
) -> Step:
    """The job: by the retention or, with `label`, that backup and what depends on it. `expect` is what it leaves."""
    node = str(params["node"])
    return run_job(
        node,
        f"expire-{pinned.run_id}",
        id="expire",
        why=why,
        unstarted=lambda _now: needed(still),
        argv=lambda now: expire_argv(stanza_of(node, now), backup_set=label, repo=repo),
        expect=expect,
        risk=Risk.CHANGE if label is None else Risk.DESTROY,
    )


def choose_after_backup(params: Params) -> Step:
    """What the retention no longer keeps once the run's own backup is there. It is told then, and no plan can foresee it.

    The backup is good whatever this says: a refusal ends the run, and leaves nothing to go on with.
    """
    node = str(params["node"])

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        found = now.node(node)
        stanza = known(found.stanza) if found else None
        if found is not None and isinstance(found.expiry, Pending):
            note = warn_of_others(node, stanza)
            return needed(
                "what goes depends on the backup that this run makes: pgBackRest's dry run tells it then"
                + (f"; {note}" if note else "")
            )
        going = find_going(params, now)
        if going.fault is not None:
            return _fail(going.fault, going.next_step) if going.settled else needed(going.fault)
        if stanza is None or not going:
            return satisfied("the retention keeps all")
        if stanza.backup_running:
            return needed("pgBackRest makes another backup on this host now")
        refused = refuse_broken(going, stanza, now)
        if refused is not None:
            return _fail(refused.reason, refused.next_step)
        return satisfied(f"what goes: {tell(going, stanza, now.taken_at)}")

    return Step(
        id="choose",
        why="what goes is named first, and never the last full backup of this database without error",
        check=check,
        views=LOOK,
        hosts=frozenset({node}),
        timeout_s=60.0,
    )


def _fail(why: str, next_step: str | None) -> Verdict:
    return failed(f"the backup is made and proved, but nothing old was removed: {why}", next_step)


def await_choice(node: str, now: Snapshot) -> Snapshot:
    """The snapshot in which the step `choose` is still to tell what goes, as a plan foresees it."""
    found = now.node(node)
    return now if found is None else now.with_node(replace(found, expiry=Pending("choose")))


def stand_alone(node: str, first: Snapshot) -> tuple[Step, ...]:
    """Where pgBackRest's expiry does not spare what other hosts make: warn of it, and look at the other members."""
    seen = first.node(node)
    note = warn_of_others(node, known(seen.stanza) if seen else None)
    if note is None:
        return ()

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        others = [(item.name, item.stanza) for item in now.nodes if item.name != node]
        busy = [name for name, stanza in others if (facts := known(stanza)) is not None and facts.backup_running]
        if busy:
            return blocked(
                f"pgBackRest makes a backup on {', '.join(busy)} now, and this expiry may remove it",
                "wait for it: pgops backup list",
            )
        unseen = [name for name, stanza in others if isinstance(stanza, Unknown)]
        return satisfied(f"warning: {note}" + (f"; not seen: {', '.join(unseen)}" if unseen else ""))

    step = Step(
        id="alone",
        why="nothing else of pgBackRest may work on this repository meanwhile; members are looked at when it runs",
        check=check,
        views=frozenset({View.BACKUP}),
    )
    return (step,)


def warn_of_others(node: str, stanza: StanzaFacts | None) -> str | None:
    """What must not run beside an expiry, for people; None: this pgBackRest spares it."""
    version = stanza.pgbackrest_version if stanza else None
    if version is not None and version >= _SPARES:
        return None
    which = (
        f"which pgBackRest {node} has is not known, and before 2.59 its expiry"
        if version is None
        else f"the expiry of pgBackRest {'.'.join(map(str, version))} on {node} (before 2.59)"
    )
    return (
        f"{which} may remove a backup that another host is making; the lock keeps out pgops alone, so no `pgbackrest backup` "
        "(its expire-auto expires too) and no `pgbackrest expire` may run on another host: cron, timers, by hand"
    )
