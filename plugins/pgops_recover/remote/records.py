"""What records of WAL say, taken from the text of pg_waldump; shared by programs here.

Most lines are of a few plain kinds: one pattern takes these out of a whole block of text at once, and every other line is
looked at by itself.

Sources: PostgreSQL, src/backend/access/rmgrdesc/{heapdesc,xactdesc,standbydesc,xlogdesc}.c of 12 to 18 (what a record is
called there), src/bin/pg_waldump/pg_waldump.c (the line before it).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache, reduce
from typing import Any

from pgops_recover.remote.segments import byte_position

_FIRST_USER_OID = 16384
_LARGE_OBJECTS = {2613, 2995}
"""Catalogues with users' rows: pg_largeobject, pg_largeobject_metadata."""

_PLAIN = re.compile(
    rb"(?:rmgr: (?:"
    rb"Heap {8}len .{24}, tx: +([1-9]\d*), lsn: .{27,35}?, desc: (?:(?:"
    rb"(I)NSERT(?:\+INIT|) off:? \d+,? flags:? 0x\w\w"
    rb"|(?:HOT_|)UPDATE(?:\+INIT|) (?:off |old_xmax: \d+, old_off: )(\d+)"
    rb"(?: xmax \d+ flags 0x\w\w [A-Z_ ]*; new off |, old_infobits: \[[A-Z_, ]*\], flags: 0x\w\w, new_xmax: \d+, new_off: )"
    rb"(\d+)(?: xmax \d+|)"
    rb"|DELETE (?:off |xmax: \d+, off: )(\d+)(?:, infobits: \[[A-Z_, ]*\], flags: | flags )0x[02468ACE]\w[A-Z_ ]*"
    rb"), blkref #0: rel ([^ ]+) blk (\d+)(?: FPW|)(?:, blkref #1: rel \d+/\d+/\d+ blk (\d+)(?: FPW|)|)|LOCK .*)"
    rb"|Transaction len .{24}, tx: +(\d+), lsn: ([^/]+/)0*([^,]*), prev [^,]+, "
    rb"desc: COMMIT (\d{4,}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}) UTC"
    rb"|Heap2 {7}len .{24}, tx: .{44,60}?, desc: [^M\n].*"
    rb"|(?:Btree|Hash|Gin|Gist|CLOG) .*"
    rb")|(.*))\n"
)
"""A plain insertion, update, deletion or commit, or what says nothing here, or else any line.

What is cheap: `.` and "no x" rather than classes, fixed numbers, and `(?:x|)` in place of `(?:x)?`.
"""
_CHANGE = re.compile(rb"rmgr: Heap[^x]*x: +(\d+), [^d]*desc: ([A-Z_]+)(?:\+INIT)?([^#]*)#0: rel (\d+/\d+/\d+) ")
_KINDS = {b"INSERT": b"I", b"MULTI_INSERT": b"I", b"UPDATE": b"U", b"HOT_UPDATE": b"U", b"DELETE": b"D"}
_LINE = re.compile(rb"rmgr: (\w+)[^x]*x: +(\d+), lsn: ([^,]+), [^d]*desc: (.*)", re.DOTALL)
_BLOCK = re.compile(rb"#0: rel \S+ blk (\d+)")
_OLD_BLOCK = re.compile(rb"#1: rel \S+ blk (\d+)")
_OFFSET = re.compile(rb"(?:\boff:? |old_off: )(\d+)")
_NEW_OFFSET = re.compile(rb"(?:new off |new_off: )(\d+)")
_FLAGS = re.compile(rb"flags:? 0x([0-9A-Fa-f]+)")
_TUPLES = re.compile(rb" (?:ntuples: )?(\d+)")
_MOMENT = re.compile(rb"(\d{4,}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) UTC")
_GID = re.compile(rb"gid (.*): \d{4,}-\d\d-\d\d ")
_SUBXACTS = re.compile(rb"; subxacts: ([\d ]+)")
_RUNNING = re.compile(rb"nextXid (\d+) latestCompletedXid \d+ oldestRunningXid (\d+)")
_FILE = re.compile(rb"(?:base/(\d+)|(global)|pg_tblspc/(\d+)/[^/ ]+/(\d+))/(\d+)")
_COUNTED = {b"Sequence": "sequences", b"Database": "databases"}
_SUPER = 0x10
"""The flag of a deletion that takes a speculative insertion back. Source: heapam_xlog.h, XLH_DELETE_IS_SUPER."""

