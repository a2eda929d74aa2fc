"""Who is on which branch: each member seen by itself, and where its branch parts from that of another one."""

from __future__ import annotations

from dataclasses import dataclass

from pgops.observe.branch_facts import NOT_PARTED, BranchFacts, SameTimeline, StoredWal
from pgops.observe.branches import wal_end
from pgops.observe.forks import Fork, ancestors_of, find_fork, pieces_after
from pgops.observe.lsn import format_lsn
from pgops.observe.snapshot import Node, Snapshot
from pgops.observe.timelines import Path, Piece, path_to
from pgops.readings import Known, Reading, Skipped, known, reason, within


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
    """How a member stands to the survivor. `pieces` are what it has and the survivor has not; empty: nothing. `ancestors` are
    the timelines that it had left before the fork.

    `end_bytes` is where its WAL ended when it was looked at. `contested` is a timeline of which both wrote something of
    their own behind the fork, None: there is none; `stored` is then what the archive has of it from the fork on.
    """

    node: str
    fork: Fork | None
    pieces: tuple[Piece, ...]
    end_bytes: int
    takes_writes: bool
    contested: int | None = None
    stored: Reading[tuple[StoredWal, ...]] = NOT_PARTED
    ancestors: tuple[Piece, ...] = ()

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
        twice = f" under the same number, {self.contested}" if self.contested is not None else ""
        return f"parts from it on {where} and has {own_bytes} bytes of WAL of its own{twice}" + (
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
    if sql is None and facts.serving:
        return f"its PostgreSQL runs, but cannot be asked: {reason(node.sql)}"
    return _branch(node.name, facts, wal_end(node), takes_writes=sql is not None and not sql.in_recovery)


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


def compare(member: Branch, survivor: Branch, shared: Reading[SameTimeline]) -> Parting | str:
    """How a member stands to the survivor, or why that cannot be told.

    `shared` is whether the last timeline that their histories share is one timeline indeed, by their WAL.
    """
    writes = bool(member.takes_writes)
    try:
        fork = find_fork(member.path, survivor.path)
    except ValueError as fault:
        return str(fault)
    seen = within(shared, lambda facts: facts.fork_bytes)
    if fork is None and not isinstance(seen, Known):
        return f"both are on timeline {member.timeline}, and whether it is one branch is not known: {reason(seen)}"
    stored: Reading[tuple[StoredWal, ...]] = NOT_PARTED
    if isinstance(shared, Known) and isinstance(seen, Known) and seen.value is not None:
        fork, stored = Fork(shared.value.timeline, seen.value), shared.value.stored
    if fork is None:
        if member.end_bytes <= survivor.end_bytes and not writes:
            return Parting(member.node, None, (), member.end_bytes, writes)
        # What the survivor writes from now on is another branch's, with the same number.
        fork = Fork(member.timeline, min(member.end_bytes, survivor.end_bytes))
    pieces, theirs = pieces_after(member.path, fork), pieces_after(survivor.path, fork)
    # One that takes writes may have some of its own any moment, and a timeline that the survivor is not from leads astray.
    descends = member.timeline in [piece.timeline for piece in survivor.path]
    if member.end_bytes <= fork.bytes and descends and not writes:
        return Parting(member.node, fork, (), member.end_bytes, writes)
    both = {piece.timeline for piece in pieces} & {piece.timeline for piece in theirs}
    older = ancestors_of(member.path, fork)
    return Parting(member.node, fork, pieces, member.end_bytes, writes, min(both, default=None), stored, older)


def find_shared(now: Snapshot, one: str, other: str) -> Reading[SameTimeline]:
    """What comparing the WAL of these two said."""
    pairs = now.same_timeline
    if not isinstance(pairs, Known):
        return pairs
    found = next((pair for pair in pairs.value if {pair.one, pair.other} == {one, other}), None)
    return Skipped("neither takes writes, so their WAL was not compared") if found is None else Known(found)


def led_elsewhere(now: Snapshot) -> list[str]:
    """The members whose Patroni holds a leader lock that is not in our DCS: they follow another one.

    Source: Patroni docs, rest_api.rst (GET /primary is 200 where the member has the lock, or while nobody can see the DCS).
    """
    return [
        node.name
        for node in now.nodes
        if known(now.keys) is not None
        and node.name != now.leader
        and known(node.primary_code) == 200
        and (rest := known(node.rest)) is not None
        and not rest.cluster_unlocked
        and not rest.failsafe_active
        and not rest.pause
    ]


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
            shared = find_shared(now, other.name, survivor)
            found[other.name] = branch if isinstance(branch, str) else compare(branch, own, shared)
    return found
