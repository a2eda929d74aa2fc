"""WAL files in directories, and from the archive where they are gone from there; shared by programs here.

Sources: PostgreSQL, src/include/access/xlog_internal.h (names of WAL files, XLogPageHeaderData); pgBackRest, command
reference, archive-get: exit code 1 where the archive has no such file.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

BEFORE_SEGMENTS = 8
"""So many segments before the fork are read, for the transactions that were open there."""
_FETCH_S = 600


def written_segments(directory: str, segment_bytes: int) -> Iterator[tuple[str, int]]:
    """The names of the files there that hold the WAL of their name, and where each begins.

    A file that was only renamed for later use, or filled with zeros, does not: pg_waldump takes the size of segments from
    whichever file it meets first, and stops at such a one.
    """
    per_log = 0x100000000 // segment_bytes
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return
    for name in names:
        if not re.fullmatch(r"[0-9A-F]{24}", name):
            continue
        start = (int(name[8:16], 16) * per_log + int(name[16:], 16)) * segment_bytes
        with open(f"{directory}/{name}", "rb") as file:  # magic, flags, timeline, and the page's own place
            if int.from_bytes(file.read(16)[8:], sys.byteorder) == start != 0:
                yield name, start


def segment_name(timeline: int, at: int, segment_bytes: int) -> str:
    """The file that has this position."""
    number, per_log = at // segment_bytes, 0x100000000 // segment_bytes
    return f"{timeline:08X}{number // per_log:08X}{number % per_log:08X}"


def timeline_before(wish: Mapping[str, Any], start: int) -> int:
    """On which timeline the segment that begins here, before the fork, has to be looked for.

    `ancestors` of the wish are the timelines that the branch left before the fork, in their order, each with `to`, where.
    """
    for ancestor in wish.get("ancestors") or ():
        if start + int(wish["segment_bytes"]) <= byte_position(ancestor["to"]):
            return int(ancestor["timeline"])
    return int(wish["pieces"][0]["timeline"])


def fetch_missing(wish: Mapping[str, Any]) -> None:
    """Get the segments of the pieces that no directory has out of the archive, as far as it has them.

    `archive` of the wish has `argv`, the beginning of a command of pgBackRest, `into`, the directory for them, and `until`
    (null: there is none), from where on the files there may be another branch's.
    """
    archive, size = wish["archive"], int(wish["segment_bytes"])
    limit = byte_position(archive["until"]) if archive.get("until") else None
    there: dict[int, set[int]] = {}
    for directory in wish["wal_dirs"]:
        for name, start in written_segments(directory, size):
            there.setdefault(int(name[:8], 16), set()).add(start)
    wanted = []
    fork = byte_position(wish["pieces"][0]["from"])
    first = fork - fork % size
    for start in range(max(first - BEFORE_SEGMENTS * size, size), first, size):
        wanted.append((timeline_before(wish, start), start))
    for piece in wish["pieces"]:
        timeline, begin = int(piece["timeline"]), byte_position(piece["from"])
        end = byte_position(piece["to"]) if piece["to"] else max(there.get(timeline, set()), default=begin)
        wanted += [(timeline, start) for start in range(begin - begin % size, end, size)]
    for timeline, start in wanted:
        if start not in there.get(timeline, set()) and (limit is None or start + size <= limit):
            _fetch(archive["argv"], segment_name(timeline, start, size), archive["into"])


def link_segments(wish: Mapping[str, Any], into: str) -> dict[int, set[int]]:
    """Make a directory with every segment, from the first place that has it: by timeline, where its segments begin.

    Segments before the fork that are an older timeline's stand there under the name that pg_waldump looks for as well.
    """
    size = int(wish["segment_bytes"])
    starts: dict[int, set[int]] = {}
    os.mkdir(into)
    for directory in wish["wal_dirs"]:
        for name, start in written_segments(directory, size):
            if not os.path.lexists(f"{into}/{name}"):
                os.symlink(os.path.abspath(f"{directory}/{name}"), f"{into}/{name}")
                starts.setdefault(int(name[:8], 16), set()).add(start)
    timeline, fork = int(wish["pieces"][0]["timeline"]), byte_position(wish["pieces"][0]["from"])
    own = starts.setdefault(timeline, set())
    for start in range(max(fork - fork % size - BEFORE_SEGMENTS * size, 0), fork, size):
        older = timeline_before(wish, start)
        if older != timeline and start in starts.get(older, ()) and start not in own:
            source, name = (f"{into}/{segment_name(each, start, size)}" for each in (older, timeline))
            os.symlink(os.readlink(source), name)
            own.add(start)
    return starts


def _fetch(argv: list[str], name: str, into: str) -> None:
    fresh = f"{into}/{name}.new"
    if os.path.lexists(fresh):
        os.unlink(fresh)
    try:
        said = subprocess.run(
            [*argv, "archive-get", name, fresh],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_FETCH_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return  # the gap is told by whoever reads
    if said.returncode == 0 and os.path.exists(fresh):
        os.rename(fresh, f"{into}/{name}")


def byte_position(lsn: str) -> int:
    """The place in WAL that this text says, in bytes."""
    high, _, low = lsn.partition("/")
    return int(high, 16) << 32 | int(low, 16)


def lsn_text(position: int) -> str:
    """This place in WAL as PostgreSQL writes it."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"
