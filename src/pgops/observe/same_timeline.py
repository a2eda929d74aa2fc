"""Do two members really share the last timeline that their histories share, or did each write one of that number?

Two that were promoted apart may have taken the same number, and no history file tells; only their WAL does. It is compared
as far as both have it, first whole files, then ever smaller parts, down to the byte; the record that holds the first byte
that differs is where they part.
Sources: PostgreSQL, src/include/access/xlog_internal.h (files and pages of WAL), src/bin/pg_waldump.
"""

from __future__ import annotations

import time
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations

from pgops.config.model import HostConfig
from pgops.hosts.host import Host, HostFault, Identity
from pgops.hosts.remote.program_paths import program_in
from pgops.observe.branch_facts import SameTimeline
from pgops.observe.branches import path_of, wal_end
from pgops.observe.contested import read_stored
from pgops.observe.forks import find_fork
from pgops.observe.lsn import format_lsn, parse_lsn, segment_start, segment_timeline
from pgops.observe.parallel import Late, Task
from pgops.observe.places import data_dir_of, segment_bytes_of
from pgops.observe.snapshot import Node, Snapshot
from pgops.readings import Known, Reading, Unknown, known

BATCH = 128
"""So many WAL files are compared at a time, the newest first: two branches do not write 2 GiB alike."""

_PARTS = 64
_PAGE_BYTES = 8192

_DIGESTS = r"""
directory=$1
shift
while [ $# -ge 3 ]; do
    if [ -f "$directory/$1" ]; then
        digest=$(tail -c "+$(($2 + 1))" -- "$directory/$1" | head -c "$3" | sha1sum)
        echo "${digest%% *}"
    else
        echo gone
    fi
    shift 3
done
"""
_BYTES = r"""tail -c "+$(($2 + 1))" -- "$1" | head -c "$3" | base64 -w 0"""
_RECORD = r"""
export LC_ALL=C
"$1pg_waldump" -p "$2" -t "$3" -s "$4" 2>/dev/null | awk -v at="x$5" '
    match($0, /lsn: [0-9A-F]+\/[0-9A-F]+/) {
        place = substr($0, RSTART + 5, RLENGTH - 5)
        split(place, half, "/")
        here = sprintf("%8s%8s", half[1], half[2])
        gsub(/ /, "0", here)
        if (("x" here) > at) exit
        last = place
    }
    END { print last }'
"""


@dataclass(frozen=True)
class _Side:
    """One of the two: its host, where its WAL lies, and which files of the timeline it has."""

    name: str
    host: Host
    directory: str
    bin_prefix: str
    files: frozenset[str]

    def ask(self, script: str, arguments: Sequence[str], deadline: float) -> str:
        """What the script says there. Raises `HostFault`."""
        argv = ["sh", "-c", script, "pgops-wal", *arguments]
        left_s = max(0.1, deadline - time.monotonic())
        answer = self.host.run(argv, identity=Identity.OWNER, timeout_s=left_s)
        if not answer.ok or answer.truncated:
            raise HostFault(f"the WAL of {self.name}: {answer.fault or 'too much output'}")
        return answer.stdout


@dataclass(frozen=True)
class _Shared:
    """Two members, the last timeline that their histories share, and from where to where they should have it alike."""

    one: Node
    other: Node
    timeline: int
    begins_bytes: int
    limit_bytes: int


@dataclass(frozen=True)
class _Range:
    """A part of a WAL file, in bytes from its beginning."""

    file: str
    offset: int
    length: int


def read_same_timeline(snapshot: Snapshot, hosts: Mapping[str, Host]) -> Snapshot:
    """The snapshot with `same_timeline`: every two members of which one takes writes at least."""
    deadline = time.monotonic() + snapshot.cluster.timeouts.deep_command_s
    found = []
    tasks = [(shared, Task(partial(_read_pair, snapshot, hosts, shared, deadline))) for shared in _pairs(snapshot)]
    for shared, task in tasks:
        try:
            found.append(task.result(deadline))
        except Late:
            late = Unknown("comparing their WAL took too long")
            found.append(SameTimeline(shared.one.name, shared.other.name, shared.timeline, late))
    return replace(snapshot, same_timeline=Known(tuple(found)))


def _pairs(snapshot: Snapshot) -> Iterator[_Shared]:
    for one, other in combinations(snapshot.nodes, 2):
        if not (one.is_primary or other.is_primary):
            continue
        try:
            mine, theirs = path_of(one), path_of(other)
            if not mine or not theirs:
                continue
            fork = find_fork(mine, theirs)
        except ValueError:
            continue  # what is wrong with a history is told where branches are judged
        timeline = fork.timeline if fork else mine[-1].timeline
        ends = [end for node in (one, other) if (end := wal_end(node)) is not None]
        limits = [end_bytes for own, end_bytes in ends if own == timeline] + ([fork.bytes] if fork else [])
        begins_bytes = next(piece.begins_bytes for piece in mine if piece.timeline == timeline)
        yield _Shared(one, other, timeline, begins_bytes, min(limits))


