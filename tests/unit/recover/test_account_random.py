"""Logs of many transactions at a time, made at random: every way to read them gives what was put in."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from unit.recover.waldump_log import Log

HEAD = b"rmgr: %-11b len (rec/tot):     59/    59, tx: %10d, lsn: 0/%08X, prev 0/%08X, desc: "
BLOCK = b", blkref #0: rel 1663/5/%d blk %d"
MOMENT = b"2026-11-23 21:13:16.9695%02d UTC"
OLD = {
    "I": b"INSERT off %d flags 0x08",
    "i": b"INSERT+INIT off %d flags 0x00",
    "H": b"HOT_UPDATE off %d xmax 7 flags 0x60 KEYS_UPDATED ; new off 9 xmax 0",
    "U": b"UPDATE off %d xmax 7 flags 0x10 ; new off 9 xmax 0",
    "D": b"DELETE off %d flags 0x02 KEYS_UPDATED ",
    "S": b"DELETE off %d flags 0x10 ",
    "L": b"LOCK off %d: xid 7: flags 0x00 LOCK_ONLY EXCL_LOCK ",
}
NEW = {
    "I": b"INSERT off: %d, flags: 0x08",
    "i": b"INSERT+INIT off: %d, flags: 0x00",
    "H": b"HOT_UPDATE old_xmax: 7, old_off: %d, old_infobits: [], flags: 0x60, new_xmax: 0, new_off: 9",
    "U": b"UPDATE old_xmax: 7, old_off: %d, old_infobits: [KEYS_UPDATED], flags: 0x10, new_xmax: 0, new_off: 9",
    "D": b"DELETE xmax: 7, off: %d, infobits: [KEYS_UPDATED, XMAX_LOCK_ONLY], flags: 0x02",
    "S": b"DELETE xmax: 7, off: %d, infobits: [], flags: 0x10",
    "L": b"LOCK xmax: 7, off: %d, infobits: [LOCK_ONLY, EXCL_LOCK], flags: 0x00",
}
WORTH = {"I": ("I", 1), "i": ("I", 1), "H": ("U", 1), "U": ("U", 1), "D": ("D", 1), "S": ("I", -1)}


class Writer:
    """Writes lines, and remembers what was committed behind the fork."""

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.words = chance, chance.choice((OLD, NEW))
        self.log = Log(keeps_changes=chance.random() < 0.8)
        self.lines = self.log.before
        self.place, self.xid = 0x28, 740
        self.open: dict[int, list[tuple[int, Counter[tuple[int, str]]]]] = {}
        self.prepared: list[int] = []
        self.rows: Counter[tuple[int, str]] = Counter()
        self.commits: list[str] = []

    def line(self, rmgr: bytes, xid: int, desc: bytes) -> None:
        """One more record."""
        self.lines.append(HEAD % (rmgr, xid, self.place, self.place - 8) + desc + b"\n")
        self.place += 0x38

    def change(self) -> None:
        """A change by a transaction, or a sub-transaction, that is new or open."""
        top = self.chance.choice([*(xid for xid in self.open if xid not in self.prepared), self.xid])
        family = self.open.setdefault(top, [])
        if not family or self.chance.random() < 0.2:
            family.append((self.xid, Counter()))
            self.xid += 1
        xid, rows = self.chance.choice(family)
        word, table = self.chance.choice("IiHUDSL"), self.chance.choice((20000, 20000, 20001, 1259, 2619))
        tail = self.chance.choice((b"", b"", b" FPW")) + self.chance.choice(
            (b"", b", blkref #1: rel 1663/5/%d blk 4" % table)
        )
        self.line(b"Heap", xid, self.words[word] % self.chance.randrange(1, 200) + BLOCK % (table, 7) + tail)
        if word in WORTH:
            kind, count = WORTH[word]
            rows[table, kind] += count

    def end(self) -> None:
        """The end of a transaction, or its preparation."""
        if not self.open:
            return
        top = self.chance.choice(list(self.open))
        subxacts = b" ".join(b"%d" % xid for xid, _ in self.open[top][1:])
        rest = MOMENT % self.chance.randrange(100) + (b"; subxacts: " + subxacts if subxacts else b"")
        how = self.chance.choice((b"COMMIT", b"COMMIT", b"COMMIT", b"ABORT", b"PREPARE"))
        if top in self.prepared:
            how = b"COMMIT" if how == b"PREPARE" else how
            self.line(b"Transaction", 0, how + b"_PREPARED %d: " % top + rest)
        elif how == b"PREPARE":
            self.prepared.append(top)
            self.line(b"Transaction", top, b"PREPARE gid a: %d: " % top + rest)
            return
        else:
            self.line(b"Transaction", top, how + b" " + rest)
        family = self.open.pop(top)
        tables = {table for _, rows in family for table, _ in rows}
        if how == b"COMMIT" and self.lines is self.log.behind and (not tables or max(tables) >= 16384):
            self.commits.append(str(top))
            for _, rows in family:
                for key, count in rows.items():
                    self.rows[key] += count

    def other(self) -> None:
        """What says nothing here."""
        desc = self.chance.choice(
            (b"PRUNE latestRemovedXid 3 nredirected 1 ndead 0", b"VISIBLE cutoff xid 0 flags 0x03")
        )
        self.line(b"Heap2", 0, desc + BLOCK % (20000, 7))
        self.line(b"Btree", self.xid, b"INSERT_LEAF off 3" + BLOCK % (20000, 7))


@pytest.mark.parametrize("seed", range(40))
def test_what_was_put_in_comes_out(seed: int) -> None:
    writer = Writer(random.Random(seed))
    for number in range(300):
        if number == 100:
            writer.lines = writer.log.behind
        writer.chance.choice((writer.change, writer.change, writer.change, writer.end, writer.other))()
    told = writer.log.tell()
    found = {
        (each["filenode"], kind): each[word]
        for each in told["relations"]
        for kind, word in (("I", "inserted"), ("U", "updated"), ("D", "deleted"))
    }
    assert {key: count for key, count in found.items() if count} == {
        key: count for key, count in writer.rows.items() if count
    }
    ended = [line.split(b"\t")[0].decode() for line in writer.log.transactions().splitlines()]
    assert ended == writer.commits
    assert sorted(item["xid"] for item in told["transactions"]["prepared"]) == sorted(
        xid for xid in writer.prepared if xid in writer.open
    )
    assert writer.log.keeps_changes or not writer.log.changes()