Counts = dict[tuple[bytes, bytes], int]
"""Rows by relation and kind of change (I, U, D)."""
Rows = tuple[Counts, list[bytes]]
"""What a transaction, or a sub-transaction, did so far: counts, and its lines of changes.tsv in their order."""
Event = tuple[Any, ...]
"""What happened, its name first, in values that `marshal` knows:

- commits, xids, lines of transactions.tsv, changes of all, how many of them each has, counts of all, first and last moment:
  of transactions without sub-transactions, each of which changed a user's row here
- commit, family, place, moment, how, files that are dropped, rows here of each of the family (or None)
- abort, family
- prepare, xid, gid, family
- running, next xid, oldest running xid, place in bytes
- restart: the server started, and transactions that were open may have ended without a record
- new_files, files
- seen, what is only counted
"""


class Records:
    """What one stretch of WAL says: `events` in their order, and `rows` of transactions that did not end yet."""

    def __init__(self, *, keeps_changes: bool) -> None:
        self.events: list[Event] = []
        self.rows: dict[bytes, Rows] = {}
        self._keeps_changes = keeps_changes
        self._commits = _Commits()

    def take(self, text: bytes) -> None:
        """Take in whole lines of pg_waldump; then every event of them is in `events`."""
        rows, keeps, commits = self.rows, self._keeps_changes, self._commits
        found = _PLAIN.findall(text)
        for xid, plain, old, new, gone, relation, block, old_block, done, high, low, at, other in found:
            if relation:
                own = rows.get(xid)
                if own is None:
                    own = rows[xid] = ({}, [])
                counts, changes = own
                if plain:
                    key = relation, b"I"
                elif new:
                    key = relation, b"U"
                    if keeps:
                        changes.append(b"\t".join((relation, b"U", xid, old_block or block, old, block, new)))
                else:
                    key = relation, b"D"
                    if keeps:
                        changes.append(b"\t".join((relation, b"D", xid, block, gone, b"-\t-")))
                counts[key] = counts.get(key, 0) + 1
            elif done:
                own, moment = rows.pop(done, None), at.replace(b" ", b"T") + b"+00:00"
                if own is None or not commits.add(done, high + low, moment, own):
                    self._add("commit", [done], high + low, moment, "commit", [], [own])
            elif other:
                self._take_line(other)
        self._end_commits()

    def _add(self, *event: Any) -> None:
        self._end_commits()
        self.events.append(event)

    def _end_commits(self) -> None:
        if self._commits.xids:
            self.events.append(self._commits.event())
            self._commits.clear()

    def _take_line(self, line: bytes) -> None:
        change = _CHANGE.match(line)
        if change is not None:
            xid, name, desc, relation = change.groups()
            kind = _KINDS.get(name)
            if kind is not None and xid != b"0":
                self._take_change(line, xid, kind, desc, relation)
            return
        if not line.startswith((b"rmgr: T", b"rmgr: S", b"rmgr: D", b"rmgr: X", b"rmgr: Heap ")):
            return
        match = _LINE.match(line)
        if match is None:
            return
        rmgr, xid, place, desc = match.groups()
        if rmgr == b"Transaction":
            self._take_end(xid, desc, place)
        elif rmgr == b"Heap":
            if desc.startswith(b"TRUNCATE"):
                self._add("seen", "truncated")
        elif rmgr == b"Standby":
            running = _RUNNING.search(desc)
            if running:
                self._add("running", int(running[1]), int(running[2]), byte_position(place.decode()))
        elif rmgr == b"XLOG" and desc.startswith((b"CHECKPOINT_SHUTDOWN", b"END_OF_RECOVERY")):
            self._add("restart")
        elif rmgr == b"Storage" and desc.startswith(b"CREATE"):
            self._add("new_files", _files(desc))
        elif rmgr in _COUNTED:
            self._add("seen", _COUNTED[rmgr])

    def _take_change(self, line: bytes, xid: bytes, kind: bytes, desc: bytes, relation: bytes) -> None:
        counts, changes = self.rows.setdefault(xid, ({}, []))
        count = 1
        if kind == b"I":
            tuples = _TUPLES.match(desc)  # of a plain insertion there is no such number
            count = int(tuples[1]) if tuples else 1
        elif kind == b"D":
            flags = _FLAGS.search(desc)
            if flags and int(flags[1], 16) & _SUPER:
                kind, count = b"I", -1
        key = (relation, kind)
        counts[key] = counts.get(key, 0) + count
        if self._keeps_changes and kind != b"I":
            block, old = _found(_BLOCK, line), _found(_OFFSET, desc)
            places = (block, old, b"-", b"-")
            if kind == b"U":
                places = (_found(_OLD_BLOCK, line, block), old, block, _found(_NEW_OFFSET, desc))
            changes.append(b"\t".join((relation, kind, xid, *places)))

    def _take_end(self, xid: bytes, desc: bytes, place: bytes) -> None:
        kind, _, rest = desc.partition(b" ")
        family = [xid]
        if b";" in rest:
            subxacts = _SUBXACTS.search(rest)
            family += subxacts[1].split() if subxacts else []
        if kind == b"PREPARE":
            gid = _GID.match(rest)
            self._add("prepare", xid, gid[1].decode(errors="replace") if gid else "", family)
            return
        if not kind.startswith((b"COMMIT", b"ABORT")):
            return
        prepared = kind.endswith(b"_PREPARED")
        if prepared:
            family[0] = rest.partition(b":")[0]
        done = [self.rows.pop(member, None) for member in family]
        if kind.startswith(b"ABORT"):
            self._add("abort", family)
            return
        high, _, low = place.partition(b"/")
        whole, _, fraction = _found(_MOMENT, rest, b"").partition(b".")
        moment = b"%b.%b+00:00" % (whole.replace(b" ", b"T"), fraction[:6].ljust(6, b"0")) if whole else b""
        how = "commit_prepared" if prepared else "commit"
        self._add("commit", family, high + b"/" + low.lstrip(b"0"), moment, how, _dropped_files(rest), done)


