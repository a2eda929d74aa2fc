"""The procedure `backup`. Pure.

The backup is a job that outlives pgops and the terminal, and carries the run's id as its annotation, so that it is found
again in the repository. pgBackRest's own expiry is off: it is a step under the same lock, since before pgBackRest 2.59 an
expiry could remove a backup that another host was making (its release notes). What it will remove is told once the backup
is there, by the dry run that `pgops backup expire` is planned from.
"""

from __future__ import annotations

from pgops.observe.snapshot import Snapshot, View
from pgops.pgbackrest.commands import Standby, backup_argv
from pgops.plan.step import Params, Part, Pinned, Procedure, Step, Verdict, blocked, needed, satisfied, unread
from pgops_backup.job_steps import halt, run_job, stanza_of, tidy
from pgops_backup.leadership import prove_leader
from pgops_backup.need import Need, judge_need
from pgops_backup.removing import await_choice, choose_after_backup, expire_job, repo_of
from pgops_backup.verifying import find_made, judge_made

_LEADER = frozenset({View.REST, View.SQL})
_WATCH = frozenset({View.JOBS, View.BACKUP})
_PROOF = _LEADER | {View.BACKUP, View.ARCHIVE, View.JOBS}
_STANDBY: dict[str, Standby] = {"primary": "n", "replica": "y", "prefer-replica": "prefer"}


def _steps(params: Params, pinned: Pinned, first: Snapshot) -> tuple[Part, ...]:
    need = judge_need(params, first)
    if need.kind is None:
        return _lead(params), _due(params, need)
    expiring = () if params["no_expire"] else (choose_after_backup(params), _expire(params, pinned))
    return (
        _lead(params),
        _due(params, need),
        _make(params, pinned, need),
        _trust(params, pinned),
        *expiring,
        tidy(str(params["node"]), pinned.run_id),
    )


def _hosts(params: Params) -> frozenset[str]:
    return frozenset({str(params["node"])})


def _lead(params: Params) -> Step:
    node = str(params["node"])
    return Step(
        id="leader",
        why="only the leader's backup is one of the cluster",
        check=lambda _first, now: prove_leader(node, now),
        views=_LEADER,
        hosts=_hosts(params),
    )


def _due(params: Params, need: Need) -> Step:
    def check(_first: Snapshot, _now: Snapshot) -> Verdict:
        if need.fault is not None:
            return (unread if need.unread else blocked)(need.fault, need.next_step)
        return satisfied(need.why if need.kind else f"not due: {need.why}")

    return Step(
        id="due", why="the repository tells whether one is due", check=check, views=frozenset(), hosts=_hosts(params)
    )


def _make(params: Params, pinned: Pinned, need: Need) -> Step:
    node, kind = str(params["node"]), need.kind or "full"

    def judge_made_before(now: Snapshot) -> Verdict:
        # With a job its end counts: the label shows in the repository before pgBackRest has freed its lock.
        made = find_made(node, pinned.run_id, now)
        return (
            satisfied(f"{made.label} is in the repository") if made else needed(f"{_article(kind)} backup: {need.why}")
        )

    return run_job(
        node,
        f"backup-{pinned.run_id}",
        id="backup",
        why=f"{_article(kind)} backup is made by a job that goes on even when this command does not",
        unstarted=judge_made_before,
        argv=lambda now: backup_argv(
            stanza_of(node, now),
            kind,
            annotations={"pgops-run": pinned.run_id},
            standby=_STANDBY[str(params["source"])],
            repo=repo_of(params),
        ),
        views=frozenset({View.BACKUP}),
        usually="from seconds to hours, with the size",
    )


def _trust(params: Params, pinned: Pinned) -> Step:
    return Step(
        id="trust",
        why="a backup counts once it is in the repository, without error, with all its WAL, and of the leader's timeline",
        check=lambda first, now: judge_made(str(params["node"]), pinned.run_id, first, now),
        expect=lambda now: await_choice(str(params["node"]), now),
        views=_PROOF,
        hosts=_hosts(params),
        timeout_s=120.0,
    )


def _expire(params: Params, pinned: Pinned) -> Step:
    return expire_job(
        params,
        pinned,
        why="old backups and WAL go by the retention of pgBackRest's configuration, now that a newer one is proved",
        still="what the retention no longer keeps goes",
        repo=repo_of(params),
    )


def _way_back(params: Params, pinned: Pinned, _first: Snapshot) -> tuple[Part, ...]:
    """A backup that was cut off needs no cleaning up in the repository: pgBackRest's next one takes up what was copied."""
    node = str(params["node"])
    return halt(node, pinned.run_id, keeps=", and keeps what it copied for the next backup"), tidy(node, pinned.run_id)


def _article(kind: str) -> str:
    return f"an {kind}" if kind == "incr" else f"a {kind}"


def _goal(params: Params, cluster: str) -> str:
    return f"make {_article(str(params['kind']))} backup of the cluster {cluster} on {params['node']}"


BACKUP = Procedure(
    name="backup",
    goal=_goal,
    views=_LEADER | _WATCH,
    steps=_steps,
    way_back=_way_back,
    premises=("system_identifier",),
    hosts=_hosts,
    lock="backup",
    settles=True,
)
"""Parameters: node, kind, source, repo, if_older_than_s, no_expire."""
