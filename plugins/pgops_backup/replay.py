"""How much WAL a restore to a time replays. Pure: it asks a reader when the last transaction in some segments ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pgops.observe.facts import Backup
from pgops.observe.lsn import segment_start
from pgops.readings import Known, Reading
from pgops_backup.last_commit import LastEnd
from pgops_backup.reaches import Reach, Tail, segment_names

_LOOKS = 24
"""So many looks into segments at most; sixteen million segments need no more."""

_BACK = 4
"""So many segments are looked into for one that holds an end of a transaction."""


@dataclass(frozen=True)
class Replay:
    """The segments that are read, from `first` to `last`. `exact` False: it may be fewer."""

    first: str
    last: str
    count: int
    exact: bool


def find_replay(
    reach: Reach,
    backup: Backup,
    repo_key: int,
    moment: datetime,
    segment_bytes: int,
    read: Callable[[Tail], Reading[LastEnd]],
) -> Replay:
    """From the backup's first segment to the one in which a transaction ended after `moment`, found by halving."""
    assert backup.wal_start is not None and backup.wal_stop is not None  # noqa: S101 - else it would not be usable
    walk = reach.span.walk
    begin = segment_start(backup.wal_start, segment_bytes) // segment_bytes
    lowest, highest = segment_start(backup.wal_stop, segment_bytes) // segment_bytes, walk.end - 1
    bottom, exact = lowest, True
    for _ in range(_LOOKS):
        if lowest >= highest:
            break
        middle = (lowest + highest) // 2
        oldest = max(bottom, middle - _BACK + 1)
        names = segment_names(walk, segment_bytes, first=oldest, last=middle)
        last = read(Tail(repo_key, names, None, whole=oldest == bottom))
        if not isinstance(last, Known):
            exact = False
            break
        at = last.value.at
        if at is None and oldest > bottom:
            exact = False
        if at is not None and at > moment:
            highest = middle
        else:
            lowest = middle + 1
    names = segment_names(walk, segment_bytes, first=begin, last=highest)
    return Replay(backup.wal_start, names[0], highest - begin + 1, exact and lowest >= highest)
