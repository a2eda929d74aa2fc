"""How members stand to a survivor: what is not known is said, and never called nothing."""

from __future__ import annotations

from dataclasses import replace

from pgops.observe.facts import BranchFacts
from pgops.observe.snapshot import Snapshot, View
from pgops.readings import Known, Unknown, known
from pgops.testing.fake_cluster import FakeCluster
from pgops_recover.diagnosing import Parting, compare_all, find_branch

VIEWS = frozenset({View.DCS, View.SQL, View.BRANCH})


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


def test_ahead_on_one_timeline_is_two_branches_with_one_number() -> None:
    fake = FakeCluster()
    now = fake.snapshot(VIEWS)
    node = now.node("n2")
    sql = known(node.sql) if node else None
    assert node is not None and sql is not None and sql.receive_bytes is not None
    ahead = now.with_node(replace(node, sql=Known(replace(sql, receive_bytes=sql.receive_bytes + 1))))
    assert "two branches with one number" in str(compare_all(ahead, "n1")["n2"])
