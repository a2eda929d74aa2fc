"""Every check: what it says of a healthy world, and of a world in which one thing is wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from pgops.checks import Check, Finding, Verdict
from pgops.observe.facts import Activity, Archiver, DataDirFiles, DiskUsage, Slot, WalIdentity, WalReceiver
from pgops.observe.snapshot import (
    Snapshot,
)
from pgops.readings import Known, Unknown
from pgops.services import ServiceState
from pgops_health.checks import CHECKS
from unit.checks import worlds as w

BY_NAME = {check.name: check for check in CHECKS}
SILENT = Unknown("REST API: no connection within 1.5 s")
REFUSED = Unknown("REST API: connection refused")
NO_SQL = Unknown("SQL: no answer")
GIB = 1024 * w.MIB


def say(check: str, world: Snapshot) -> list[Finding]:
    """What one check finds in a world."""
    return list(BY_NAME[check].find(world))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_healthy_world_is_ok(check: Check) -> None:
    found = list(check.find(w.healthy()))
    assert found
    assert {finding.verdict for finding in found} == {Verdict.OK}, found


CASES: list[tuple[str, str, Snapshot, str]] = [
    ("primary", "critical", w.with_sql("n2", in_recovery=False, flush_bytes=w.END), "2 primaries take writes"),
    ("primary", "critical", w.with_sql("n1", in_recovery=True), "no member takes writes"),
    ("primary", "unknown", w.with_node("n3", sql=NO_SQL, rest=SILENT), "cannot tell whether it takes writes"),
    ("lock", "critical", w.with_keys(leader=None), "nobody holds the leader lock"),
    ("lock", "critical", w.with_keys(leader_has_lease=False), "never expires"),
    ("lock", "critical", w.with_keys(leader="n2"), "n1 takes writes without the lock, which n2 holds"),
    ("lock", "critical", w.with_keys(leader="n2"), "n2 holds the lock but does not take writes"),
    ("lock", "critical", w.with_node("n2", primary_code=Known(200)), "all answer 200 to GET /primary"),
    (
        "lock",
        "critical",
        replace(w.with_sql("n1", in_recovery=True), keys=Known(w.keys(leader="n9"))),
        "no such member is known",
    ),
    ("lock", "unknown", replace(w.healthy(), keys=Unknown("refused")), "could not be read"),
    ("patroni", "critical", w.with_node("n1", rest=SILENT), "a primary runs without an answering Patroni"),
    ("patroni", "critical", w.with_node("n2", rest=SILENT), "PostgreSQL runs without an answering Patroni"),
    ("patroni", "critical", w.with_node("n2", rest=REFUSED, sql=NO_SQL), "not running there"),
    ("patroni", "unknown", w.with_node("n2", rest=SILENT, sql=NO_SQL), "no answer from Patroni"),
    ("patroni", "critical", w.with_node("n2", liveness_code=Known(503)), "its loop stands still"),
    ("patroni", "critical", w.with_rest("n2", scope="other"), "belongs to scope other"),
    ("timeline", "critical", w.with_sql("n3", timeline=1), "timelines differ: n1 2, n2 2, n3 1"),
    (
        "timeline",
        "warning",
        w.with_keys(history=(replace(w.keys().history[0], timeline=4),)),
        "history ends with timeline 4",
    ),
    ("system-id", "critical", w.with_keys(initialize="1"), "system identifiers differ"),
    ("system-id", "critical", w.with_rest("n3", system_identifier="2"), "system identifiers differ"),
    (
        "configuration",
        "warning",
        replace(w.healthy(), warnings=("patroni.yml can be read by all",)),
        "can be read by all",
    ),
    ("configuration", "unknown", w.with_keys(faults=("history: not JSON",)), "history: not JSON"),
    ("configuration", "warning", w.with_keys(config=None), "no dynamic configuration"),
    ("configuration", "unknown", w.with_config(standby_cluster={"host": "x"}), "standby cluster"),
    ("dcs", "critical", w.with_rest("n2", dcs_last_seen_s=int(w.NOW.timestamp()) - 60), "has not seen the DCS for 1m"),
    ("dcs", "warning", w.with_rest("n1", failsafe_active=True), "failsafe mode is active on n1"),
    (
        "dcs",
        "unknown",
        replace(w.healthy(), keys=Unknown("http://n1:2379: no answer within 2 s")),
        "gives us no answer, though Patroni saw it 2s ago",
    ),
    ("dcs-members", "critical", w.with_dcs(*map(w.dcs_member, "abc"), alarms=(("id-a", "NOSPACE"),)), "NOSPACE"),
    ("dcs-members", "warning", w.with_dcs(*map(w.dcs_member, "ab"), w.dcs_member("c", healthy=False)), "one more loss"),
    (
        "dcs-members",
        "critical",
        w.with_dcs(w.dcs_member("a"), w.dcs_member("b", healthy=False), w.dcs_member("c", healthy=False)),
        "no quorum",
    ),
    ("dcs-members", "warning", w.with_dcs(*map(w.dcs_member, "ab"), w.dcs_member("c", started=False)), "never joined"),
    (
        "dcs-members",
        "warning",
        w.with_dcs(w.dcs_member("a"), w.dcs_member("b", version="3.4.23")),
        "different versions",
    ),
    ("dcs-members", "warning", w.with_dcs(w.dcs_member("a", db_size_bytes=90, quota_bytes=100)), "90 % of the quota"),
    ("pause", "warning", w.with_config(pause=True), "since when and by whom is unknown"),
    ("pause", "warning", w.with_rest("n3", pause=True), "not paused, but n3 still acts so"),
    ("failover-key", "warning", w.with_keys(failover={"leader": "n1", "member": "n9"}), "n9 is no member"),
    (
        "failover-key",
        "warning",
        w.with_keys(failover={"leader": "n1", "member": "n2", "scheduled_at": "2030-01-01T00:00:00+00:00"}),
        "is scheduled for 2030-01-01T00:00:00+00:00",
    ),
    ("timing", "warning", w.with_config(ttl=20), "ttl is less than"),
    ("timing", "unknown", w.with_config(ttl="soon"), "is no number"),
    ("replicas", "critical", w.with_sql("n2", receiver=Known(None)), "it has no WAL receiver"),
    (
        "replicas",
        "critical",
        w.with_sql("n2", receiver=Known(WalReceiver("waiting", 2, None, None))),
        "WAL receiver is waiting",
    ),
    ("replicas", "unknown", w.with_sql("n2", receiver=Unknown("GRANT pg_monitor")), "GRANT pg_monitor"),
    ("lag", "warning", w.with_sql("n2", replay_bytes=w.END - 20 * w.MIB), "20.0 MiB to replay (limit 16.0 MiB)"),
    ("lag", "critical", w.with_sql("n2", receive_bytes=0, replay_bytes=0), "(limit 256.0 MiB)"),
    ("lag", "warning", w.with_sql("n2", replay_paused=True), "replay is paused"),
    ("ahead", "critical", w.with_sql("n2", receive_bytes=w.END + 100), "is 100 B ahead of n1"),
    (
        "replay-delay",
        "warning",
        w.with_sql("n2", replay_bytes=w.END - 1, replay_timestamp=w.NOW - timedelta(hours=1)),
        "1h old",
    ),
    ("slots", "critical", w.with_sql("n1", slots=Known((Slot("s", "physical", False, "lost", 0),))), "slot s is lost"),
    (
        "slots",
        "warning",
        w.with_sql("n1", slots=Known((Slot("s", "physical", False, "reserved", GIB),))),
        "no reader, 1.0 GiB",
    ),
    (
        "slots",
        "warning",
        w.with_sql("n1", slots=Known((Slot("s", "logical", True, "reserved", 9 * GIB),))),
        "slot s is active",
    ),
    ("sync", "warning", w.with_config(synchronous_mode=True), "has no synchronous standby"),
    ("sync", "critical", w.with_config(synchronous_mode=True, synchronous_mode_strict=True), "commits hang"),
    ("pending-restart", "warning", w.with_rest("n2", pending_restart=True), "waits for a restart"),
    (
        "pending-restart",
        "warning",
        w.with_rest("n2", pending_restart=True, pending_restart_reasons=(("max_connections", "100", "50"),)),
        "max_connections 100 -> 50",
    ),
    ("rewind", "warning", w.with_settings("n2", data_checksums=w.setting("off")), "cannot be rewound"),
    ("rewind", "warning", w.with_config(postgresql={"use_pg_rewind": False}), "use_pg_rewind is off"),
    (
        "removal",
        "warning",
        w.with_config(postgresql={"remove_data_directory_on_diverged_timelines": True}),
        "deletes a diverged data directory",
    ),
    ("transactions", "warning", w.with_sql("n1", activity=Known(Activity(7200.0, "pid 7", 0, None))), "open for 2h"),
    ("transactions", "warning", w.with_sql("n1", activity=Known(Activity(None, None, 1, 7200.0))), "1 prepared"),
    ("watchdog", "warning", w.with_rest("n2", watchdog_failed=True), "cannot be used"),
    (
        "archiving",
        "critical",
        w.with_sql(
            "n1", archiver=Known(Archiver(9, w.SEGMENT, w.NOW - timedelta(hours=1), 3, w.SEGMENT, w.NOW, Known(7)))
        ),
        "archiving fails at",
    ),
    ("archiving", "warning", w.with_node("n1", files=Known(DataDirFiles(frozenset(), 40, (), ()))), "40 segments wait"),
    (
        "archiving",
        "critical",
        w.with_node("n1", files=Known(DataDirFiles(frozenset(), 400, (), ()))),
        "400 segments wait",
    ),
    (
        "archive-mode",
        "critical",
        w.with_settings("n1", archive_mode=w.setting("off", "/d/postgresql.auto.conf")),
        "ALTER SYSTEM",
    ),
    ("archive-mode", "warning", w.with_settings("n2", archive_mode=w.setting("off")), "archive_mode is off"),
    ("archive-mode", "critical", w.with_settings("n1", archive_command=w.setting("/bin/true")), "stored nowhere"),
    ("archive-gap", "critical", w.with_node("n1", stanza=Known(w.stanza(archive_max=None))), "holds no WAL"),
    (
        "archive-gap",
        "critical",
        w.with_node("n1", stanza=Known(w.stanza(archive_max="000000030000000000000001"))),
        "somebody else archived",
    ),
    (
        "backup",
        "critical",
        w.with_node("n1", stanza=Known(w.stanza(code=1, message="missing"))),
        "no stanza of this name",
    ),
    ("backup", "critical", w.with_node("n1", stanza=Known(w.stanza(w.backup(error=True)))), "page checksum errors"),
    (
        "backup-age",
        "warning",
        w.everywhere(stanza=Known(w.stanza(w.backup(age=timedelta(hours=30))))),
        "limit 1d 2h",
    ),
    (
        "backup-age",
        "critical",
        w.everywhere(stanza=Known(w.stanza(w.backup(age=timedelta(days=3))))),
        "limit 2d 2h",
    ),
    (
        "backup-age",
        "warning",
        w.everywhere(stanza=Known(w.stanza(w.backup(age=timedelta(days=9)), w.backup("diff")))),
        "for a full one",
    ),
    ("backup-age", "critical", w.everywhere(stanza=Known(w.stanza(w.backup("diff")))), "no full backup"),
    (
        "backup-age",
        "critical",
        w.everywhere(stanza=Known(w.stanza(w.backup(database_id=9)))),
        "no backup of this database",
    ),
    (
        "backup-age",
        "critical",
        w.everywhere(stanza=Known(w.stanza(w.backup(error=True)))),
        "no backup of this database",
    ),
    (
        "repository",
        "critical",
        w.with_node("n2", stanza=Known(w.stanza(w.backup(label="else")))),
        "see different backups",
    ),
    (
        "signal-files",
        "critical",
        w.with_node("n1", files=Known(DataDirFiles(frozenset({"recovery.signal"}), 0, (), ()))),
        "changes the timeline",
    ),
    (
        "signal-files",
        "warning",
        w.with_node("n2", files=Known(DataDirFiles(frozenset({"recovery.signal", "standby.signal"}), 0, (), ()))),
        "may end recovery",
    ),
    ("disk", "warning", w.with_node("n1", disks=Known((DiskUsage("/d", ("/d",), 10, 1, 85.0, None),))), "(limit 80 %)"),
    (
        "disk",
        "critical",
        w.with_node("n1", disks=Known((DiskUsage("/d", ("/d",), 10, 1, 10.0, 99.0),))),
        "99 % of inodes",
    ),
    (
        "services",
        "critical",
        w.with_node("n1", services=Known((ServiceState("patroni", "p", False, "failed"),))),
        "p is failed",
    ),
    (
        "services",
        "warning",
        w.with_node("n1", services=Known((ServiceState("etcd", "e", True, "active", False),))),
        "at boot",
    ),
    (
        "services",
        "warning",
        w.with_node("n1", services=Known((ServiceState("etcd", "e", False, "x", held=True),))),
        "is held",
    ),
    (
        "services",
        "warning",
        w.with_node("n1", services=Known((ServiceState("stock", "postgresql@15-main", False, "x", True),))),
        "of the distribution is enabled",
    ),
    ("clock", "warning", w.with_sql("n2", clock_skew_s=5.0), "clocks differ by 5.0 s"),
    ("wal-identity", "critical", w.with_node("n2", identity=Known(WalIdentity({w.SEGMENT: "c" * 40}, {}))), "differs"),
    (
        "history-files",
        "critical",
        w.with_node("n2", identity=Known(WalIdentity({}, {"00000002.history": "c" * 40}))),
        "history file 00000002.history differs",
    ),
]


@pytest.mark.parametrize(("check", "verdict", "world", "text"), CASES, ids=[f"{c[0]}-{c[3][:30]}" for c in CASES])
def test_one_thing_wrong(check: str, verdict: str, world: Snapshot, text: str) -> None:
    found = say(check, world)
    hits = [finding for finding in found if finding.verdict.value == verdict and text in finding.text]
    assert hits, found
    if verdict != "unknown":
        assert all(finding.next_step for finding in hits)


def test_every_check_has_a_case() -> None:
    assert {case[0] for case in CASES} | {"failover-capacity", "proxy", "runs"} == set(BY_NAME)


@pytest.mark.parametrize(("name", "branches"), [(w.SEGMENT, False), (f"{w.SEGMENT}.partial", True)])
def test_what_only_a_promotion_archives_leads_to_the_branches(name: str, branches: bool) -> None:
    archiver = Archiver(9, w.SEGMENT, w.NOW - timedelta(hours=1), 3, name, w.NOW, Known(7))
    found = say("archiving", w.with_sql("n1", archiver=Known(archiver)))[0]
    assert f"archiving fails at {name};" in found.text
    assert ("pgops recover split-brain --dry-run" in (found.next_step or "")) is branches
