"""Who is on which branch: each member seen by itself, and where its branch parts from that of another one."""

from __future__ import annotations

from dataclasses import dataclass

from pgops.observe.facts import BranchFacts
from pgops.observe.lsn import format_lsn
from pgops.observe.snapshot import Node, Snapshot
from pgops.observe.timelines import Path, Piece, path_to
from pgops.readings import known, reason
from pgops_recover.forks import Fork, find_fork, pieces_after


@dataclass(frozen=True)
class Branch:
    """The branch of one member: its timelines, and where its WAL ends. `serving`: its PostgreSQL runs.

    `takes_writes` None: whether its PostgreSQL does could not be told.
    """

    node: str
    path: Path
    end_bytes: int
    serving: bool
    takes_writes: bool | None

    @property
    def timeline(self) -> int:
        """The present one."""
        return self.path[-1].timeline


@dataclass(frozen=True)
class Parting:
    """How a member stands to the survivor. `pieces` are what it has and the survivor has not; empty: nothing.

    `end_bytes` is where its WAL ended when it was looked at.
    """

    node: str
    fork: Fork | None
    pieces: tuple[Piece, ...]
    end_bytes: int
    takes_writes: bool

    @property
    def diverged(self) -> bool:
        """Whether it must not go on as it is: it has WAL of its own, or takes writes."""
        return bool(self.pieces) or self.takes_writes

    def describe(self) -> str:
        """One clause."""
        if self.fork is None or not self.pieces:
            return "has nothing that the survivor has not" + (", but takes writes" if self.takes_writes else "")
        own_bytes = self.end_bytes - self.fork.bytes
        where = f"timeline {self.fork.timeline} at {format_lsn(self.fork.bytes)}"
        return f"parts from it on {where} and has {own_bytes} bytes of WAL of its own" + (
            ", and takes writes" if self.takes_writes else ""
        )


def find_branch(node: Node) -> Branch | str:
    """The branch of a member, or why it cannot be told."""
    facts = known(node.branch)
    if facts is None:
        return reason(node.branch)
    if not facts.there:
        return "it has no data directory"
    sql = known(node.sql)
    if sql is not None and sql.timeline is not None:
        end_bytes = sql.receive_bytes or sql.replay_bytes if sql.in_recovery else sql.flush_bytes
        end = None if end_bytes is None else (sql.timeline, end_bytes)
        return _branch(node.name, facts, end, takes_writes=not sql.in_recovery)
    if facts.serving:
        return f"its PostgreSQL runs, but cannot be asked: {reason(node.sql)}"
    end = None if None in (facts.end_timeline, facts.end_bytes) else (facts.end_timeline or 0, facts.end_bytes or 0)
    return _branch(node.name, facts, end, takes_writes=False)


def _branch(name: str, facts: BranchFacts, end: tuple[int, int] | None, *, takes_writes: bool) -> Branch | str:
    if end is None:
        return "the end of its WAL cannot be read"
    timeline, end_bytes = end
    if timeline > 1 and timeline not in facts.histories:
        return f"the history file of its timeline {timeline} is missing"
    try:
        return Branch(name, path_to(timeline, facts.histories), end_bytes, facts.serving, takes_writes)
    except ValueError as fault:
        return f"the history file of timeline {timeline}: {fault}"


def compare(member: Branch, survivor: Branch) -> Parting | str:
    """How a member stands to the survivor, or why that cannot be told."""
    writes = bool(member.takes_writes)
    try:
        fork = find_fork(member.path, survivor.path)
    except ValueError as fault:
        return str(fault)
    if fork is None:
        if writes:
            return f"both are on timeline {member.timeline} and take writes: which WAL is whose, no history file tells"
        if member.end_bytes > survivor.end_bytes:
            return f"it is on timeline {member.timeline} as the survivor, but ahead of it: two branches with one number"
        return Parting(member.node, None, (), member.end_bytes, writes)
    # One that takes writes may have some of its own any moment, and a timeline that the survivor is not from leads astray.
    descends = member.timeline in [piece.timeline for piece in survivor.path]
    if member.end_bytes <= fork.bytes and descends and not writes:
        return Parting(member.node, fork, (), member.end_bytes, writes)
    return Parting(member.node, fork, pieces_after(member.path, fork), member.end_bytes, writes)


def compare_all(now: Snapshot, survivor: str) -> dict[str, Parting | str]:
    """Every other configured member against the survivor, by name; why not, where that cannot be told."""
    node = now.node(survivor)
    if node is None:
        return {}
    own = find_branch(node)
    found: dict[str, Parting | str] = {}
    for other in now.nodes:
        if other.name == survivor:
            continue
        branch = find_branch(other)
        if isinstance(own, str):
            found[other.name] = f"the branch of {survivor} cannot be told: {own}"
        else:
            found[other.name] = branch if isinstance(branch, str) else compare(branch, own)
    return found
