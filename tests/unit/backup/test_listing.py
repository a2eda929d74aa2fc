"""What `pgops backup list` tells."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from pgops.config.model import ClusterConfig, DcsConfig, DcsKind
from pgops.errors import ConfigError, Unreachable
from pgops.observe.facts import Backup, RepositoryStatus, StanzaFacts
from pgops.observe.keys import parse_keys
from pgops.observe.record_facts import LockRecord
from pgops.observe.snapshot import Node, Snapshot
from pgops.readings import Known, Reading, Skipped, Unknown
from pgops_backup import listing_text
from pgops_backup.listing import Underway, find_underway, list_rows
from pgops_backup.seeing import Seen, find_witnesses, need_witnesses, remarks, unread_repositories
from unit.backup.archives import at, backup
from unit.backup.stanzas import stanza

CLUSTER = ClusterConfig("demo", "demo", DcsConfig(DcsKind.ETCD3, ()), stanza="demo")
LOCK = LockRecord("backup", "RUN1", "ann", "desk", 7, "back up demo", at(55))
MADE = (
    backup("F", 2, 2, 10, annotations={"pgops-run": "RUN0"}),
    backup("F_D", 4, 4, 20, kind="diff", references=("F",)),
    backup("X_I", 6, 6, 30, kind="incr", references=("X", "X_D"), error=True),
    backup("old", 1, 1, 5, database_id=1),
)


def node(name: str, seen: Reading[StanzaFacts]) -> Node:
    return Node(name, True, None, None, None, stanza=seen)


def snapshot(*nodes: Node, leader: str | None = "n2", locks: tuple[LockRecord, ...] = ()) -> Snapshot:
    keys = replace(parse_keys("/service/demo/", {}, {}), leader=leader, locks=locks)
    return Snapshot(CLUSTER, at(60), frozenset(), nodes, Known(keys))


def present(*backups: Backup) -> StanzaFacts:
    """Of a stanza that was upgraded: its second database is the present one."""
    there = tuple(replace(item, database_id=1 if item.label == "old" else 2) for item in backups)
    return stanza(*there, current_database_id=2)


def test_rows() -> None:
    rows = {row.backup.label: row for row in list_rows(present(*MADE), at(60))}
    assert list(rows) == ["old", "F", "F_D", "X_I"]
    assert (rows["F"].age_s, rows["F"].duration_s, rows["F"].run, rows["F"].broken) == (3000, 60, "RUN0", None)
    assert (rows["F_D"].needs, rows["F_D"].broken, rows["F_D"].run) == (("F",), None, None)
    assert rows["X_I"].broken == "it depends on X, which is not there"
    assert [row.present for row in rows.values()] == [False, True, True, True]


def test_the_table_says_what_is_unknown() -> None:
    bare = replace(
        MADE[0], size_bytes=None, repository_delta_bytes=None, timeline=None, wal_start=None, wal_stop=None, error=None
    )
    text = listing_text.render(Seen("demo", "n2", at(60), None), list_rows(present(bare), at(60)), (), ())
    assert text.count("unknown") == 6
    whole = listing_text.render(Seen("demo", "n2", at(60), None), list_rows(present(*MADE), at(60)), (), ("mind",))
    for word in ("1000 B", "100 B", "50m", "RUN0", "whole, on F", "BROKEN, on X_D and 1 more", "ERRORS", "note: mind"):
        assert word in whole
    assert "note: X_I: it depends on X, which is not there" in whole and "earlier database" in whole
    assert "there is no backup" in listing_text.render(Seen("demo", "n2", at(60), None), (), (), ())


def test_control_characters_do_not_reach_the_terminal() -> None:
    odd = replace(MADE[0], label="\x1b[2J")
    assert "\x1b" not in listing_text.render(Seen("demo", "n2", at(60), None), list_rows(present(odd), at(60)), (), ())


def test_the_document() -> None:
    rows = list_rows(present(*MADE), at(60))
    record = listing_text.document(Seen("demo", "n2", at(60), None), rows, (), ())
    first = record["backups"][1]
    assert (first["label"], first["age_s"], first["pgops_run"], first["chain_whole"]) == ("F", 3000, "RUN0", True)
    assert record["backups"][3]["chain_fault"] == "it depends on X, which is not there"
    assert record["seen_from"] == "n2" and record["running"] == []


def test_what_runs_is_seen_on_the_host_where_it_runs() -> None:
    busy = replace(stanza(*MADE), backup_running=True, progress_size_bytes=1000, progress_done_bytes=250)
    seen = snapshot(node("n1", Known(busy)), node("n2", Known(stanza(*MADE))), locks=(LOCK,))
    (found,) = find_underway(seen, find_witnesses(seen))
    assert (found.host, found.run, found.share) == ("n1", "RUN1", 0.25)
    text = listing_text.render(Seen("demo", "n2", at(60), None), (), (found,), ())
    assert "back up demo" in text and "on n1" in text and "25% of 1000 B" in text and "run RUN1" in text


def test_a_strangers_backup_and_a_lock_without_one() -> None:
    busy = replace(stanza(*MADE), backup_running=True)
    alone = snapshot(node("n1", Known(busy)))
    (found,) = find_underway(alone, find_witnesses(alone))
    assert found == Underway("n1", None, None, None, None, None, None) and found.share is None
    assert "not a run of pgops" in listing_text.render(Seen("demo", "n1", at(60), None), (), (found,), ())
    locked = snapshot(node("n1", Known(stanza(*MADE))), locks=(LOCK,))
    (early,) = find_underway(locked, find_witnesses(locked))
    assert (early.host, early.by) == (None, "ann on desk")
    still = snapshot(node("n1", Known(stanza(*MADE))))
    assert find_underway(still, find_witnesses(still)) == ()


def test_the_lock_holders_view_comes_first() -> None:
    seen = snapshot(*(node(name, Known(stanza(*MADE))) for name in ("n1", "n2", "n3")))
    assert [witness.name for witness in find_witnesses(seen)] == ["n2", "n1", "n3"]
    assert remarks(seen, find_witnesses(seen)) == ()


def test_remarks() -> None:
    bad = replace(
        stanza(MADE[0]), repositories=(replace(stanza().repositories[0], code=2, message="no valid backups"),)
    )
    seen = snapshot(
        node("n1", Known(bad)), node("n2", Known(stanza(*MADE))), node("n3", Unknown("it is dark")), leader=None
    )
    text = " | ".join(remarks(seen, find_witnesses(seen)))
    assert "n1 sees 1, n2 sees 4" in text and "n3 could not read the repository: it is dark" in text
    assert "status 2, no valid backups" in text and "who leads is not known" in text


def test_nobody_could_read_it() -> None:
    dark = snapshot(node("n1", Unknown("it is dark")), node("n2", Unknown("it is dark")))
    with pytest.raises(Unreachable, match="n1, n2: it is dark"):
        need_witnesses(dark)
    nowhere = snapshot(node("n1", Skipped("no host is configured for this member")))
    with pytest.raises(ConfigError):
        need_witnesses(nowhere)
    with pytest.raises(ConfigError, match="no pgBackRest stanza"):
        need_witnesses(replace(dark, cluster=replace(CLUSTER, stanza=None)))


def test_age_and_duration_are_of_the_stop() -> None:
    (row,) = list_rows(stanza(MADE[0]), MADE[0].stopped_at + timedelta(days=2, hours=3))
    assert "2d 3h" in listing_text.render(Seen("demo", "n2", at(60), None), (row,), (), ())


@pytest.mark.parametrize("code", [1, 3, 99])
def test_a_repository_that_cannot_be_read_is_not_an_empty_one(code: int) -> None:
    """An unmounted repository looks like one without the stanza."""
    fault = RepositoryStatus(1, code, "missing stanza path\nHINT: more of it")
    blind = replace(stanza(), code=code, repositories=(fault,))
    dark = snapshot(node("n1", Known(blind)), node("n2", Known(blind)))
    with pytest.raises(Unreachable, match=f"n1, n2: repository 1: status {code}, missing stanza path") as raised:
        need_witnesses(dark)
    assert raised.value.why is not None and "HINT" not in raised.value.why
    partly = snapshot(node("n1", Known(blind)), node("n3", Known(stanza(*MADE))))
    assert [witness.name for witness in need_witnesses(partly)] == ["n3"]
    assert "n1 could not read the repository" in " ".join(remarks(partly, need_witnesses(partly)))


def test_an_empty_repository_can_be_read() -> None:
    empty = replace(stanza(), code=2, repositories=(RepositoryStatus(1, 2, "no valid backups"),))
    assert need_witnesses(snapshot(node("n1", Known(empty))))[0].stanza == empty


def test_one_of_two_repositories() -> None:
    half = replace(
        stanza(*MADE), repositories=(RepositoryStatus(1, 0, "ok"), RepositoryStatus(2, 99, "permission denied"))
    )
    assert dict(unread_repositories(half)) == {2: "status 99, permission denied"}
    seen = snapshot(node("n1", Known(half)), leader="n1")
    assert remarks(seen, need_witnesses(seen)) == ("repository 2: status 99, permission denied",)
