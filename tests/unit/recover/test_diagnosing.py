"""How members stand to a survivor: what is not known is said, and never called nothing."""

from __future__ import annotations

from dataclasses import replace

from pgops.observe.branch_facts import BranchFacts, SameTimeline
from pgops.observe.forks import Fork
from pgops.observe.snapshot import Snapshot, View
from pgops.readings import Known, Unknown, known
from pgops.testing.fake_cluster import FakeCluster
from pgops_recover.diagnosing import Parting, compare_all, find_branch

VIEWS = frozenset({View.DCS, View.SQL, View.BRANCH, View.SAME_TIMELINE})


def look(change: dict[str, object] | None = None, *, own_bytes: int = 0x8000) -> Snapshot:
    """n1 led, froze, and goes on; n2 leads."""
    fake = FakeCluster()
    fake.change("n1", patroni="frozen")
    fake.advance(60)
    fake.change("n1", own_branch=True, position_bytes=fake.ends[2] + own_bytes, holds_lock=False)
    fake.facts["n1"] = dict(change or {})
    return fake.snapshot(VIEWS)


def parting(now: Snapshot) -> Parting:
    found = compare_all(now, "n2")["n1"]
    assert isinstance(found, Parting), found
    return found


def test_what_only_the_loser_has() -> None:
    found = parting(look())
    assert found.diverged and found.takes_writes and found.end_bytes - (found.fork.bytes if found.fork else 0) == 0x8000
    assert "32768 bytes of WAL of its own" in found.describe()


def test_a_second_primary_that_wrote_nothing_yet_loses_as_well() -> None:
    found = parting(look(own_bytes=0))
    assert found.diverged and len(found.pieces) == 1
    assert "has 0 bytes of WAL of its own, and takes writes" in found.describe()


def test_a_replica_that_follows_has_nothing() -> None:
    found = compare_all(look(), "n2")["n3"]
    assert isinstance(found, Parting) and not found.diverged and not found.pieces


def test_unreachable_is_unknown() -> None:
    gone = Unknown("ssh: no answer")
    assert compare_all(look({"branch": gone, "sql": gone}), "n2")["n1"] == "ssh: no answer"
    told = compare_all(look({"sql": gone}), "n2")["n1"]
    assert told == "its PostgreSQL runs, but cannot be asked: ssh: no answer"


def test_a_missing_history_file_is_unknown() -> None:
    now = look()
    node = now.node("n2")
    facts = known(node.branch) if node else None
    assert node is not None and facts is not None
    blind = now.with_node(replace(node, branch=Known(replace(facts, histories={}))))
    assert "history file of its timeline 3 is missing" in str(compare_all(blind, "n2")["n1"])


def test_no_data_directory_is_said() -> None:
    node = look({"branch": Known(BranchFacts(there=False, serving=False))}).node("n1")
    assert node is not None and find_branch(node) == "it has no data directory"


def test_ahead_on_one_timeline_is_a_branch_of_its_own() -> None:
    """What the survivor writes from its end on is another one's, and has the same number."""
    fake = FakeCluster()
    now = fake.snapshot(VIEWS)
    node = now.node("n2")
    sql = known(node.sql) if node else None
    assert node is not None and sql is not None and sql.receive_bytes is not None
    ahead = now.with_node(replace(node, sql=Known(replace(sql, receive_bytes=sql.receive_bytes + 64))))
    found = compare_all(ahead, "n1")["n2"]
    assert isinstance(found, Parting) and found.diverged and found.contested == sql.timeline
    assert found.fork == Fork(sql.timeline or 0, sql.receive_bytes)
    assert "64 bytes of WAL of its own under the same number, 2" in found.describe()


def same_number(*, own_bytes: int = 0x8000, shared_bytes: int = 0x100) -> tuple[Snapshot, int]:
    """n1, promoted by hand, took the number that n2 leads on; their WAL parts at the position that is given back."""
    fake = FakeCluster()
    fake.change("n1", patroni="frozen")
    fake.advance(60)
    begins = fake.ends[2]
    fake.change("n2", position_bytes=begins + 0x9000)
    fake.change("n1", own_branch=True, holds_lock=False, timeline=3, position_bytes=begins + own_bytes)
    fake.parted[frozenset({"n1", "n2"})] = begins + shared_bytes
    return fake.snapshot(VIEWS), begins + shared_bytes


def test_one_number_taken_twice_is_told_apart_by_wal() -> None:
    now, fork = same_number()
    found = parting(now)
    assert found.fork == Fork(3, fork) and found.contested == 3
    assert [(piece.timeline, piece.begins_bytes) for piece in found.pieces] == [(3, fork)]


def test_unless_wal_was_compared_one_number_is_not_known_to_be_one_branch() -> None:
    now, _ = same_number()
    pair = SameTimeline("n1", "n2", 3, Unknown("the WAL files of n1 cannot be seen"))
    told = compare_all(replace(now, same_timeline=Known((pair,))), "n2")["n1"]
    assert (
        told == "both are on timeline 3, and whether it is one branch is not known: the WAL files of n1 cannot be seen"
    )
    told = compare_all(replace(now, same_timeline=Unknown("no time")), "n2")["n1"]
    assert isinstance(told, str) and told.endswith("not known: no time")


def test_histories_that_part_need_no_wal() -> None:
    now = look()
    assert isinstance(compare_all(replace(now, same_timeline=Unknown("gone")), "n2")["n1"], Parting)


def test_a_former_leader_that_streams_without_a_rewind_has_its_own_branch() -> None:
    """It says the survivor's timeline, and its control file how far it replayed the one before."""
    fake = FakeCluster()
    fake.change("n1", patroni="frozen")
    fake.advance(60)
    now = fake.snapshot(VIEWS | {View.HOST})
    node = now.node("n3")
    control = known(node.control) if node else None
    assert node is not None and control is not None
    fork = fake.ends[2]

    def seen(reached: int, timeline: int | None = 2) -> Parting | str:
        told = replace(control, minimum_recovery_bytes=reached, minimum_recovery_timeline=timeline)
        return compare_all(now.with_node(replace(node, control=Known(told))), "n2")["n3"]

    for well in (seen(fork), seen(fork + 0x8000, 3), seen(fork + 0x8000, None)):
        assert isinstance(well, Parting) and not well.diverged, well
    found = seen(fork + 0x8000)
    assert isinstance(found, Parting) and found.diverged and not found.takes_writes
    assert found.fork == Fork(2, fork) and found.end_bytes == fork + 0x8000
    assert [piece.timeline for piece in found.pieces] == [2]
