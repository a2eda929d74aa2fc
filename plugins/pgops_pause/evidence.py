"""What a resume would destroy: Patroni demotes a primary without the lock at once, and rewinds what lies on another branch.

Source: Patroni, patroni/ha.py: a lock-less primary is demoted `immediate-nolock`, then pg_rewind runs.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgops.checklist import find_critical
from pgops.observe.snapshot import Snapshot, View
from pgops.plan.step import Risk, Step, Verdict, blocked, needed, satisfied
from pgops.readings import Known, known, reason

VIEWS = frozenset({View.REST, View.SQL, View.HOST, View.DEEP})
_BRANCHES = ("timeline", "system-id", "ahead", "wal-identity", "history-files")
"""The health checks whose critical findings mean rows that only one member has, or a foreign data directory."""


def evidence(without: frozenset[str]) -> Step:
    """Blocks while there is anything that a resume would destroy, or a member that could hold it unseen."""

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        keys = known(now.keys)
        if keys is None:
            return needed(f"the DCS cannot be read: {reason(now.keys)}")
        if not keys.paused:
            return satisfied("the cluster is not paused")
        for text, next_step in _find(now, without):
            return blocked(text, next_step)
        return satisfied("one primary at most, which holds the lock; no member is on another branch")

    return Step(
        id="evidence",
        why="without the pause Patroni demotes a second primary and rewinds its commits away, within seconds",
        check=check,
        views=VIEWS,
        risk=Risk.READ,
        timeout_s=30.0,
    )


def _find(now: Snapshot, without: frozenset[str]) -> Iterator[tuple[str, str | None]]:
    keep = "resume would destroy evidence: "
    if len(now.primaries) > 1:
        names = ", ".join(node.name for node in now.primaries)
        yield f"{keep}{names} all take writes", f"pgops health --deep --cluster {now.cluster.name}"
    for node in now.primaries:
        if node.name != now.leader:
            yield (
                f"{keep}{node.name} takes writes without the lock, which {now.leader or 'nobody'} holds",
                f"pgops health --deep --cluster {now.cluster.name}",
            )
    for finding in find_critical(now, _BRANCHES):
        yield f"{keep}{f'{finding.subject}: ' if finding.subject else ''}{finding.text}", finding.next_step
    keys = known(now.keys)
    if keys is not None and keys.failover:
        yield (
            "a failover or switchover is waiting in the DCS, and would be carried out",
            "pgops health --check failover-key",
        )
    for node in now.nodes:
        if node.name in without or isinstance(node.sql, Known):
            continue
        control = known(node.control)
        if control is not None and control.state.startswith("shut down"):
            continue
        yield (
            f"{node.name} cannot be seen, and may hold rows that nobody else has: {reason(node.sql)}",
            f"look at it; if it is to be left out: pgops resume --without {node.name}",
        )