def _read_pair(snapshot: Snapshot, hosts: Mapping[str, Host], shared: _Shared, deadline: float) -> SameTimeline:
    facts = SameTimeline(shared.one.name, shared.other.name, shared.timeline, Unknown(""))
    sides = [_side(snapshot, hosts, node, shared.timeline) for node in (shared.one, shared.other)]
    one, other = sides
    if isinstance(one, str) or isinstance(other, str):
        return replace(facts, fork_bytes=Unknown("; ".join(side for side in sides if isinstance(side, str))))
    try:
        fork = _find_fork(one, other, shared, segment_bytes_of(snapshot), deadline)
    except (HostFault, ValueError) as fault:
        fork = Unknown(str(fault))
    facts = replace(facts, fork_bytes=fork)
    if not isinstance(fork, Known) or fork.value is None:
        return facts
    return replace(facts, stored=read_stored(snapshot, hosts, facts, fork.value, segment_bytes_of(snapshot)))


def _side(snapshot: Snapshot, hosts: Mapping[str, Host], node: Node, timeline: int) -> _Side | str:
    host, files = hosts.get(node.name), known(node.files)
    config = next((item for item in snapshot.cluster.hosts if item.name == node.name), HostConfig(node.name))
    data_dir = data_dir_of(snapshot, node)
    if host is None or files is None or data_dir is None:
        return f"the WAL files of {node.name} cannot be seen"
    prefix = program_in(config.bin_dir, "")
    own = frozenset(name for name in files.segments if segment_timeline(name) == timeline)
    return _Side(node.name, host, f"{data_dir}/pg_wal", prefix, own)


def _find_fork(one: _Side, other: _Side, shared: _Shared, segment_bytes: int, deadline: float) -> Reading[int | None]:
    """Where their WAL parts; Known None: it does not, as far as both have it. Raises `HostFault` or ValueError."""
    timeline, begins_bytes, limit = shared.timeline, shared.begins_bytes, shared.limit_bytes
    starts = {name: segment_start(name, segment_bytes) for name in one.files & other.files}
    ranges = [
        _Range(name, 0, min(segment_bytes, limit - start))
        for name, start in sorted(starts.items(), key=lambda item: item[1])
        if start < limit
    ]
    if not ranges:
        if limit <= begins_bytes:
            return Known(None)  # neither has anything of the timeline but its beginning
        return Unknown(f"{one.name} and {other.name} have no WAL file of timeline {timeline} in common")
    differs: _Range | None = None
    for end in range(len(ranges), 0, -BATCH):
        batch = ranges[max(0, end - BATCH) : end]
        first = _first_difference(one, other, batch, deadline)
        if first is None:
            break
        differs = first
        if first is not batch[0]:
            break
    if differs is None:
        return Known(None)
    file_start = starts[differs.file]
    part = differs
    while part.length > _PAGE_BYTES:
        narrower = _first_difference(one, other, _cut(part), deadline)
        if narrower is None:
            raise ValueError(f"the WAL file {differs.file} changed while it was compared")
        part = narrower
    offset = _differing_byte(one, other, part, deadline)
    if offset < _PAGE_BYTES and differs is ranges[0] and file_start > begins_bytes:
        return Unknown(
            f"the WAL of {one.name} and {other.name} differs from the oldest file that both have ({differs.file}) on: "
            "where they part is not known"
        )
    earlier = [name for name, start in starts.items() if start == file_start - segment_bytes]
    begin = max(begins_bytes, file_start - segment_bytes if earlier else file_start)
    return Known(_record_at(one, timeline, begin, file_start + offset, deadline))


def _cut(part: _Range) -> list[_Range]:
    """At most so many parts of it, whole pages each."""
    step = max(_PAGE_BYTES, -(-part.length // _PARTS // _PAGE_BYTES) * _PAGE_BYTES)
    return [_Range(part.file, part.offset + at, min(step, part.length - at)) for at in range(0, part.length, step)]


def _first_difference(one: _Side, other: _Side, ranges: Sequence[_Range], deadline: float) -> _Range | None:
    """The first of these parts that is not the same on both sides."""
    words = [word for part in ranges for word in (part.file, str(part.offset), str(part.length))]
    task = Task(lambda: other.ask(_DIGESTS, [other.directory, *words], deadline).split())
    mine = one.ask(_DIGESTS, [one.directory, *words], deadline).split()
    theirs = task.result(deadline + 1)
    if len(mine) != len(ranges) or len(theirs) != len(ranges):
        raise ValueError("the digests of WAL are not what was asked for")
    if all("gone" in pair for pair in zip(mine, theirs, strict=True)):
        raise ValueError(f"the WAL files from {ranges[0].file} on were recycled while they were compared")
    for part, a, b in zip(ranges, mine, theirs, strict=True):
        if "gone" not in (a, b) and a != b:
            return part
    return None


def _differing_byte(one: _Side, other: _Side, part: _Range, deadline: float) -> int:
    """The place in the file of the first byte that differs."""
    both = []
    for side in (one, other):
        words = [f"{side.directory}/{part.file}", str(part.offset), str(part.length)]
        both.append(b64decode(side.ask(_BYTES, words, deadline), validate=True))
    if any(len(content) != part.length for content in both):
        raise ValueError(f"the WAL file {part.file} was recycled while it was compared")
    for at, (a, b) in enumerate(zip(*both, strict=True)):
        if a != b:
            return part.offset + at
    raise ValueError(f"the WAL file {part.file} changed while it was compared")


def _record_at(side: _Side, timeline: int, begin: int, place: int, deadline: float) -> int:
    """Where the record begins that this byte is of. Both sides have the same up to there."""
    words = [side.bin_prefix, side.directory, str(timeline), format_lsn(begin), f"{place:016X}"]
    found = side.ask(_RECORD, words, deadline).strip()
    if not found:
        raise ValueError(f"pg_waldump on {side.name} finds no record before {format_lsn(place)}")
    return parse_lsn(found)
