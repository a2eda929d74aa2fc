"""Accounts for what exists on one branch alone: its WAL behind the fork, read with pg_waldump in one pass.

Called with one JSON document: `pg_waldump`, `wal_dirs` (the first that has a segment wins), `segment_bytes`, `pieces` (the
branch behind the fork: `timeline`, `from`, `to`; `to` null: to the true end of WAL), `manifest` (a file that has what is not
said of these), `archive` (null, or where missing segments come from: see `segments`) and `into` (null, or a directory to
make, with `account.json`, `transactions.tsv` and `changes.tsv`). Prints one JSON document. Memory is bounded by what the
transactions that are open at one time have changed.

Sources: PostgreSQL, src/backend/access/rmgrdesc/{heapdesc,xactdesc,standbydesc}.c of 12 to 18 (what a record is called
there), src/bin/pg_waldump/pg_waldump.c (several --rmgr since 15; it ends with an error at the end of WAL).
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
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, BinaryIO

from pgops_recover.remote.segments import (
    BEFORE_SEGMENTS,
    byte_position,
    fetch_missing,
    segment_name,
    written_segments,
)

_FIRST_USER_OID = 16384

_RMGRS = ("Heap", "Heap2", "Transaction", "Standby", "Storage", "Sequence", "Database")
_CHANGE = re.compile(rb"rmgr: Heap[^x]*x: +(\d+), [^d]*desc: ([A-Z_]+)(?:\+INIT)?([^#]*)#0: rel (\d+/\d+/\d+) ")
"""Runs of "no x", "no d" and "no #" in place of any characters, which cost twice the time."""
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
_PLACE = re.compile(r" (?:at|after) ([0-9A-F]+/[0-9A-F]+)")
_FILE = re.compile(rb"(?:base/(\d+)|(global)|pg_tblspc/(\d+)/[^/ ]+/(\d+))/(\d+)")
_STATISTICS = {2619, 2840, 3429, 3430}
"""What ANALYZE writes: pg_statistic, pg_statistic_ext_data, their TOAST tables. Source: src/include/catalog/*.h."""
_LARGE_OBJECTS = {2613, 2995}
"""Catalogues with users' rows: pg_largeobject, pg_largeobject_metadata."""
_SUPER = 0x10
"""The flag of a deletion that takes a speculative insertion back. Source: heapam_xlog.h, XLH_DELETE_IS_SUPER."""
_TOLD = ("tablespace", "database", "filenode", "inserted", "updated", "deleted")


def main(words: list[str]) -> int:
    """Print the account; 74 and a sentence where there is none."""
    os.umask(0o077)
    try:
        print(json.dumps(account(json.loads(words[0]))))
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 74
    return 0


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


_Rows = tuple[dict[tuple[bytes, bytes], int], list[bytes]]
"""What a transaction, or a sub-transaction, did so far: counts by relation and kind, and the changes in their order."""


class _Reader:
    def __init__(self, wish: Mapping[str, Any], scratch: str, ended: BinaryIO, changed: BinaryIO) -> None:
        self._wish = wish
        self._segment_bytes = int(wish["segment_bytes"])
        self._links = f"{scratch}/wal"
        self._starts: dict[int, set[int]] = {}
        self._ended, self._changed = ended, changed
        self._keeps_changes = bool(wish.get("into"))
        self._rows: dict[bytes, _Rows] = {}
        self._prepared: dict[bytes, tuple[str, list[bytes]]] = {}
        self._counts: Counter[tuple[bytes, bytes]] = Counter()
        self._gaps: list[str] = []
        self._early_why: str | None = None
        self._lowest: int | None = None  # the oldest transaction that was committed behind the fork
        self._horizon: int | None = None  # of all from this one on there is every record
        self._settled: int | None = None  # all before this one had ended at the fork
        self._first = self._last = ""
        self._committed = self._aborted = self._straddling = 0
        self._early: set[bytes] = set()
        self._other: Counter[str] = Counter()
        self._files: dict[str, list[list[int]]] = {"new_files": [], "dropped_files": []}
        self._end = 0
        self._behind = False

    def read(self) -> dict[str, Any]:
        started = time.monotonic()
        pieces: Sequence[Mapping[str, Any]] = self._wish["pieces"]
        self._link()
        self._read_before(int(pieces[0]["timeline"]), byte_position(pieces[0]["from"]))
        self._early = set(self._rows)
        self._behind = True
        for piece in pieces:
            begin = byte_position(piece["from"])
            end = None if piece["to"] is None else byte_position(piece["to"])
            self._end = self._read_piece(int(piece["timeline"]), begin, end)
            self._other["wal_bytes"] += max(self._end - begin, 0)
        return self._tell(self._other["wal_bytes"], time.monotonic() - started)

    def _link(self) -> None:
        """One directory with every segment, from the first place that has it."""
        os.mkdir(self._links)
        if self._wish.get("archive"):
            fetch_missing(self._wish)
        for directory in self._wish["wal_dirs"]:
            for name, start in written_segments(directory, self._segment_bytes):
                if not os.path.lexists(f"{self._links}/{name}"):
                    os.symlink(os.path.abspath(f"{directory}/{name}"), f"{self._links}/{name}")
                    self._starts.setdefault(int(name[:8], 16), set()).add(start)

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
            told = self._take_records(timeline, begin, fork)
            if told:
                self._early_why = f"the WAL before the fork cannot be read: {told}"

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
                    self._gaps.append(f"WAL ends at {_lsn(stopped)}, before {_lsn(end)}: {why}")
                return stopped
            self._gaps.append(f"WAL is missing from {_lsn(stopped)} to {_lsn(following)}: {why}")
            at = following

    def _run_end(self, timeline: int, position: int) -> int:
        """Where the first segment behind this place begins that is not there."""
        at = position - position % self._segment_bytes
        while self._has(timeline, at):
            at += self._segment_bytes
        return at

    def _take_records(self, timeline: int, begin: int, end: int | None) -> str:
        """Take in the records from `begin` on; what pg_waldump complained about, or nothing."""
        argv = [self._wish["pg_waldump"], "-p", self._links, "-t", str(timeline), "-s", _lsn(begin)]
        argv += ["-e", _lsn(end)] if end is not None else []
        argv += [word for name in _RMGRS for word in ("-r", name)] if self._filters() else []
        known = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.environ.get("PATH", "")}
        with tempfile.TemporaryFile() as errors:
            with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=errors, env=known, bufsize=1 << 20) as process:
                assert process.stdout is not None  # noqa: S101 - it was asked for
                for line in process.stdout:
                    self._take(line)
            errors.seek(0)
            said = " ".join(errors.read().decode(errors="replace").split())
        return (said[-300:] or f"pg_waldump ended with {process.returncode}") if process.returncode else ""

    def _filters(self) -> bool:
        said = subprocess.run([self._wish["pg_waldump"], "--version"], capture_output=True, timeout=30, check=False)
        version = re.search(rb"\d+", said.stdout)
        return version is not None and int(version[0]) >= 15

    def _take(self, line: bytes) -> None:
        change = _CHANGE.match(line)
        if change is not None:
            xid, name, desc, relation = change.groups()
            kind = _KINDS.get(name)
            if kind is not None and xid != b"0":
                self._take_change(line, xid, kind, desc, relation)
            return
        if not line.startswith((b"rmgr: T", b"rmgr: S", b"rmgr: D", b"rmgr: Heap ")):
            return
        match = _LINE.match(line)
        if match is None:
            return
        rmgr, xid, place, desc = match.groups()
        if rmgr == b"Transaction":
            self._take_end(xid, desc, place)
        elif rmgr == b"Heap":
            self._other["truncated"] += self._behind and desc.startswith(b"TRUNCATE")
        elif rmgr == b"Standby":
            running = _RUNNING.search(desc)
            if running and self._horizon is None:
                self._horizon = int(running[1])
            if running and not self._behind:
                self._settled = int(running[2])
        elif self._behind and rmgr == b"Storage" and desc.startswith(b"CREATE"):
            self._files["new_files"] += _files(desc)
        elif self._behind and rmgr == b"Sequence":
            self._other["sequences"] += 1
        elif self._behind and rmgr == b"Database":
            self._other["databases"] += 1

    def _take_change(self, line: bytes, xid: bytes, kind: bytes, desc: bytes, relation: bytes) -> None:
        rows = self._rows.get(xid)
        if rows is None:
            rows = self._rows[xid] = ({}, [])
        counts, changes = rows
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
            changes.append(b"\t".join((*relation.split(b"/"), kind, xid, *places)) + b"\n")

    def _take_end(self, xid: bytes, desc: bytes, place: bytes) -> None:
        kind, _, rest = desc.partition(b" ")
        family = [xid]
        if b";" in rest:
            subxacts = _SUBXACTS.search(rest)
            family += subxacts[1].split() if subxacts else []
        if kind == b"PREPARE":
            gid = _GID.match(rest)
            self._prepared[xid] = (gid[1].decode(errors="replace") if gid else "", family)
            return
        if not kind.startswith((b"COMMIT", b"ABORT")):
            return
        if kind.endswith(b"_PREPARED"):
            family[0] = xid = rest.partition(b":")[0]
            self._prepared.pop(xid, None)
        done = [rows for rows in [self._rows.pop(member, None) for member in family] if rows is not None]
        if not self._behind:
            return
        if kind.startswith(b"ABORT"):
            self._aborted += 1
        else:
            self._commit(family, done, rest, place, "commit_prepared" if kind.endswith(b"_PREPARED") else "commit")

    def _commit(self, family: list[bytes], done: list[_Rows], rest: bytes, place: bytes, how: str) -> None:
        for member in map(int, family):
            if self._lowest is None or _precedes(member, self._lowest):
                self._lowest = member
        self._straddling += not self._early.isdisjoint(family)
        if b"rels:" in rest:
            for part in rest.split(b";"):
                self._files["dropped_files"] += _files(part) if part.lstrip().startswith(b"rels:") else []
        nodes = {_numbers(relation)[2] for counts, _ in done for relation, _ in counts}
        if nodes and max(nodes) < _FIRST_USER_OID and nodes.isdisjoint(_LARGE_OBJECTS):
            self._other["catalog"] += not nodes <= _STATISTICS
            return  # a change of catalogues alone: autovacuum's, or DDL
        whole, _, fraction = _found(_MOMENT, rest, b"").decode().partition(".")
        at = f"{whole.replace(' ', 'T')}.{fraction:0<6.6}+00:00" if whole else ""
        self._first, self._last = self._first or at, at or self._last
        self._committed += 1
        high, _, low = place.decode().partition("/")
        words = (family[0].decode(), f"{high}/{low.lstrip('0')}", at, how, b",".join(family[1:]).decode())
        self._ended.write(("\t".join(words) + "\n").encode())
        for counts, changes in done:
            for key, count in counts.items():
                self._counts[key] += count
            self._changed.writelines(changes)

    def _tell(self, wal_bytes: int, read_s: float) -> dict[str, Any]:
        why, lowest, horizon = self._early_why, self._lowest, self._horizon
        if not why and lowest is not None and (horizon is None or _precedes(lowest, horizon)):
            why = "a transaction that began before the WAL that is left was committed behind the fork"
        undecided = [{"xid": int(xid), "gid": gid} for xid, (gid, _) in self._prepared.items()]
        waiting = {member for _, family in self._prepared.values() for member in family}
        return {
            "schema": 1,
            "complete": not self._gaps and why is None,
            "gaps": self._gaps,
            "end_lsn": _lsn(self._end),
            "wal_bytes": wal_bytes,
            "read_s": round(read_s, 3),
            "transactions": {
                "count": self._committed,
                "first_at": self._first or None,
                "last_at": self._last or None,
                "aborted": self._aborted,
                "open": len(self._rows.keys() - waiting),
                "prepared": undecided,
            },
            "settled_xid": self._settled,
            "straddling": {"complete": why is None, "count": self._straddling, "why": why},
            "relations": [
                dict(zip(_TOLD, (*_numbers(relation), *(self._counts[relation, kind] for kind in (b"I", b"U", b"D")))))  # noqa: B905 - 3.9
                for relation in sorted({relation for relation, _ in self._counts}, key=_numbers)
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


@lru_cache(maxsize=4096)
def _numbers(relation: bytes) -> tuple[int, int, int]:
    tablespace, database, filenode = relation.split(b"/")
    return int(tablespace), int(database), int(filenode)


def _found(pattern: re.Pattern[bytes], text: bytes, otherwise: bytes = b"-") -> bytes:
    match = pattern.search(text)
    return match[1] if match else otherwise


def _files(text: bytes) -> list[list[int]]:
    """The files that a record names, as (tablespace, database, filenode). Source: relpath.c, pg_tablespace.dat."""
    found = []
    for base, shared, space, database, node in _FILE.findall(text):
        found.append([1664, 0, int(node)] if shared else [int(space or 1663), int(database or base), int(node)])
    return found


def _precedes(one: int, other: int) -> bool:
    """Whether a transaction id is the older one, modulo 2^32. Source: transam.c, TransactionIdPrecedes."""
    return (one - other) & 0xFFFFFFFF > 0x80000000


def _lsn(position: int) -> str:
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
