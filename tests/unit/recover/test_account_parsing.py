"""Whole lines of pg_waldump, of PostgreSQL 12 to 14, 15, and 16 to 18, and where a change is told to be."""

from __future__ import annotations

import pytest

from unit.recover.waldump_log import Log

OLD = b"rmgr: Heap        len (rec/tot):     59/    59, tx:        740, lsn: 0/0551BE68, prev 0/0551BE20, desc: "
LARGE = b"rmgr: Heap2       len (rec/tot): 123456/123456, tx: 4294967290, lsn: A/FF000028, prev A/FEFFFFD0, desc: "
COMMIT = (
    b"rmgr: Transaction len (rec/tot):     34/    34, tx: %10s, lsn: 0/05521A68, prev 0/05521A18, "
    b"desc: COMMIT 2026-11-23 22:13:37.4 UTC%s\n"
)


@pytest.mark.parametrize(
    ("desc", "place"),
    [
        (b"DELETE off 3 flags 0x00 KEYS_UPDATED , blkref #0: rel 1663/5/20000 blk 7 FPW", b"D\t740\t7\t3\t-\t-"),
        (
            b"DELETE xmax: 740, off: 3, infobits: [KEYS_UPDATED], flags: 0x00, blkref #0: rel 1663/5/20000 blk 7",
            b"D\t740\t7\t3\t-\t-",
        ),
        (
            b"HOT_UPDATE off 53 xmax 740 flags 0x20 ; new off 105 xmax 0, blkref #0: rel 1663/5/20000 blk 7",
            b"U\t740\t7\t53\t7\t105",
        ),
        (
            b"HOT_UPDATE old_xmax: 740, old_off: 53, old_infobits: [], flags: 0x20, new_xmax: 0, new_off: 105, "
            b"blkref #0: rel 1663/5/20000 blk 7",
            b"U\t740\t7\t53\t7\t105",
        ),
        (
            b"UPDATE+INIT off 52 xmax 740 flags 0x01 KEYS_UPDATED ; new off 1 xmax 0, blkref #0: rel 1663/5/20000 blk 8199, "
            b"blkref #1: rel 1663/5/20000 blk 1248 FPW",
            b"U\t740\t1248\t52\t8199\t1",
        ),
        (
            b"UPDATE old_xmax: 740, old_off: 52, old_infobits: [KEYS_UPDATED], flags: 0x01, new_xmax: 9, new_off: 25, "
            b"blkref #0: rel 1663/5/20000 blk 8199, blkref #1: rel 1663/5/20000 blk 1248",
            b"U\t740\t1248\t52\t8199\t25",
        ),
    ],
)
def test_places(desc: bytes, place: bytes) -> None:
    log = Log([], [OLD + desc + b"\n", COMMIT % (b"740", b"")])
    assert log.changes() == b"1663\t5\t20000\t" + place + b"\n"


def test_large_records_and_numbers() -> None:
    line = LARGE + b"MULTI_INSERT+INIT ntuples: 61, flags: 0x02, blkref #0: rel 16500/5/20000 blk 4294967290 FPW\n"
    told = Log([], [line, COMMIT % (b"4294967290", b"; inval msgs: relcache 20000")]).tell()
    assert told["relations"] == [
        {"tablespace": 16500, "database": 5, "filenode": 20000, "inserted": 61, "updated": 0, "deleted": 0}
    ]


@pytest.mark.parametrize(
    "desc",
    [
        b"LOCK off 46: xid 740: flags 0x01 LOCK_ONLY EXCL_LOCK , blkref #0: rel 1663/5/20000 blk 7 FPW",
        b"LOCK xmax: 740, off: 46, infobits: [LOCK_ONLY, EXCL_LOCK], flags: 0x01, blkref #0: rel 1663/5/20000 blk 7",
        b"HEAP_CONFIRM off: 3, blkref #0: rel 1663/5/20000 blk 7",
        b"INPLACE off: 3, blkref #0: rel 1663/5/20000 blk 7",
        b"PRUNE_ON_ACCESS snapshotConflictHorizon: 9, isCatalogRel: F, nplans: 0, blkref #0: rel 1663/5/20000 blk 7",
        b"NEW_CID rel: 1663/5/20000, tid: 7/3, cmin: 0, cmax: 4294967295, combo: 4294967295",
        b"",
    ],
)
def test_what_changes_no_row(desc: bytes) -> None:
    told = Log([], [OLD + desc + b"\n", b"first record is after 0/1, at 0/2\n", COMMIT % (b"740", b"")]).tell()
    assert told["relations"] == [] and told["transactions"]["count"] == 1


def test_dropped_files_are_those_of_the_commit_and_not_its_statistics() -> None:
    rest = b"; rels: base/5/16400 pg_tblspc/16500/PG_15_202209061/5/16401; subxacts: 741; dropped stats: 2/5/16400"
    told = Log([], [COMMIT % (b"740", rest)]).tell()
    assert told["other"]["dropped_files"] == [[1663, 5, 16400], [16500, 5, 16401]]


def test_a_prepared_transaction_that_is_undecided_is_not_open_as_well() -> None:
    head = b"rmgr: %b len (rec/tot):     59/    59, tx: %10d, lsn: 0/0551BE68, prev 0/0551BE20, desc: %b\n"
    insertion = b"INSERT off: 1, flags: 0x08, blkref #0: rel 1663/5/20000 blk 7"
    prepare = b"PREPARE gid a: strange; gid: 2026-11-23 22:13:37.456076 UTC; subxacts: 741 742"
    lines = [head % (b"Heap       ", xid, insertion) for xid in (740, 741, 742, 743)]
    told = Log([], [*lines, head % (b"Transaction", 740, prepare)]).tell()["transactions"]
    assert told["open"] == 1 and told["prepared"] == [{"xid": 740, "gid": "a: strange; gid"}]


@pytest.mark.parametrize(("node", "transactions", "catalog"), [(2613, 1, 0), (1259, 0, 1), (2619, 0, 0)])
def test_catalogues(node: int, transactions: int, catalog: int) -> None:
    """Large objects are users' rows, DDL is told as such, and statistics are neither."""
    line = OLD + b"INSERT off 1 flags 0x00, blkref #0: rel 1663/5/%d blk 7\n" % node
    told = Log([], [line, COMMIT % (b"740", b"")]).tell()
    assert (told["transactions"]["count"], told["other"]["catalog"]) == (transactions, catalog)
