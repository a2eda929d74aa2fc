"""`pgops health` before, during and after every incident of the lab, on real clusters.

The incidents are dealt out to two labs, which run side by side; a subset runs again on Patroni 3.0.2.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import pytest

from practice.conftest import Labs

pytestmark = pytest.mark.practice


@dataclass(frozen=True)
class Expected:
    """What health must say while the incident lasts: (check, verdict, a part of the text), and its exit code."""

    incident: str
    exit_code: int
    findings: tuple[tuple[str, str, str], ...]
    deep: bool = False


CRITICAL, UNKNOWN, WARNING = "critical", "unknown", "warning"

SPLIT_BRAIN = Expected(
    "split-brain",
    2,
    (
        ("primary", CRITICAL, "2 primaries take writes"),
        ("lock", CRITICAL, "takes writes without the lock"),
        ("patroni", CRITICAL, "a primary runs without an answering Patroni"),
        ("timeline", CRITICAL, "timelines differ"),
    ),
)
SAME_TIMELINE = Expected("same-timeline", 2, (("wal-identity", CRITICAL, "differs"),), deep=True)
LEADER_CRASH = Expected("leader-crash", 2, (("patroni", CRITICAL, "not running"), ("services", WARNING, "is held")))
REPLICA_BEHIND = Expected("replica-behind", 2, (("replicas", CRITICAL, "does not stream"),))
REPLICA_BROKEN = Expected("replica-broken", 2, (("replicas", CRITICAL, "does not stream"),))
ETCD_MEMBER = Expected("etcd-member", 2, (("dcs-members", WARNING, "one more loss"), ("services", CRITICAL, "etcd-")))
ETCD_NOSPACE = Expected("etcd-nospace", 2, (("dcs-members", CRITICAL, "NOSPACE"),))
DCS_LOST = Expected("dcs-lost", 2, (("dcs", CRITICAL, "unreachable"), ("primary", CRITICAL, "no member takes writes")))
ARCHIVE_FAILING = Expected("archive-failing", 2, (("archiving", CRITICAL, "archiving fails"),))
ARCHIVE_OFF = Expected(
    "archive-off", 2, (("archive-mode", CRITICAL, "archive_mode is off (set in postgresql.auto.conf"),)
)
SIGNAL_LEFT = Expected("signal-left", 2, (("signal-files", CRITICAL, "recovery.signal lies in a primary's"),))
DISK_FULL = Expected("disk-full", 2, (("disk", CRITICAL, "% used"),))
PAUSED = Expected("paused", 1, (("pause", WARNING, "paused, so no automatic failover"),))
BACKUP_OLD = Expected("backup-old", 2, (("backup-age", CRITICAL, "newest"),))
HAPROXY_STALE = Expected("haproxy-stale", 2, (("proxy", CRITICAL, "a replica"), ("proxy", WARNING, "not checked")))
PATRONI_HUNG = Expected("patroni-hung", 2, (("patroni", CRITICAL, "PostgreSQL runs without an answering Patroni"),))
NODE_DOWN = Expected("node-down", 2, (("patroni", CRITICAL, "not running"), ("dcs-members", WARNING, "one more loss")))

FIRST = (SPLIT_BRAIN, LEADER_CRASH, REPLICA_BROKEN, ETCD_NOSPACE, ARCHIVE_OFF, DISK_FULL, BACKUP_OLD, PATRONI_HUNG)
SECOND = (
    REPLICA_BEHIND,
    ETCD_MEMBER,
    ARCHIVE_FAILING,
    SIGNAL_LEFT,
    PAUSED,
    HAPROXY_STALE,
    NODE_DOWN,
    SAME_TIMELINE,
    DCS_LOST,
)
OLD_PATRONI = (SPLIT_BRAIN, REPLICA_BROKEN, SIGNAL_LEFT, PAUSED, LEADER_CRASH)


def _cases(lab: str, expected: tuple[Expected, ...], *options: str, group: str) -> list[Any]:
    mark = pytest.mark.xdist_group(group)
    return [pytest.param(lab, options, item, marks=mark, id=f"{lab}-{item.incident}") for item in expected]


@pytest.mark.parametrize(
    ("lab_name", "options", "expected"),
    [
        *_cases("it-first", FIRST, group="first"),
        *_cases("it-second", SECOND, group="second"),
        *_cases("it-old", OLD_PATRONI, "--patroni", "3.0", group="first"),
    ],
)
def test_health_sees_the_incident_and_its_end(
    labs: Labs, lab_name: str, options: tuple[str, ...], expected: Expected
) -> None:
    if expected.incident == "disk-full" and os.geteuid() != 0:
        pytest.skip("a full disk needs a mounted tmpfs, which needs root")
    lab = labs.named(lab_name, *options)
    deep = ("--deep",) if expected.deep else ()

    code, before = lab.health(*deep)
    assert (code, _bad(before)) == (0, []), "the lab is not healthy before the incident"

    try:
        lab.lab("break", expected.incident)
        code, during = lab.health(*deep)
        for check, verdict, text in expected.findings:
            found = [item for item in during["findings"] if item["check"] == check]
            assert any(item["verdict"] == verdict and text in item["text"] for item in found), found
        assert code == expected.exit_code, _bad(during)
        assert all(item["next_step"] for item in during["findings"] if item["verdict"] in (CRITICAL, WARNING))
    finally:
        lab.lab("mend")

    code, after = lab.health(*deep)
    assert (code, _bad(after)) == (0, []), "the lab is not healthy after the incident"


def _bad(cluster: dict[str, Any]) -> list[str]:
    return [
        f"{item['verdict']} {item['check']} {item['subject'] or ''}: {item['text']}"
        for item in cluster["findings"]
        if item["verdict"] in (CRITICAL, UNKNOWN, WARNING)
    ]
