"""Accounts for what exists on one branch alone: its WAL behind the fork, read with pg_waldump in one pass.

Called with one JSON document: `pg_waldump`, `wal_dirs` (the first that has a segment wins), `segment_bytes`, `pieces` (the
branch behind the fork: `timeline`, `from`, `to`; `to` null: to the true end of WAL), `manifest` (a file that has what is not
said of these), `ancestors` (see `segments`), `reached` (where the member is known to have come) or else `reached_by` (a
command that tells it: pg_controldata of the stopped server), `archive` (null, or where missing segments come from: see
`segments`) and `into` (null, or a directory to make, with `account.json`, `transactions.tsv` and `changes.tsv`); and if need
be `workers` (how many processes read) and `stretch_bytes` (how much at a time). Prints one JSON document. Memory is bounded
by what the transactions that are open at one time have changed, and by what one stretch says for each process.

Sources: PostgreSQL, src/bin/pg_waldump/pg_waldump.c (several --rmgr since 15; it ends with an error at the end of WAL).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, BinaryIO

from pgops.hosts.remote.answering import answer
from pgops_recover.remote.records import (
    Counts,
    Event,
    Rows,
    change_lines,
    is_users,
    numbers,
    oldest,
    precedes,
    transaction_line,
)
from pgops_recover.remote.segments import (
    BEFORE_SEGMENTS,
    byte_position,
    fetch_missing,
    link_segments,
    lsn_text,
    segment_name,
)
from pgops_recover.remote.stretches import STRETCH_BYTES, Stretch, read_stretch, read_stretches, split, usual_workers

_RMGRS = ("Heap", "Heap2", "Transaction", "Standby", "Storage", "Sequence", "Database")
_REACHED = re.compile(r"^(?:Latest checkpoint|Minimum recovery ending) location: +([0-9A-F]+/[0-9A-F]+)$", re.MULTILINE)
_PLACE = re.compile(r" (?:at|after) ([0-9A-F]+/[0-9A-F]+)")
_STATISTICS = {2619, 2840, 3429, 3430}
"""What ANALYZE writes: pg_statistic, pg_statistic_ext_data, their TOAST tables. Source: src/include/catalog/*.h."""
_TOLD = ("tablespace", "database", "filenode", "inserted", "updated", "deleted")


def main(words: list[str]) -> int:
    """Print the account; 74 and a sentence where there is none."""
    return answer(lambda: account(json.loads(words[0])))


def account(wish: Mapping[str, Any]) -> dict[str, Any]:
    """The account of a branch. Raises OSError."""
    into = wish.get("into")
    if wish.get("manifest"):
        with open(wish["manifest"], encoding="utf-8") as file:
            wish = {**json.load(file), **wish}
    if into and os.path.exists(f"{into}/account.json"):
        with open(f"{into}/account.json", encoding="utf-8") as file:
            return dict(json.load(file))
    with tempfile.TemporaryDirectory(prefix="pgops-account-") as scratch:
        making = f"{into}.making" if into else f"{scratch}/told"
        shutil.rmtree(making, ignore_errors=True)
        os.makedirs(making)
        with open(f"{making}/transactions.tsv", "wb") as ended, open(f"{making}/changes.tsv", "wb") as changed:
            document = _Reader(wish, scratch, ended, changed).read()
            _flush(ended, changed)
        if into:
            with open(f"{making}/account.json", "wb") as told:
                told.write(json.dumps(document, indent=2).encode())
                _flush(told)
            os.rename(making, into)
    return document


class _Reader:
    def __init__(self, wish: Mapping[str, Any], scratch: str, ended: BinaryIO, changed: BinaryIO) -> None:
        self._wish = wish
        self._segment_bytes = int(wish["segment_bytes"])
        self._links = f"{scratch}/wal"
        self._starts: dict[int, set[int]] = {}
        self._ended, self._changed = ended, changed
        self._keeps_changes = bool(wish.get("into"))
        self._workers = int(wish.get("workers") or usual_workers())
        self._stretch_bytes = int(wish.get("stretch_bytes") or STRETCH_BYTES)
        self._rows: dict[bytes, Rows] = {}  # of transactions that were open at the end of what was read before
        self._prepared: dict[bytes, tuple[str, list[bytes]]] = {}
        self._counts: Counter[tuple[bytes, bytes]] = Counter()
        self._gaps: list[str] = []
        self._early_why: str | None = None
        self._lowest: int | None = None  # the oldest transaction that was committed behind the fork
        self._horizon: int | None = None  # of all from this one on there is every record
        self._settled: int | None = None  # all before this one had ended at the fork
        self._next: int | None = None  # was given out behind the fork first
        self._first = self._last = b""
        self._committed = self._aborted = self._straddling = 0
        self._early: set[bytes] = set()
        self._other: Counter[str] = Counter()
        self._files: dict[str, list[list[int]]] = {"new_files": [], "dropped_files": []}
        self._end = 0
        self._behind = False

    def read(self) -> dict[str, Any]:
        started = time.monotonic()
        pieces: Sequence[Mapping[str, Any]] = self._wish["pieces"]
        if self._wish.get("archive"):
            fetch_missing(self._wish)
        self._starts = link_segments(self._wish, self._links)
        self._read_before(int(pieces[0]["timeline"]), byte_position(pieces[0]["from"]))
        self._pass_fork()
        for piece in pieces:
            begin = byte_position(piece["from"])
            end = None if piece["to"] is None else byte_position(piece["to"])
            self._end = self._read_piece(int(piece["timeline"]), begin, end)
            self._other["wal_bytes"] += max(self._end - begin, 0)
        reached = self._find_reached()
        if self._end < reached:
            self._gaps.append(
                f"WAL can be read to {lsn_text(self._end)}, and the member had come to {lsn_text(reached)}"
            )
        return self._tell(self._other["wal_bytes"], time.monotonic() - started)

    def _find_reached(self) -> int:
        """How far the member had come at least; 0: nobody tells."""
        if self._wish.get("reached"):
            return byte_position(self._wish["reached"])
        if not self._wish.get("reached_by"):
            return 0
        environment = {**os.environ, "LC_ALL": "C"}
        said = subprocess.run(
            self._wish["reached_by"], capture_output=True, text=True, env=environment, timeout=60, check=False
        )
        return max(map(byte_position, _REACHED.findall(said.stdout)), default=0)

    def _pass_fork(self) -> None:
        self._give_out(map(int, self._rows))
        self._early = set(self._rows)
        self._behind = True

    def _has(self, timeline: int, position: int) -> bool:
        return position - position % self._segment_bytes in self._starts.get(timeline, ())

    def _read_before(self, timeline: int, fork: int) -> None:
        """The rows of transactions that are open at the fork."""
        begin = fork
        for back in range(BEFORE_SEGMENTS + 1):
            at = fork - fork % self._segment_bytes - back * self._segment_bytes
            if not self._has(timeline, at):
                break
            begin = at
        if begin < fork:
            told = self._take_records(timeline, self._open_from(timeline, begin, fork), fork)
            if told:
                self._early_why = f"the WAL before the fork cannot be read: {told}"

    def _open_from(self, timeline: int, begin: int, fork: int) -> int:
        """From where on there is every record of what is open at the fork; `begin`, where that cannot be told.

        A transaction that the last snapshot of running ones does not know as ended is not older than `oldest`, and there is
        none of its records before a snapshot that tells `oldest`, or less, as the next to be. Source: procarray.c and
        standby.c, GetRunningTransactionData, LogStandbySnapshot (no transaction gets its id while that record is written).
        """
        if not self._filters:
            return begin
        running: list[tuple[int, int, int]] = []
        for events, _, why in read_stretch(self._stretch(timeline, begin, fork, ("Standby", "XLOG"))):
            running += [event[1:] for event in events if event[0] == "running"]
            if why or ("restart",) in events:
                return begin
        oldest_running = running[-1][1] if running else 0
        return max((place for following, _, place in running if not precedes(oldest_running, following)), default=begin)

    def _read_piece(self, timeline: int, begin: int, end: int | None) -> int:
        """Read one timeline's part; where it ended. WAL that is missing is a gap, and reading goes on behind it."""
        at = begin
        while True:
            stopped, ended = at, False
            why = f"the WAL file {segment_name(timeline, at, self._segment_bytes)} is missing"
            if self._has(timeline, at):
                why = self._take_records(timeline, at, end)
                if end is not None and not why:
                    return end
                places = _PLACE.findall(why)
                if places:
                    stopped, ended = max(at, byte_position(places[-1])), True
                elif "could not find file" in why:
                    stopped, ended = self._run_end(timeline, at), True
            following = min((start for start in self._starts.get(timeline, ()) if start > stopped), default=None)
            if following is None or (end is not None and following >= end):
                if not ended:
                    self._gaps.append(why or "pg_waldump ended without a word")
                elif end is not None:
                    self._gaps.append(f"WAL ends at {lsn_text(stopped)}, before {lsn_text(end)}: {why}")
                return stopped
            self._gaps.append(f"WAL is missing from {lsn_text(stopped)} to {lsn_text(following)}: {why}")
            at = following

    def _run_end(self, timeline: int, position: int) -> int:
        """Where the first segment behind this place begins that is not there."""
        at = position - position % self._segment_bytes
        while self._has(timeline, at):
            at += self._segment_bytes
        return at

    def _take_records(self, timeline: int, begin: int, end: int | None) -> str:
        """Take in the records from `begin` on; what pg_waldump complained about, or nothing."""
        whole = self._stretch(timeline, begin, end, _RMGRS if self._filters else ())
        until = self._run_end(timeline, begin)
        size = self._stretch_bytes - self._stretch_bytes % self._segment_bytes or self._segment_bytes
        stretches = split(whole, until if end is None else min(until, end), size)
        why = ""
        for events, rows, why in read_stretches(stretches, self._workers):  # noqa: B007 - the last one's
            self._take_part(events, rows)
        return why

    def _stretch(self, timeline: int, begin: int, end: int | None, rmgrs: Sequence[str]) -> Stretch:
        dump = [self._wish["pg_waldump"], "-p", self._links, "-t", str(timeline)]
        dump += [word for name in rmgrs for word in ("-r", name)]
        return Stretch(dump, begin, None, end, bool(self._wish.get("into")))

    @cached_property
    def _filters(self) -> bool:
        said = subprocess.run([self._wish["pg_waldump"], "--version"], capture_output=True, timeout=30, check=False)
        version = re.search(rb"\d+", said.stdout)
        return version is not None and int(version[0]) >= 15

    def _take_part(self, events: Sequence[Event], rows: Mapping[bytes, Rows]) -> None:
        for event in events:
            self._take(event)
        for xid, (counts, changes) in rows.items():
            own = self._rows.setdefault(xid, ({}, []))
            _add(own[0], counts)
            own[1].extend(changes)

    def _take(self, event: Event) -> None:
        name, *rest = event
        if not self._behind:
            self._note_next(name, rest)
        if name == "commits":
            self._take_commits(*rest)
        elif name == "commit":
            self._take_commit(*rest)
        elif name == "abort":
            for member in rest[0]:
                self._rows.pop(member, None)
            self._prepared.pop(rest[0][0], None)
            self._aborted += self._behind
        elif name == "prepare":
            xid, gid, family = rest
            self._prepared[xid] = (gid, family)
        elif name == "running":
            following, running, _ = rest
            self._horizon = following if self._horizon is None else self._horizon
            self._settled = self._settled if self._behind else running
        elif self._behind and name == "new_files":
            self._files["new_files"] += rest[0]
        elif self._behind and name == "seen":
            self._other[rest[0]] += 1

    def _take_commits(
        self,
        xids: list[bytes],
        lines: bytes,
        changes: bytes,
        sizes: list[int],
        counts: Counts,
        first: bytes,
        last: bytes,
    ) -> None:
        earlier = {xid: self._rows.pop(xid) for xid in xids if xid in self._rows} if self._rows else {}
        if not self._behind:
            return
        self._note_lowest(xids)
        self._straddling += len(self._early.intersection(xids)) if self._early else 0
        self._first, self._last = self._first or first, last
        self._committed += len(xids)
        self._ended.write(lines)
        _add(self._counts, counts)
        if not earlier:
            self._changed.write(changes)
            return
        each = iter(changes.splitlines(keepends=True))
        for xid, size in zip(xids, sizes):  # noqa: B905 - 3.9
            if xid in earlier:
                _add(self._counts, earlier[xid][0])
                self._changed.write(change_lines(earlier[xid][1]))
            self._changed.writelines(islice(each, size))

    def _take_commit(
        self, family: list[bytes], place: bytes, at: bytes, how: str, files: list[list[int]], late: list[Rows | None]
    ) -> None:
        parts = [each for member, own in zip(family, late) for each in (self._rows.pop(member, None), own)]  # noqa: B905 - 3.9
        done = [rows for rows in parts if rows is not None]
        self._prepared.pop(family[0], None)
        if not self._behind:
            return
        self._note_lowest(family)
        self._straddling += not self._early.isdisjoint(family)
        self._files["dropped_files"] += files
        relations = {relation for counts, _ in done for relation, _ in counts}
        if relations and not any(map(is_users, relations)):
            self._other["catalog"] += not {numbers(relation)[2] for relation in relations} <= _STATISTICS
            return  # a change of catalogues alone: autovacuum's, or DDL
        self._first, self._last = self._first or at, at or self._last
        self._committed += 1
        self._ended.write(transaction_line(family, place, at, how.encode()))
        for counts, changes in done:
            _add(self._counts, counts)
            self._changed.write(change_lines(changes))

    def _note_next(self, name: str, rest: Sequence[Any]) -> None:
        """Before the fork every id that is seen was given out."""
        if name in ("commits", "commit", "abort"):
            self._give_out(map(int, rest[0]))
        elif name == "prepare":
            self._give_out(map(int, (rest[0], *rest[2])))
        elif name == "running":
            self._give_out([rest[0] - 1])

    def _give_out(self, xids: Iterable[int]) -> None:
        for xid in xids:
            following = (xid + 1) & 0xFFFFFFFF
            if self._next is None or precedes(self._next, following):
                self._next = following

    def _note_lowest(self, xids: list[bytes]) -> None:
        xid = oldest(xids)
        if self._lowest is None or precedes(xid, self._lowest):
            self._lowest = xid

    def _tell(self, wal_bytes: int, read_s: float) -> dict[str, Any]:
        why, lowest, horizon = self._early_why, self._lowest, self._horizon
        if not why and lowest is not None and (horizon is None or precedes(lowest, horizon)):
            why = "a transaction that began before the WAL that is left was committed behind the fork"
        undecided = [{"xid": int(xid), "gid": gid} for xid, (gid, _) in self._prepared.items()]
        waiting = {member for _, family in self._prepared.values() for member in family}
        return {
            "schema": 1,
            "complete": not self._gaps and why is None,
            "gaps": self._gaps,
            "end_lsn": lsn_text(self._end),
            "wal_bytes": wal_bytes,
            "read_s": round(read_s, 3),
            "transactions": {
                "count": self._committed,
                "first_at": self._first.decode() or None,
                "last_at": self._last.decode() or None,
                "aborted": self._aborted,
                "open": len(self._rows.keys() - waiting),
                "prepared": undecided,
            },
            "settled_xid": self._settled,
            "first_xid": self._next,
            "straddling": {"complete": why is None, "count": self._straddling, "why": why},
            "relations": [
                dict(zip(_TOLD, (*numbers(relation), *(self._counts[relation, kind] for kind in (b"I", b"U", b"D")))))  # noqa: B905 - 3.9
                for relation in sorted({relation for relation, _ in self._counts}, key=numbers)
            ],
            "other": {
                **{name: self._other[name] for name in ("truncated", "sequences", "databases", "catalog")},
                **self._files,
            },
        }


def _flush(*files: BinaryIO) -> None:
    for file in files:
        file.flush()
        os.fsync(file.fileno())


def _add(total: Counts, more: Counts) -> None:
    for key, count in more.items():
        total[key] = total.get(key, 0) + count


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
