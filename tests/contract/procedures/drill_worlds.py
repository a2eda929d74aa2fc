"""Clusters in memory on which drills are tried: a repository with two backups, and hosts that do what a drill's jobs do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pgops.observe.facts import DiskUsage, StanzaFacts
from pgops.observe.stanza import parse_info
from pgops.readings import Known
from pgops.testing.fake_cluster import FakeCluster, Work, fake_config
from pgops.testing.fake_host import FakeHost, FakeJob

NAMES = ("n1", "n2", "n3")
OLD, NEW, BROKEN = "20261121-010000F", "20261122-010000F", "20261122-020000F"
BASE = "/var/lib/postgresql"
DISKS = (DiskUsage("/", (f"{BASE}/data",), 10**12, 10**11, 90.0, 3.0),)
PARAMS: dict[str, Any] = {
    "node": None,
    "set": None,
    "repo": None,
    "target": None,
    "to_end": False,
    "timeline": None,
    "scratch": None,
    "port": 5432,
    "assertions": None,
    "database": "postgres",
    "superuser": "postgres",
    "preload": None,
    "keep": False,
}
"""As the command gives them without options."""


def backup(label: str, stopped: int, *, error: bool = False, size: int = 30_000_000, repo: int = 1) -> dict[str, Any]:
    """A backup as `pgbackrest info` tells it."""
    return {
        "archive": {"start": "000000010000000000000003", "stop": "000000010000000000000004"},
        "backrest": {"format": 5, "version": "2.45"},
        "database": {"id": 1, "repo-key": repo},
        "error": error,
        "info": {"delta": size, "repository": {"delta": size // 8, "size": size // 8}, "size": size},
        "label": label,
        "lsn": {"start": "0/3000028", "stop": "0/4000050"},
        "prior": None,
        "reference": None,
        "timestamp": {"start": stopped - 60, "stop": stopped},
        "type": "full",
    }


USUAL = (
    backup(OLD, 1_795_222_860),
    backup(NEW, 1_795_309_260),
    backup(BROKEN, 1_795_312_860, error=True),
)


def stanza(*backups: dict[str, Any]) -> StanzaFacts:
    """The stanza demo with these backups."""
    return parse_info(
        [
            {
                "name": "demo",
                "archive": [{"database": {"id": 1, "repo-key": 1}, "id": "15-1", "max": None, "min": None}],
                "backup": list(backups),
                "cipher": "none",
                "db": [{"id": 1, "repo-key": 1, "system-id": 7711099966935465950, "version": "15"}],
                "repo": [{"cipher": "none", "key": 1, "status": {"code": 0, "message": "ok"}}],
                "status": {"code": 0, "lock": {"backup": {"held": False}}, "message": "ok"},
            }
        ],
        "demo",
    )


def drill_world(
    *backups: dict[str, Any], names: tuple[str, ...] = NAMES, fails: str = "", code: int = 1, stops: bool = True
) -> Callable[[], FakeCluster]:
    """Makes a cluster with these backups, where the stage `fails` ends with `code`; `stops`: its server can be stopped."""

    def make() -> FakeCluster:
        fake = FakeCluster(names, config=fake_config(names, stanza="demo"))
        for name in names:
            fake.facts[name] = {"stanza": Known(stanza(*(backups or USUAL))), "disks": Known(DISKS)}
        for program in ("sh", "nice", "pg_ctl"):
            fake.jobs[program] = _worker(names[-1] if len(names) == 1 else names[1], fails, code, stops)
        return fake

    return make


def _worker(node: str, fails: str, code: int, stops: bool) -> Work:
    def work(fake: FakeCluster, job: FakeJob) -> int | None:
        prefix, _, stage = job.name.rpartition("-")
        if stage == fails:
            return code
        if stage == "postgres":
            stopper = fake.hosts[node].jobs.get(f"{prefix}-stop")
            return 0 if stops and stopper is not None and stopper.state == "ended" else None
        if stage == "remove":
            fake.change_host(node, _without_scratch)
        return 0

    return work


def _without_scratch(host: FakeHost) -> FakeHost:
    return replace(host, files={path: text for path, text in host.files.items() if "/pgops-drill-" not in path})
