"""Lines of pg_waldump as PostgreSQL 15 and 16 write them, taken in by the account."""

from __future__ import annotations

import io
from typing import Any

import pytest

from pgops_recover.remote.account import _Reader

HEAD = b"rmgr: %s len (rec/tot):     54/    54, tx:        %d, lsn: 0/0600%04X, prev 0/06000000, desc: "
REL = b", blkref #0: rel 1663/5/20000 blk 7"


class Log:
    """A reader that is fed by hand."""

    def __init__(self, *, behind: bool = True) -> None:
        self.ended, self.changed = io.BytesIO(), io.BytesIO()
        self.reader = _Reader({"segment_bytes": 1 << 24, "pg_waldump": "x"}, "/x", self.ended, self.changed)
        self.reader._behind = behind

    def heap(self, xid: int, desc: bytes, rmgr: bytes = b"Heap") -> Log:
        self.reader._take(HEAD % (rmgr.ljust(11), xid, 1) + desc + REL + b"\n")
        return self

    def end(self, xid: int, desc: bytes, rmgr: bytes = b"Transaction") -> Log:
        self.reader._take(HEAD % (rmgr, xid, 2) + desc + b"\n")
        return self

    def tell(self) -> dict[str, Any]:
        return self.reader._tell(0, 0.0)

    @property
    def counts(self) -> tuple[int, int, int]:
        found = self.tell()["relations"]
        return (found[0]["inserted"], found[0]["updated"], found[0]["deleted"]) if found else (0, 0, 0)


COMMIT = b"COMMIT 2026-11-23 21:13:16.969508 UTC"


@pytest.mark.parametrize(
    ("desc", "rmgr", "counts"),
    [
        (b"INSERT off 1 flags 0x00", b"Heap", (1, 0, 0)),
        (b"INSERT+INIT off: 1, flags: 0x00", b"Heap", (1, 0, 0)),
        (b"MULTI_INSERT+INIT 5 tuples flags 0x02", b"Heap2", (5, 0, 0)),
        (b"MULTI_INSERT ntuples: 3, flags: 0x02, offsets: [1, 2, 3]", b"Heap2", (3, 0, 0)),
        (b"HOT_UPDATE off 1 xmax 740 flags 0x60 ; new off 2 xmax 0", b"Heap", (0, 1, 0)),
        (
            b"UPDATE old_xmax: 740, old_off: 1, old_infobits: [], flags: 0x60, new_xmax: 0, new_off: 2",
            b"Heap",
            (0, 1, 0),
        ),
        (b"DELETE off 3 flags 0x00 KEYS_UPDATED", b"Heap", (0, 0, 1)),
        (b"DELETE xmax: 740, off: 3, infobits: [KEYS_UPDATED], flags: 0x00", b"Heap", (0, 0, 1)),
        (b"LOCK off 1: xid 740: flags 0x00 LOCK_ONLY EXCL_LOCK", b"Heap", (0, 0, 0)),
    ],
)
def test_rows(desc: bytes, rmgr: bytes, counts: tuple[int, int, int]) -> None:
    assert Log().heap(740, desc, rmgr).counts == (0, 0, 0), "not before its commit"
    assert Log().heap(740, desc, rmgr).end(740, COMMIT).counts == counts
    aborted = Log().heap(740, desc, rmgr).end(740, b"ABORT 2026-11-23 21:13:16 UTC")
    assert aborted.counts == (0, 0, 0) and aborted.tell()["transactions"]["aborted"] == 1


def test_a_speculative_insertion_taken_back_is_none() -> None:
    log = Log().heap(740, b"INSERT off 4 flags 0x10").heap(740, b"DELETE off 4 flags 0x10 ").end(740, COMMIT)
    assert log.counts == (0, 0, 0)


def test_subtransactions_come_with_their_parent() -> None:
    log = Log().heap(741, b"INSERT off 1 flags 0x00").heap(742, b"INSERT off 2 flags 0x00")
    log.end(742, b"ABORT 2026-11-23 21:13:16 UTC").end(740, COMMIT + b"; subxacts: 741 ; inval msgs: catcache 7")
    assert log.counts == (1, 0, 0)
    assert log.ended.getvalue() == b"740\t0/6000002\t2026-11-23T21:13:16.969508+00:00\tcommit\t741\n"


def test_prepared_transactions() -> None:
    log = Log().heap(740, b"INSERT off 1 flags 0x00").end(740, b"PREPARE gid one: 2026-11-23 21:13:16 UTC")
    told = log.tell()["transactions"]
    assert told["prepared"] == [{"xid": 740, "gid": "one"}] and told["open"] == 0 and told["count"] == 0
    log.end(0, b"COMMIT_PREPARED 740: 2026-11-23 21:14:16.5 UTC")
    assert log.counts == (1, 0, 0) and log.tell()["transactions"]["prepared"] == []
    assert b"\t2026-11-23T21:14:16.500000+00:00\tcommit_prepared\t" in log.ended.getvalue()


def test_rows_of_before_the_fork_count_when_they_commit_behind_it() -> None:
    log = Log(behind=False).end(
        0, b"RUNNING_XACTS nextXid 740 latestCompletedXid 739 oldestRunningXid 740", b"Standby    "
    )
    log.heap(740, b"INSERT off 1 flags 0x00").heap(741, b"INSERT off 2 flags 0x00").end(741, COMMIT)
    log.reader._early, log.reader._behind = set(log.reader._rows), True
    told = log.end(740, COMMIT).tell()
    assert log.counts == (1, 0, 0), "the one that committed before the fork is on both sides"
    assert told["straddling"] == {"complete": True, "count": 1, "why": None}


def test_a_transaction_older_than_the_wal_makes_it_incomplete() -> None:
    log = Log(behind=False).end(
        0, b"RUNNING_XACTS nextXid 740 latestCompletedXid 738 oldestRunningXid 730", b"Standby    "
    )
    log.reader._behind = True
    log.end(0, b"RUNNING_XACTS nextXid 750 latestCompletedXid 749 oldestRunningXid 750", b"Standby    ")
    told = log.end(730, COMMIT).tell()
    assert told["settled_xid"] == 730, "what is told behind the fork is of one side alone"
    assert not told["complete"] and "began before the WAL that is left" in told["straddling"]["why"]


def test_catalogues_alone_are_no_users_transaction() -> None:
    line = HEAD % (b"Heap       ", 740, 1) + b"INPLACE off 40"
    log = Log()
    log.reader._take(line + b", blkref #0: rel 1663/5/1259 blk 3\n")
    log.reader._take(
        HEAD % (b"Heap       ", 740, 1) + b"HOT_UPDATE off 1 ; new off 2, blkref #0: rel 1663/5/1259 blk 3\n"
    )
    assert log.end(740, COMMIT).tell()["transactions"]["count"] == 0
