"""What a recovery is about, pinned when its plan is made: the survivor, the losers, and where each one parts from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pgops.config.model import HostConfig
from pgops.hosts.remote.program_paths import program_in
from pgops.observe.archive import archive_places
from pgops.observe.branch_facts import CopyFacts, StoredWal
from pgops.observe.copies import copy_path
from pgops.observe.lsn import format_lsn, segment_timeline
from pgops.observe.places import data_dir_of, segment_bytes_of
from pgops.observe.snapshot import Node, Snapshot
from pgops.observe.timelines import Path, path_to
from pgops.plan.step import Params, Pinned
from pgops.readings import known, reason
from pgops_recover.diagnosing import Branch, Parting, compare_all, find_branch

PROCEDURE = "recover-split-brain"
SUPERUSER = "postgres"
"""Who may read every table of a copy, where nobody says another name."""
OFF, HELD = HOWS = ("off", "held")
"""How a member that is left out is kept from coming back: its host has no power, or its Patroni is held."""
_SIDE_SEGMENTS = 2
"""So many segments before the fork are kept too: the tables of transactions that were open there are named in them."""


@dataclass(frozen=True)
class Loser:
    """One member that goes: where its files are, and what only it has.

    `archives` are the places that it archives into: (repository, archive id). `reached_bytes` is how far its WAL was whole
    when it was looked at: it may go on. `barring` are `.partial` files of its in the archive, in the place of the survivor's.
    `wrote`: it is, or was to its end, a primary on the contested timeline, and has nothing of that from the survivor.
    """

    name: str
    config: HostConfig
    data_dir: str
    parting: Parting
    segment_bytes: int
    run_id: str
    stanza: str | None = None
    archives: tuple[tuple[int, str], ...] = ()
    reached_bytes: int | None = None
    barring: tuple[StoredWal, ...] = ()
    wrote: bool = False

    @property
    def keep(self) -> str:
        """The directory of its safety copy."""
        return copy_path(self.data_dir, self.run_id)

    def program(self, name: str) -> str:
        """One of PostgreSQL's programs there."""
        return program_in(self.config.bin_dir, name)

    @property
    def from_segment(self) -> str:
        """Log and segment, in sixteen hex signs, from which on WAL is kept: a little before the fork."""
        at = self.parting.fork.bytes if self.parting.fork else self.parting.end_bytes
        number = max(at // self.segment_bytes - _SIDE_SEGMENTS, 0)
        per_log = 0x100000000 // self.segment_bytes
        return f"{number // per_log:08X}{number % per_log:08X}"

    @property
    def is_contested(self) -> bool:
        """Whether there is an archive that may have its WAL of a timeline of which the survivor wrote something as well."""
        return self.stanza is not None and self.parting.contested is not None

    @property
    def contested_from(self) -> str | None:
        """Where its part of a timeline begins whose number the survivor uses as well, as an LSN; None: there is none."""
        begins = [piece.begins_bytes for piece in self.parting.pieces if piece.timeline == self.parting.contested]
        return format_lsn(begins[0]) if begins else None

    @property
    def lineage(self) -> dict[str, object]:
        """Its branch, as the programs on hosts want it: what only it has, and how it came there."""
        older = [
            {"timeline": piece.timeline, "to": format_lsn(piece.ends_bytes or 0)} for piece in self.parting.ancestors
        ]
        return {"pieces": self.pieces, "ancestors": older}

    @property
    def pieces(self) -> list[dict[str, object]]:
        """What only it has."""
        return [
            {
                "timeline": piece.timeline,
                "from": format_lsn(piece.begins_bytes),
                "to": None if piece.ends_bytes is None else format_lsn(piece.ends_bytes),
            }
            for piece in self.parting.pieces
        ]


@dataclass(frozen=True)
class Lift:
    """The survivor must go on above every timeline that was ever seen: it has not the lock, or is on a lower timeline.

    `above` is the highest that is known, `histories` (file name to text) take the numbers that other members used, and `own`
    are the names of those of the survivor that it has. `holder` is who holds the lock.
    """

    config: HostConfig
    data_dir: str
    holder: str | None
    timeline: int
    above: int
    histories: Mapping[str, str]
    own: tuple[str, ...]
    stanza: str | None

    def program(self, name: str) -> str:
        """One of PostgreSQL's programs on the survivor."""
        return program_in(self.config.bin_dir, name)


@dataclass(frozen=True)
class Incident:
    """A split brain as first seen. `unseen` (by name) are members of which it cannot be told whether they lose.

    `left_out` are those that stay as they are, each with how it is kept from coming back (`OFF` or `HELD`).
    `others` are members that have nothing which the survivor has not. `lift` None: the survivor leads, and stays as it is.
    `superuser` is the cluster's, as whom a copy is asked.
    """

    cluster: str
    system_identifier: str | None
    survivor: str
    losers: tuple[Loser, ...]
    unseen: Mapping[str, str]
    left_out: Mapping[str, str]
    others: tuple[str, ...]
    lift: Lift | None
    superuser: str = SUPERUSER


def find_incident(params: Params, pinned: Pinned, first: Snapshot) -> Incident:
    """What was seen first, from the survivor that the operator named."""
    survivor = str(params["survivor"])
    left_out = parse_left_out(str(params.get("without") or ""))
    losers, others, unseen = [], [], {}
    for name, parting in compare_all(first, survivor).items():
        if name in left_out:
            continue
        if isinstance(parting, str):
            unseen[name] = parting
        elif parting.diverged:
            found = _loser(first, name, survivor, parting, pinned.run_id)
            if isinstance(found, str):
                unseen[name] = found
            else:
                losers.append(found)
        else:
            others.append(name)
    node = first.node(survivor)
    sql = known(node.sql) if node else None
    identifier = sql.system_identifier if sql else None
    lift = _find_lift(first, survivor, losers)
    superuser = str(params.get("superuser") or SUPERUSER)
    return Incident(
        first.cluster.name, identifier, survivor, tuple(losers), unseen, left_out, tuple(others), lift, superuser
    )


def parse_left_out(text: str) -> dict[str, str]:
    """NAME=HOW,... as `without` has it. Raises ValueError with a sentence."""
    found: dict[str, str] = {}
    for item in filter(None, text.split(",")):
        name, _, how = item.partition("=")
        if not name or how not in HOWS:
            raise ValueError(f"{item!r} does not say how that member is kept from coming back")
        if found.get(name, how) != how:
            raise ValueError(f"{name} is named twice")
        found[name] = how
    return found


def _find_lift(first: Snapshot, survivor: str, losers: list[Loser]) -> Lift | None:
    """What the survivor needs to go on, where it takes writes, and another one would lead the members astray."""
    keys, node = known(first.keys), first.node(survivor)
    config = _config_of(first, survivor)
    own = find_branch(node) if node else "it is gone"
    if keys is None or node is None or config is None or isinstance(own, str) or not own.takes_writes or not losers:
        return None
    branches = [branch for other in first.nodes if isinstance(branch := find_branch(other), Branch)]
    place = data_dir_of(first, node)
    # A member that reads the archive follows the highest timeline there, be its writer long gone.
    archived = known(first.archived_timelines) or {}
    # A history file of another one's under a number of the survivor's leads astray as a higher one does.
    twice = _is_belied(own.path, archived) or any(
        loser.parting.contested not in (None, loser.parting.fork and loser.parting.fork.timeline) for loser in losers
    )
    highest = own.timeline >= max([*archived, *(branch.timeline for branch in branches)])
    if place is None or (keys.leader == survivor and highest and not twice):
        return None
    histories = dict(archived)
    for other in first.nodes:
        facts = known(other.branch)
        histories |= facts.histories if facts else {}
    ended = [entry.timeline + 1 for entry in keys.history]
    above = max([*ended, *histories, *(branch.timeline for branch in branches)])
    foreign = {_history_name(timeline): text for timeline, text in sorted(histories.items()) if timeline > own.timeline}
    facts = known(node.branch)
    there = facts.histories if facts else {}
    # A member that was cloned has none of the oldest, and needs none: the newest one names all.
    names = tuple(_history_name(piece.timeline) for piece in own.path if piece.timeline in there)
    return Lift(config, place, keys.leader, own.timeline, above, foreign, names, first.cluster.stanza)


def _history_name(timeline: int) -> str:
    return f"{timeline:08X}.history"


def _is_belied(path: Path, archived: Mapping[int, str]) -> bool:
    """Whether the archive knows another way to a timeline of this path: the last one that pushed its history file has it."""
    for number, piece in enumerate(path):
        text = archived.get(piece.timeline)
        try:
            if text is not None and path_to(piece.timeline, archived)[:-1] != path[:number]:
                return True
        except ValueError:
            return True
    return False


def _config_of(first: Snapshot, name: str) -> HostConfig | None:
    return next((host for host in first.cluster.hosts if host.name == name), None)


def _loser(first: Snapshot, name: str, survivor: str, parting: Parting, run_id: str) -> Loser | str:
    node = first.node(name)
    config = _config_of(first, name)
    if node is None or config is None:
        return f"no host {name} is configured in pgops.yml"
    place = data_dir_of(first, node)
    if place is None:
        return f"its data directory is not known; set hosts.{name}.data_dir in pgops.yml"
    return Loser(
        name,
        config,
        place,
        parting,
        segment_bytes_of(first),
        run_id,
        first.cluster.stanza,
        _archives(first),
        _reached(node, parting),
        tuple(
            item
            for item in known(first.barring) or ()
            if survivor in item.strangers and _may_be_of(item, name, parting)
        ),
        _wrote(node, parting),
    )


def _wrote(node: Node, parting: Parting) -> bool:
    files = known(node.files)
    stopped = known(node.sql) is None and files is not None and "standby.signal" not in files.names
    at_last = parting.pieces[-1].timeline if parting.pieces else None
    return (parting.takes_writes or stopped) and at_last == parting.contested


def _may_be_of(item: StoredWal, name: str, parting: Parting) -> bool:
    """Whether a loser has this `.partial` file, or had it: nobody else has, and it left that timeline."""
    left = {piece.timeline for piece in (*parting.ancestors, *parting.pieces) if piece.ends_bytes is not None}
    return name in item.holders or (not item.holders and segment_timeline(item.name.removesuffix(".partial")) in left)


def _reached(node: Node, parting: Parting) -> int | None:
    """What a standby has received may end within a record; what it has replayed does not."""
    sql = known(node.sql)
    return sql.replay_bytes if sql is not None and sql.in_recovery else parting.end_bytes


def _archives(first: Snapshot) -> tuple[tuple[int, str], ...]:
    facts = next((facts for node in first.nodes if (facts := known(node.stanza)) is not None), None)
    return tuple(archive_places(facts)) if facts else ()


def find_copy(loser: Loser, now: Snapshot) -> CopyFacts | str | None:
    """The safety copy of this run beside the loser's data directory, None where there is none; why it cannot be told."""
    node = now.node(loser.name)
    copies = known(node.copies) if node else None
    if node is None or copies is None:
        return reason(node.copies) if node else f"no host {loser.name} is configured"
    return next((copy for copy in copies if copy.path == loser.keep), None)
