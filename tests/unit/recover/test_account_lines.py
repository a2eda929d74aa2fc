"""Lines of pg_waldump as PostgreSQL 15 and 16 write them, taken in by the account."""

from __future__ import annotations

import pytest

from unit.recover.waldump_log import Log

HEAD = b"rmgr: %s len (rec/tot):     54/    54, tx: %10d, lsn: 0/0600%04X, prev 0/06000000, desc: "
REL = b", blkref #0: rel 1663/5/20000 blk 7"


def heap(xid: int, desc: bytes, rmgr: bytes = b"Heap") -> bytes:
    """A line about the table."""
    return HEAD % (rmgr.ljust(11), xid, 1) + desc + REL + b"\n"


def end(xid: int, desc: bytes, rmgr: bytes = b"Transaction") -> bytes:
    """A line about a transaction."""
    return HEAD % (rmgr, xid, 2) + desc + b"\n"


def counts(log: Log) -> tuple[int, int, int]:
    """Rows of the table that were inserted, updated, deleted."""
    found = log.tell()["relations"]
    return (found[0]["inserted"], found[0]["updated"], found[0]["deleted"]) if found else (0, 0, 0)


COMMIT = b"COMMIT 2026-11-23 21:13:16.969508 UTC"


@pytest.mark.parametrize(
    ("desc", "rmgr", "rows"),
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
def test_rows(desc: bytes, rmgr: bytes, rows: tuple[int, int, int]) -> None:
    line = heap(740, desc, rmgr)
    assert counts(Log([], [line])) == (0, 0, 0), "not before its commit"
    assert counts(Log([], [line, end(740, COMMIT)])) == rows
    aborted = Log([], [line, end(740, b"ABORT 2026-11-23 21:13:16 UTC")])
    assert counts(aborted) == (0, 0, 0) and aborted.tell()["transactions"]["aborted"] == 1


@pytest.mark.parametrize("desc", [b"DELETE off 4 flags 0x10 ", b"DELETE xmax: 740, off: 4, infobits: [], flags: 0x1A"])
def test_a_speculative_insertion_taken_back_is_none(desc: bytes) -> None:
    log = Log([], [heap(740, b"INSERT off 4 flags 0x10"), heap(740, desc), end(740, COMMIT)])
    assert counts(log) == (0, 0, 0)


def test_subtransactions_come_with_their_parent() -> None:
    log = Log([], [heap(741, b"INSERT off 1 flags 0x00"), heap(742, b"INSERT off 2 flags 0x00")])
    log.behind.append(end(742, b"ABORT 2026-11-23 21:13:16 UTC"))
    log.behind.append(end(740, COMMIT + b"; subxacts: 741 ; inval msgs: catcache 7"))
    assert counts(log) == (1, 0, 0)
    assert log.transactions() == b"740\t0/6000002\t2026-11-23T21:13:16.969508+00:00\tcommit\t741\n"


def test_prepared_transactions() -> None:
    log = Log([], [heap(740, b"INSERT off 1 flags 0x00"), end(740, b"PREPARE gid one: 2026-11-23 21:13:16 UTC")])
    told = log.tell()["transactions"]
    assert told["prepared"] == [{"xid": 740, "gid": "one"}] and told["open"] == 0 and told["count"] == 0
    log.behind.append(end(0, b"COMMIT_PREPARED 740: 2026-11-23 21:14:16.5 UTC"))
    assert counts(log) == (1, 0, 0) and log.tell()["transactions"]["prepared"] == []
    assert b"\t2026-11-23T21:14:16.500000+00:00\tcommit_prepared\t" in log.transactions()


def test_rows_of_before_the_fork_count_when_they_commit_behind_it() -> None:
    running = end(0, b"RUNNING_XACTS nextXid 740 latestCompletedXid 739 oldestRunningXid 740", b"Standby    ")
    before = [running, heap(740, b"INSERT off 1 flags 0x00"), heap(741, b"INSERT off 2 flags 0x00"), end(741, COMMIT)]
    log = Log(before, [end(740, COMMIT)])
    told = log.tell()
    assert counts(log) == (1, 0, 0), "the one that committed before the fork is on both sides"
    assert told["straddling"] == {"complete": True, "count": 1, "why": None}


def test_a_transaction_older_than_the_wal_makes_it_incomplete() -> None:
    early, late = (
        end(0, b"RUNNING_XACTS nextXid %d latestCompletedXid %d oldestRunningXid %d" % numbers, b"Standby    ")
        for numbers in ((740, 738, 730), (750, 749, 750))
    )
    told = Log([early], [late, end(730, COMMIT)]).tell()
    assert told["settled_xid"] == 730, "what is told behind the fork is of one side alone"
    assert not told["complete"] and "began before the WAL that is left" in told["straddling"]["why"]


def test_ids_that_began_anew_are_not_the_oldest() -> None:
    """The snapshot knows of every transaction from 4294967290 on; 5 and 10 are younger."""
    running = end(0, b"RUNNING_XACTS nextXid 4294967290 latestCompletedXid 7 oldestRunningXid 7", b"Standby    ")
    lines = [line for xid in (10, 4294967294, 5) for line in (heap(xid, b"INSERT off 1 flags 0x00"), end(xid, COMMIT))]
    log = Log([running], lines)
    assert log.tell()["straddling"]["complete"] and counts(log) == (3, 0, 0)
    log.behind += [heap(4294967280, b"INSERT off 1 flags 0x00"), end(4294967280, COMMIT)]
    assert not log.tell()["straddling"]["complete"]


def test_catalogues_alone_are_no_users_transaction() -> None:
    head = HEAD % (b"Heap       ", 740, 1)
    inplace = head + b"INPLACE off 40, blkref #0: rel 1663/5/1259 blk 3\n"
    update = head + b"HOT_UPDATE off 1 ; new off 2, blkref #0: rel 1663/5/1259 blk 3\n"
    assert Log([], [inplace, update, end(740, COMMIT)]).tell()["transactions"]["count"] == 0
