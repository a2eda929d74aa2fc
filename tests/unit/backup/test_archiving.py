"""Whether WAL comes into the repository: settings, and a push that was tried."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgops.checks import Verdict
from pgops.config.model import HostConfig
from pgops.observe.snapshot import Snapshot
from pgops.readings import Known, Unknown, reason
from pgops_backup.archiving import LEFT_OUT, Push, choose_pusher, find_push, find_settings, parse_landed
from unit.checks import worlds as w

CHECKED = """\
2026-11-23 09:26:58.949 P00   INFO: check repo1 configuration (primary)
2026-11-23 09:26:59.251 P00   INFO: WAL segment 000000010000000000000001 successfully archived to '/r/archive/demo/15-1/\
0000000100000000/000000010000000000000001-cc14a818ed8fe449c7469c2bafe48a192781f3de.gz' on repo1
2026-11-23 09:26:59.261 P00   INFO: WAL segment 000000010000000000000001 successfully archived to '/s/a' on repo2
"""


def configured(snapshot: Snapshot, **changes: str) -> Snapshot:
    hosts = tuple(HostConfig(name, **changes) for name in ("n1", "n2", "n3"))  # type: ignore[arg-type]
    return replace(snapshot, cluster=replace(snapshot.cluster, hosts=hosts))


def test_what_a_check_says_of_each_repository() -> None:
    assert parse_landed(CHECKED) == ((1, "000000010000000000000001"), (2, "000000010000000000000001"))
    assert parse_landed("nothing of the kind") == ()


@pytest.mark.parametrize(
    ("push", "verdict", "text"),
    [
        (Push("n1", 0.94, ((1, "0" * 24),)), Verdict.OK, "came into repository 1 in 0.9 s"),
        (Push("n1", 0.94), Verdict.UNKNOWN, "names no segment"),
        (Push("n1", 60.1, fault="WAL did not come", next_step="look"), Verdict.CRITICAL, "WAL did not come"),
    ],
)
def test_a_push_that_was_tried(push: Push, verdict: Verdict, text: str) -> None:
    (finding,) = find_push(Known(push))
    assert (finding.verdict, finding.subject) == (verdict, "n1")
    assert text in finding.text


def test_a_push_that_was_not_tried() -> None:
    (left_out,), (unseen,) = find_push(LEFT_OUT), find_push(Unknown("nobody leads"))
    assert (left_out.verdict, "--no-push" in left_out.text) == (Verdict.SKIPPED, True)
    assert (unseen.verdict, unseen.text) == (Verdict.UNKNOWN, "no push was tried: nobody leads")


def test_it_is_the_leader_that_pushes() -> None:
    assert choose_pusher(configured(w.healthy())) == Known("n1")


@pytest.mark.parametrize(
    ("snapshot", "why"),
    [
        (w.with_keys(leader=None), "no member is known to hold the leader lock"),
        (replace(w.healthy(), keys=Unknown("etcd: refused")), "leader lock: etcd: refused"),
        (w.with_sql("n2", in_recovery=False), "several members take writes"),
        (w.with_sql("n1", in_recovery=True), "n1 holds the leader lock, and is not seen to take writes"),
        (w.with_keys(leader="n9"), "n9 holds the leader lock"),
    ],
)
def test_where_none_is_certain_nobody_pushes(snapshot: Snapshot, why: str) -> None:
    assert why in reason(choose_pusher(configured(snapshot)))


def test_a_leader_whose_host_is_not_configured() -> None:
    snapshot = configured(w.healthy())
    snapshot = replace(snapshot, cluster=replace(snapshot.cluster, hosts=snapshot.cluster.hosts[1:]))
    assert "no host is configured for n1" in reason(choose_pusher(snapshot))


@pytest.mark.parametrize(
    "command",
    [
        "pgbackrest --stanza=demo archive-push %p",
        'pgbackrest --stanza demo archive-push "%p"',
        "/usr/bin/pgbackrest --config=/c --stanza=demo archive-push %p",
        "pgbackrest archive-push %p",
        "timeout 60 pgbackrest --stanza=demo archive-push '%p",
    ],
)
def test_commands_that_push_into_this_stanza(command: str) -> None:
    found = list(find_settings(w.with_settings("n1", archive_command=w.setting(command))))
    assert [finding.verdict for finding in found] == [Verdict.OK]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"archive_mode": w.setting("off")}, "archive_mode is off"),
        ({"archive_command": w.setting("")}, "archive_command '(empty)' does not push"),
        ({"archive_command": w.setting("cp %p /archive/%f")}, "does not push with pgBackRest"),
        ({"archive_command": w.setting("pgbackrest --stanza=demo info" + " " * 200 + "x")}, "..."),
        (
            {"archive_command": w.setting("pgbackrest --stanza=other archive-push %p")},
            "into stanza other, not into demo",
        ),
        ({"archive_command": w.setting("pgbackrest --config=/x --stanza=demo archive-push %p")}, "reads /x, and pgops"),
        ({"archive_library": w.setting("basic_archive")}, "takes the place of archive_command"),
    ],
)
def test_settings_that_do_not_archive(settings: dict[str, object], text: str) -> None:
    leader = configured(w.with_settings("n1", **settings), pgbackrest_config="/etc/p.conf")  # type: ignore[arg-type]
    replica = configured(w.with_settings("n2", **settings), pgbackrest_config="/etc/p.conf")  # type: ignore[arg-type]
    first, rest = find_settings(leader)
    assert (first.verdict, first.subject, text in first.text) == (Verdict.CRITICAL, "n1", True)
    assert first.next_step
    assert rest.verdict is Verdict.OK
    first, _ = find_settings(replica)
    assert (first.verdict, first.subject) == (Verdict.WARNING, "n2")
    assert "as soon as it leads" in first.text


def test_archive_mode_that_somebody_set_by_hand() -> None:
    by_hand = w.setting("off", "/data/postgresql.auto.conf")
    first, _ = find_settings(w.with_settings("n1", archive_mode=by_hand))
    assert "ALTER SYSTEM RESET" in (first.next_step or "")


def test_two_primaries_push_into_one_stanza() -> None:
    first, *_ = find_settings(w.with_sql("n2", in_recovery=False))
    assert (first.verdict, "a split brain: n1, n2" in first.text) == (Verdict.CRITICAL, True)


def test_settings_that_could_not_be_read() -> None:
    found = list(find_settings(w.with_node("n3", sql=Unknown("refused"))))
    assert [(item.verdict, item.subject) for item in found] == [(Verdict.UNKNOWN, "n3"), (Verdict.OK, "")]
