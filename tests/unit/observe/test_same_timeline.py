"""Two members on one timeline: whether their WAL parts, and where, found on real files; only pg_waldump is a stand-in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pgops.config.model import HostConfig, Timeouts
from pgops.hosts.factory import open_host
from pgops.observe import same_timeline
from pgops.observe.branch_facts import SameTimeline
from pgops.observe.lsn import format_lsn
from pgops.observe.same_timeline import read_same_timeline
from pgops.observe.snapshot import Snapshot, View
from pgops.observe.timelines import format_segment
from pgops.readings import Known, Unknown, known
from pgops.testing.fake_cluster import FakeCluster

SEGMENT = 1 << 20
VIEWS = frozenset({View.DCS, View.SQL, View.HOST, View.BRANCH})
FIRST = 0x80_0000
RECORD = 1000
"""The stand-in tells of a record every so many bytes."""


class Two:
    """n1 and n2 on timeline 1, each with WAL files from `FIRST` on; both take writes."""

    def __init__(self, top: Path, ends: tuple[int, int]) -> None:
        self.top = top
        names = ("n1", "n2")
        fake = FakeCluster(names)
        whole = fake.snapshot(VIEWS)
        hosts = tuple(HostConfig(name, become=None, data_dir=f"{top}/{name}", bin_dir=f"{top}/bin") for name in names)
        nodes = []
        for name, end in zip(names, ends, strict=True):
            (top / name / "pg_wal").mkdir(parents=True)
            node = whole.node(name)
            sql, branch = (known(node.sql), known(node.branch)) if node else (None, None)
            assert node is not None and sql is not None and branch is not None
            sql = replace(sql, timeline=1, in_recovery=False, flush_bytes=end, segment_bytes=SEGMENT)
            nodes.append(replace(node, sql=Known(sql), branch=Known(replace(branch, histories={}))))
        self.snapshot: Snapshot = replace(whole, cluster=replace(whole.cluster, hosts=hosts), nodes=tuple(nodes))
        program = top / "bin" / "pg_waldump"
        program.parent.mkdir()
        program.write_text(
            "#!/bin/sh\n"
            'echo "$*" >>"$0.asked"\n'
            "start=${6##*/}; at=$(( (0x$start + 999) / 1000 * 1000 ))\n"
            "while [ $at -lt $((0x$start + 3000000)) ]; do printf "
            "'rmgr: Heap  len (rec/tot): 54/ 54, tx: 7, lsn: 0/%08X, prev 0/0, desc: X\\n' $at; at=$((at + 1000)); done\n"
        )
        program.chmod(0o755)

    def write(self, name: str, numbers: range, content: Callable[[int], bytes]) -> None:
        """WAL files of this member, each with the content for its number."""
        for number in numbers:
            (self.top / name / "pg_wal" / self.file(number)).write_bytes(content(number))

    def both(self, numbers: range) -> None:
        """The same files on both."""
        for name in ("n1", "n2"):
            self.write(name, numbers, lambda number: bytes([number % 251]) * SEGMENT)

    def spoil(self, name: str, place: int) -> None:
        """From this position to the end of its file, other bytes."""
        path = self.top / name / "pg_wal" / self.file(place // SEGMENT)
        content = bytearray(path.read_bytes())
        content[place % SEGMENT :] = b"\xee" * (SEGMENT - place % SEGMENT)
        path.write_bytes(content)

    @staticmethod
    def file(number: int) -> str:
        """The file's name."""
        return format_segment(1, number, SEGMENT)

    def compare(self) -> SameTimeline:
        """What comparing says."""
        now = self.snapshot
        for name in ("n1", "n2"):
            node = now.node(name)
            files = known(node.files) if node else None
            assert node is not None and files is not None
            segments = tuple(sorted(path.name for path in (self.top / name / "pg_wal").iterdir()))
            now = now.with_node(replace(node, files=Known(replace(files, segments=segments))))
        hosts = {host.name: open_host(host, Timeouts()) for host in now.cluster.hosts}
        pairs = known(read_same_timeline(now, hosts).same_timeline)
        assert pairs is not None
        (pair,) = pairs
        return pair