class _Commits:
    """Commits of single transactions, one after the other."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget them."""
        self.xids: list[bytes] = []
        self._lines: list[bytes] = []
        self._changes: list[bytes] = []
        self._sizes: list[int] = []
        self._counts: Counts = {}
        self._first = self._last = b""

    def add(self, xid: bytes, place: bytes, moment: bytes, rows: Rows) -> bool:
        """Add one; False: it changed no user's row, and whether it counts is for others to say."""
        counts, changes = rows
        for relation, _ in counts:
            if is_users(relation):
                break
        else:
            return False
        if not self.xids:
            self._first = moment
        self._last = moment
        self.xids.append(xid)
        self._lines.append(b"\t".join((xid, place, moment, b"commit\t\n")))
        self._changes += changes
        self._sizes.append(len(changes))
        total = self._counts
        for key, count in counts.items():
            total[key] = total.get(key, 0) + count
        return True

    def event(self) -> Event:
        """All of them."""
        lines, changes = b"".join(self._lines), change_lines(self._changes)
        return ("commits", self.xids, lines, changes, self._sizes, self._counts, self._first, self._last)


def oldest(xids: Iterable[bytes]) -> int:
    """The oldest of these transactions, of which there is one at least."""
    numbers_ = [int(xid) for xid in xids]
    low = min(numbers_)
    if max(numbers_) - low < 0x80000000:
        return low
    return reduce(lambda one, other: other if precedes(other, one) else one, numbers_)


def transaction_line(family: list[bytes], place: bytes, moment: bytes, how: bytes) -> bytes:
    """The line of transactions.tsv."""
    return b"%b\t%b\t%b\t%b\t%b\n" % (family[0], place, moment, how, b",".join(family[1:]))


def change_lines(changes: list[bytes]) -> bytes:
    """The lines of changes.tsv."""
    return b"".join([b"\n".join(changes).replace(b"/", b"\t"), b"\n"]) if changes else b""


@lru_cache(maxsize=4096)
def numbers(relation: bytes) -> tuple[int, int, int]:
    """Tablespace, database and filenode."""
    tablespace, database, filenode = relation.split(b"/")
    return int(tablespace), int(database), int(filenode)


@lru_cache(maxsize=4096)
def is_users(relation: bytes) -> bool:
    """Whether its rows are users' and not a catalogue's."""
    node = numbers(relation)[2]
    return node >= _FIRST_USER_OID or node in _LARGE_OBJECTS


def precedes(one: int, other: int) -> bool:
    """Whether a transaction id is the older one, modulo 2^32. Source: transam.c, TransactionIdPrecedes."""
    return (one - other) & 0xFFFFFFFF > 0x80000000


def _dropped_files(rest: bytes) -> list[list[int]]:
    if b"rels:" not in rest:
        return []
    return [file for part in rest.split(b";") if part.lstrip().startswith(b"rels:") for file in _files(part)]


def _files(text: bytes) -> list[list[int]]:
    """The files that a record names, as (tablespace, database, filenode). Source: relpath.c, pg_tablespace.dat."""
    found = []
    for base, shared, space, database, node in _FILE.findall(text):
        found.append([1664, 0, int(node)] if shared else [int(space or 1663), int(database or base), int(node)])
    return found


def _found(pattern: re.Pattern[bytes], text: bytes, otherwise: bytes = b"-") -> bytes:
    match = pattern.search(text)
    return match[1] if match else otherwise
