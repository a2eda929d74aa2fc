"""Clusters in memory in a split brain: what the plain ones in `test_recover` have not, each made the way it comes about."""

from __future__ import annotations

from dataclasses import replace

from pgops.observe.branch_facts import StoredWal
from pgops.observe.facts import ArchiveFacts, StanzaDatabase, StanzaFacts, WalRange
from pgops.readings import Known
from pgops.testing.fake_cluster import FakeCluster, fake_config
from pgops.testing.fake_host import FakeHost
from pgops.testing.fake_member import MIB, SEGMENT_BYTES, history_text

OWN_BYTES = 0x8000
_STANZA = StanzaFacts(
    0,
    "ok",
    (),
    (),
    1,
    None,
    None,
    "15-1",
    backup_running=False,
    databases=(StanzaDatabase(1, 1, "7711099966935465950", "15"),),
)


def freeze(fake: FakeCluster, name: str, leader: str) -> None:
    """This leader's Patroni freezes, the other member is promoted, and the first one goes on taking writes."""
    fake.change(name, patroni="frozen")
    fake.advance(60)
    assert fake.members[leader].holds_lock, f"{leader} was not promoted"
    member = fake.members[name]
    fake.change(name, own_branch=True, holds_lock=False, position_bytes=member.position_bytes + OWN_BYTES)


def archived(fake: FakeCluster, *ranges: WalRange) -> FakeCluster:
    """Every member has the stanza, whose archive holds this WAL and the history files of all that were begun."""
    told = {timeline: history_text(timeline, fake.origins) for timeline in fake.origins}
    fake.archives = (ArchiveFacts(1, "15-1", ranges, told),)
    for name in fake.members:
        fake.facts[name] = {**fake.facts.get(name, {}), "stanza": Known(_STANZA)}
    return fake


def with_stanza() -> FakeCluster:
    """A cluster that archives."""
    return FakeCluster(config=fake_config(("n1", "n2", "n3"), stanza="demo"))


def _recycled(fake: FakeCluster) -> int:
    """n1 wrote on for five segments behind the fork and recycled the first three; the segment of the fork."""
    freeze(fake, "n1", "n2")
    fork = fake.ends[2]
    fake.change("n1", position_bytes=fork + 5 * SEGMENT_BYTES)
    fake.change("n1", wal_from_bytes=(fork // SEGMENT_BYTES + 3) * SEGMENT_BYTES)
    return fork // SEGMENT_BYTES


def recycled() -> FakeCluster:
    """Part of the WAL that only the loser had is gone, and there is no archive."""
    fake = FakeCluster()
    _recycled(fake)
    return fake


def recycled_and_archived() -> FakeCluster:
    """The archive has what the loser recycled."""
    fake = with_stanza()
    first = _recycled(fake)
    return archived(fake, WalRange(2, 0, first + 3))


def recycled_and_archived_in_part() -> FakeCluster:
    """The archive has what the loser recycled, but for one segment."""
    fake = with_stanza()
    first = _recycled(fake)
    return archived(fake, WalRange(2, 0, first), WalRange(2, first + 2, first + 3))


def three_branches() -> FakeCluster:
    """n1 freezes, n2 leads and freezes, n3 leads: each one wrote something of its own."""
    fake = FakeCluster()
    freeze(fake, "n1", "n2")
    fake.change("n2", position_bytes=fake.members["n2"].position_bytes + OWN_BYTES)
    fake.turn()
    fake.change("n3", position_bytes=fake.members["n2"].position_bytes)
    freeze(fake, "n2", "n3")
    fake.change("n3", position_bytes=fake.members["n3"].position_bytes + OWN_BYTES)
    fake.turn()
    return fake


def three_off_one_timeline() -> FakeCluster:
    """n2 was promoted while it had not received all, and n3, which had more and cannot follow it, was promoted by hand."""
    fake = FakeCluster()
    fake.change("n3", patroni="dead")
    fake.change_host("n3", _without_patroni)
    fake.change("n1", position_bytes=fake.members["n1"].position_bytes + OWN_BYTES)
    fake.change("n3", position_bytes=fake.members["n1"].position_bytes)
    freeze(fake, "n1", "n2")
    assert fake.members["n3"].own_branch
    fake.begin_timeline("n3", 4)
    fake.change("n3", position_bytes=fake.members["n3"].position_bytes + OWN_BYTES)
    fake.change("n2", position_bytes=fake.members["n2"].position_bytes + OWN_BYTES)
    fake.turn()
    return fake


def out_of_reach() -> FakeCluster:
    """Of three branches, the host of the oldest one does not answer."""
    fake = three_branches()
    fake.change("n1", host_up=False)
    return fake


def synchronous() -> FakeCluster:
    """In synchronous mode n1 freezes and its standby is promoted, which then writes far more than the lag that may be."""
    fake = FakeCluster()
    fake.patch_config({"synchronous_mode": True})
    fake.advance(10)
    freeze(fake, "n1", "n2")
    end = fake.members["n2"].position_bytes + 5 * MIB
    for name in ("n2", "n3"):
        fake.change(name, position_bytes=end)
    fake.advance(10)
    return fake


def archive_knows_more() -> FakeCluster:
    """Somebody promoted a restored copy once, which archived the history file of its timeline 4 and is long gone."""
    fake = with_stanza()
    freeze(fake, "n1", "n2")
    archived(fake)
    fork = fake.ends[2]
    (archive,) = fake.archives
    astray = history_text(2, fake.origins) + f"2\t0/{fork - OWN_BYTES:X}\tno reason\n"
    fake.archives = (ArchiveFacts(1, "15-1", (), {**archive.histories, 4: astray}),)
    return fake


def barred() -> FakeCluster:
    """n1 was promoted once, and archived a `.partial` file whose name n2 needs as well since it was."""
    fake = with_stanza()
    freeze(fake, "n1", "n2")
    archived(fake)
    name = f"{2:08X}{0:08X}{fake.ends[2] // SEGMENT_BYTES:08X}.partial"
    path = f"archive/demo/15-1/{name[:16]}/{name}-{'a' * 40}.gz"
    fake.barring = (StoredWal(1, path, name, "a" * 40, holders=("n1",), strangers=("n2",)),)
    return fake


def archive_tells_another_way() -> FakeCluster:
    """One that is long gone took the number of n2's timeline as well, and archived its history file last."""
    fake = with_stanza()
    freeze(fake, "n1", "n2")
    archived(fake)
    (archive,) = fake.archives
    other = history_text(2, fake.origins) + f"2\t0/{fake.ends[2] - OWN_BYTES:X}\tno reason\n"
    assert 3 in archive.histories
    fake.archives = (ArchiveFacts(1, "15-1", (), {**archive.histories, 3: other}),)
    return fake


def _without_patroni(host: FakeHost) -> FakeHost:
    return replace(host, running=host.running - {"patroni"})
