"""Branches of the checks that only a less usual cluster takes; and nothing is ok that nobody saw."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from pgops.checks import Verdict
from pgops.config.model import ServiceConfig
from pgops.observe.facts import Activity, Archiver, RepositoryStatus, WalReceiver, WalSender
from pgops.observe.snapshot import NOT_ASKED, Snapshot, SyncKey
from pgops.readings import Known, Skipped, Unknown
from pgops_health.checks import CHECKS
from unit.checks import worlds as w

SILENT = Unknown("REST API: no connection within 1.5 s")
NO_SQL = Unknown("SQL: no answer")


def without_primary() -> Snapshot:
    world = w.healthy()
    return replace(world, nodes=tuple(w.node(name) for name in ("n1", "n2", "n3")))


def by_rest_alone(**changes: object) -> Snapshot:
    """n2 is seen through Patroni only."""
    return w.with_node("n2", sql=NOT_ASKED, rest=Known(w.rest_status(leader=False, **changes)))


def sync_world(mode: object, sync: SyncKey | None, *states: str, names: str = "", **config: object) -> Snapshot:
    """A primary with senders n2, n3, ... of these states, under a synchronous mode."""
    senders = tuple(
        WalSender(f"n{number}", None, "streaming", state, 1, 1, 1, None) for number, state in enumerate(states, 2)
    )
    settings = {**{key: w.setting(value) for key, value in w.SETTINGS.items()}}
    settings["synchronous_standby_names"] = w.setting(names)
    world = w.with_sql("n1", senders=Known(senders), settings=Known(settings))
    return replace(world, keys=Known(w.keys(config={"synchronous_mode": mode, **config}, sync=sync)))


def two_repositories(second_age: timedelta | None) -> Snapshot:
    backups = [w.backup()] + ([w.backup(repo_key=2, age=second_age)] if second_age is not None else [])
    repositories = (RepositoryStatus(1, 0, "ok"), RepositoryStatus(2, 0, "ok"))
    return w.with_node("n1", stanza=Known(w.stanza(*backups, repositories=repositories)))


def archived_to(newest: str, limit_count: int) -> Snapshot:
    """The primary is 17 segments after the first."""
    world = w.with_node("n1", stanza=Known(w.stanza(archive_max=newest)))
    thresholds = replace(world.cluster.thresholds, ready_wal_warning_count=limit_count)
    return replace(world, cluster=replace(world.cluster, thresholds=thresholds))


def supervised() -> Snapshot:
    world = w.with_node("n2", liveness_code=Known(503))
    services = ServiceConfig("supervisor", (("patroni", "lab-{host}:patroni"),))
    return replace(world, cluster=replace(world.cluster, services=services))


CASES: list[tuple[str, str, Snapshot, str]] = [
    ("sync", "ok", sync_world(False, None, names=""), "asynchronous by configuration"),
    ("sync", "ok", sync_world(False, None, "sync", names="n2"), "named by hand"),
    ("sync", "critical", sync_world(False, None, "async", names="n2"), "commits hang"),
    ("sync", "ok", sync_world(True, SyncKey("n1", ("n2",)), "sync", "async"), "synchronous: n2"),
    ("sync", "ok", sync_world("quorum", SyncKey("n1", ("n2", "n3")), "quorum", "quorum"), "synchronous: n2, n3"),
    ("sync", "critical", sync_world(True, SyncKey("n1", ("n2",)), "async"), "no standby is synchronous on the primary"),
    ("sync", "warning", sync_world(True, SyncKey("n3", ("n2",)), "sync"), "the sync key belongs to n3"),
    ("sync", "warning", sync_world(True, SyncKey("n1", ())), "has no synchronous standby"),
    ("sync", "critical", sync_world(True, None, synchronous_mode_strict=True), "it is strict"),
    (
        "sync",
        "unknown",
        replace(w.with_sql("n1", senders=Unknown("x")), keys=sync_world(True, SyncKey("n1", ("n2",))).keys),
        "own view could not be read",
    ),
    ("replicas", "warning", by_rest_alone(state="starting"), "its PostgreSQL is starting"),
    ("replicas", "critical", by_rest_alone(state="start failed"), "its PostgreSQL is start failed"),
    ("replicas", "ok", by_rest_alone(), "streams, by Patroni's word"),
    ("replicas", "critical", by_rest_alone(replication_state="in archive recovery"), "in archive recovery"),
    ("replicas", "unknown", by_rest_alone(replication_state=None), "whether it streams is not known"),
    ("replicas", "skipped", replace(w.healthy(), nodes=(w.node("n1", leader=True),)), "no replica is known"),
    ("lag", "unknown", without_primary(), "so lag cannot be told"),
    ("lag", "unknown", by_rest_alone(received_bytes=None, replayed_bytes=None), "its WAL position is not known"),
    ("ahead", "unknown", without_primary(), "so whether a replica is ahead is not"),
    ("ahead", "unknown", w.with_node("n2", sql=NO_SQL, rest=SILENT), "so whether it is ahead is not (SQL: no answer)"),
    ("ahead", "unknown", by_rest_alone(received_bytes=None, replayed_bytes=None), "so whether it is ahead is not"),
    ("replay-delay", "unknown", without_primary(), "what is left to replay is not"),
    ("replay-delay", "unknown", w.with_node("n2", sql=NO_SQL), "how old its last replayed commit is: SQL: no answer"),
    ("slots", "unknown", without_primary(), "no primary to read slots from"),
    ("slots", "unknown", w.with_sql("n1", slots=Unknown("GRANT pg_monitor")), "GRANT pg_monitor"),
    ("archiving", "unknown", without_primary(), "no primary"),
    (
        "archiving",
        "critical",
        w.with_sql("n1", archiver=Known(Archiver(0, None, None, 3, w.SEGMENT, w.NOW, Known(7)))),
        "it has never succeeded; 0 segments wait",
    ),
    (
        "archiving",
        "ok",
        w.with_sql("n1", archiver=Known(Archiver(0, None, None, 0, None, None, Known(0)))),
        "never yet",
    ),
    ("archiving", "skipped", w.with_settings("n1", archive_mode=w.setting("off")), "archiving is off"),
    ("archive-gap", "unknown", without_primary(), "no primary to compare"),
    ("archive-gap", "critical", archived_to("000000010000000000000001", 4), "nothing of timeline 2 is archived yet"),
    ("archive-gap", "ok", archived_to("000000010000000000000001", 32), "nothing of timeline 2 is archived yet"),
    ("archive-gap", "warning", archived_to("000000020000000000000001", 4), "(limit 4 segments)"),
    ("backup-age", "ok", two_repositories(timedelta(hours=3)), "repository 2: newest 3h old"),
    ("backup-age", "critical", two_repositories(timedelta(days=4)), "repository 2: newest 4d old"),
    (
        "backup-age",
        "ok",
        w.with_node("n1", stanza=Known(w.stanza(w.backup(age=timedelta(days=3), label="old")))),
        "newest 2h old (seen on n2, n3 alone)",
    ),
    ("backup-age", "critical", two_repositories(None), "repository 2: no backup of this database"),
    (
        "backup",
        "critical",
        w.with_node("n1", stanza=Known(w.stanza(repositories=(RepositoryStatus(2, 5, "x"),)))),
        "repository 2: the repositories hold different databases (status code 5, as n1 sees it)",
    ),
    (
        "backup",
        "warning",
        w.with_node("n1", stanza=Known(w.stanza(w.backup(error=True, label="old", age=timedelta(days=2)), w.backup()))),
        "older backups with errors: old",
    ),
    ("backup", "ok", w.with_node("n1", stanza=Known(w.stanza(backup_running=True))), "one is running"),
    ("repository", "unknown", w.with_node("n2", stanza=Unknown("exit code 50")), "not seen: exit code 50"),
    ("repository", "skipped", w.with_node("n2", stanza=Skipped("no host")), "not seen: no host"),
    ("clock", "warning", replace(w.healthy(), nodes=(w.with_sql("n1", clock_skew_s=90.0).nodes[0],)), "1m 30s"),
    ("dcs-members", "ok", w.with_dcs(w.dcs_member("a")), "it is the only one"),
    ("dcs-members", "critical", w.with_dcs(w.dcs_member("a"), alarms=(("id-a", "CORRUPT"),)), "alarm CORRUPT"),
    ("pause", "warning", replace(w.with_rest("n2", pause=True), keys=Unknown("x")), "paused by the word of n2"),
    ("pause", "warning", w.with_keys(config={"pause": True}, records_fault="permission denied"), "permission denied"),
    ("failover-key", "warning", w.with_keys(failover={"leader": "n1", "member": "n2"}), "has not been carried out"),
    ("failover-key", "ok", w.with_keys(failover={}), "no failover or switchover is waiting"),
    ("timing", "unknown", w.with_keys(config=None), "no dynamic configuration"),
    ("failover-capacity", "critical", replace(w.healthy(), nodes=w.healthy().nodes[:1]), "there is no other member"),
    (
        "failover-capacity",
        "warning",
        replace(w.with_rest("n2", timeline=1), keys=w.with_config(check_timeline=True).keys),
        "n2: timeline 1 is behind 2 (check_timeline)",
    ),
    ("failover-capacity", "ok", w.with_config(maximum_lag_on_failover=-1), "n2, n3 could take over"),
    ("transactions", "unknown", without_primary(), "no primary"),
    (
        "transactions",
        "ok",
        w.with_sql("n1", activity=Known(Activity(5.0, "x", 2, 1.0))),
        "oldest open for 5s, 2 prepared",
    ),
    ("rewind", "skipped", w.with_keys(config={}), "each member's own patroni.yml decides"),
    ("primary", "critical", replace(without_primary(), keys=Unknown("x")), "no member takes writes"),
    ("primary", "unknown", replace(w.healthy(), nodes=(), keys=Unknown("gone")), "no member is known: gone"),
    ("lock", "unknown", w.with_node("n1", sql=NO_SQL, rest=SILENT), "whether it takes writes is not known"),
    ("timeline", "unknown", replace(w.healthy(), nodes=()), "no member told its timeline"),
    ("patroni", "unknown", w.with_node("n2", rest=SILENT, sql=NO_SQL, rest_url=None), "no connection within"),
    ("replicas", "critical", w.with_sql("n2", receiver=Known(WalReceiver("waiting", 2, None, None))), "replayed to 0/"),
]


@pytest.mark.parametrize(("check", "verdict", "world", "text"), CASES, ids=[f"{c[0]}-{c[3][:30]}" for c in CASES])
def test_a_branch(check: str, verdict: str, world: Snapshot, text: str) -> None:
    (made,) = [item for item in CHECKS if item.name == check]
    found = list(made.find(world))
    hits = [finding for finding in found if finding.verdict.value == verdict and text in finding.text]
    assert hits, found
    assert all(item.next_step for item in found if item.verdict in (Verdict.WARNING, Verdict.CRITICAL))


def test_the_next_command_is_supervisor_s_where_that_keeps_the_services() -> None:
    (made,) = [item for item in CHECKS if item.name == "patroni"]
    steps = [finding.next_step for finding in made.find(supervised()) if finding.next_step]
    assert steps == ["supervisorctl tail lab-n2:patroni on n2"]


@pytest.mark.parametrize(
    "name", ["replicas", "lag", "ahead", "replay-delay", "patroni", "archive-mode", "signal-files"]
)
def test_a_silent_replica_is_nowhere_counted_as_well(name: str) -> None:
    gone = Unknown("no answer in time")
    world = w.healthy()
    silent = [
        replace(node, rest=gone, sql=gone, files=gone, primary_code=gone, liveness_code=gone)
        for node in world.nodes[1:]
    ]
    (made,) = [item for item in CHECKS if item.name == name]
    found = list(made.find(replace(world, nodes=(world.nodes[0], *silent))))
    assert all(finding.subject == "n1" for finding in found if finding.verdict is Verdict.OK), found