def test_the_same_wal_is_one_branch(tmp_path: Path) -> None:
    two = Two(tmp_path, (FIRST + 3 * SEGMENT + 500, FIRST + 3 * SEGMENT + 900))
    two.both(range(8, 12))
    two.spoil("n2", FIRST + 3 * SEGMENT + 500)
    assert two.compare() == SameTimeline("n1", "n2", 1, Known(None)), "what only one has yet is no other branch"


@pytest.mark.parametrize(
    "place", [FIRST + SEGMENT + 8192, FIRST + SEGMENT + 12345, FIRST + 3 * SEGMENT + 1, 9 * SEGMENT]
)
def test_the_record_of_the_first_byte_that_differs_is_the_fork(tmp_path: Path, place: int) -> None:
    two = Two(tmp_path, (FIRST + 4 * SEGMENT, FIRST + 4 * SEGMENT))
    two.both(range(8, 12))
    two.spoil("n2", place)
    for number in range(place // SEGMENT + 1, 12):
        two.spoil("n2", number * SEGMENT)
    assert two.compare().fork_bytes == Known(place // RECORD * RECORD)


def test_many_files_are_compared_from_the_newest_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(same_timeline, "BATCH", 3)
    two = Two(tmp_path, (20 * SEGMENT, 20 * SEGMENT))
    two.both(range(8, 20))
    place = 11 * SEGMENT + 4000
    two.spoil("n1", place)
    for number in range(12, 20):
        two.spoil("n1", number * SEGMENT)
    assert two.compare().fork_bytes == Known(place // RECORD * RECORD)


def test_what_differs_from_the_oldest_common_file_on_parted_before(tmp_path: Path) -> None:
    two = Two(tmp_path, (12 * SEGMENT, 12 * SEGMENT))
    two.both(range(10, 12))
    for number in (10, 11):
        two.spoil("n2", number * SEGMENT)
    told = two.compare().fork_bytes
    assert isinstance(told, Unknown) and two.file(10) in told.reason and "where they part is not known" in told.reason


def test_nothing_in_common_is_unknown(tmp_path: Path) -> None:
    two = Two(tmp_path, (12 * SEGMENT, 12 * SEGMENT))
    two.write("n1", range(8, 10), lambda _: b"x" * SEGMENT)
    two.write("n2", range(10, 12), lambda _: b"x" * SEGMENT)
    assert two.compare().fork_bytes == Unknown("n1 and n2 have no WAL file of timeline 1 in common")


def test_a_file_that_is_cut_off_is_no_fork(tmp_path: Path) -> None:
    two = Two(tmp_path, (12 * SEGMENT, 12 * SEGMENT))
    two.both(range(8, 12))
    path = two.top / "n2" / "pg_wal" / two.file(10)
    path.write_bytes(path.read_bytes()[:5000])
    told = two.compare().fork_bytes
    assert isinstance(told, Unknown) and "recycled while it was compared" in told.reason


def test_files_that_go_meanwhile_are_not_taken_for_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two = Two(tmp_path, (12 * SEGMENT, 12 * SEGMENT))
    two.both(range(8, 12))
    monkeypatch.setattr(same_timeline, "_DIGESTS", 'rm -f -- "$1"/0*\n' + same_timeline._DIGESTS)
    told = two.compare().fork_bytes
    assert told == Unknown(f"the WAL files from {two.file(8)} on were recycled while they were compared")


def test_a_replica_pair_is_not_compared_and_a_silent_program_is_unknown(tmp_path: Path) -> None:
    two = Two(tmp_path, (12 * SEGMENT, 12 * SEGMENT))
    two.both(range(8, 12))
    two.spoil("n2", 9 * SEGMENT + 100)
    (two.top / "bin" / "pg_waldump").write_text("#!/bin/sh\nexit 1\n")
    told = two.compare().fork_bytes
    assert told == Unknown(f"pg_waldump on n1 finds no record before {format_lsn(9 * SEGMENT + 100)}")
    for node in two.snapshot.nodes:
        sql = known(node.sql)
        assert sql is not None
        two.snapshot = two.snapshot.with_node(
            replace(node, sql=Known(replace(sql, in_recovery=True, receive_bytes=12 * SEGMENT)))
        )
    hosts = {host.name: open_host(host, Timeouts()) for host in two.snapshot.cluster.hosts}
    assert read_same_timeline(two.snapshot, hosts).same_timeline == Known(())
