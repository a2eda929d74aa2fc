"""`pgops backup schedule --as systemd` on whole hosts: the timers are real ones, and their services say the right words."""

from __future__ import annotations

import pytest

from hosts.harness.cluster import PatroniCluster
from hosts.harness.desk import Desk
from pgops.hosts.process import CommandResult

pytestmark = [pytest.mark.hosts, pytest.mark.xdist_group("hosts")]

SCHEDULE = ("backup", "schedule", "--as", "systemd")
SAID, STAND_IN = "/run/pgops-said", "/usr/local/sbin/pgops"
WRITES_DOWN = f'#!/bin/sh\nprintf "%s\\n" "$@" > {SAID}\n'
"""The hosts have no pgops of their own: this writes down how a unit calls it."""


def test_timers_are_installed_call_pgops_and_go(cluster: PatroniCluster, desk: Desk) -> None:
    cluster.wait_until_well()
    host = cluster.hosts["h2"]
    units = [f"pgops-backup-demo-h2-{kind}" for kind in ("full", "diff")]
    installed = desk.done(*SCHEDULE, "--install", "--node", "h2")
    assert "done" in installed
    try:
        for unit in units:
            assert host.call(["systemctl", "is-enabled", f"{unit}.timer"]).strip() == "enabled"
            assert host.call(["systemctl", "is-active", f"{unit}.timer"]).strip() == "active"
        assert "nothing to do" in desk.done(*SCHEDULE, "--install", "--node", "h2")
        host.call(["sh", "-c", f'printf "%s" "$1" > {STAND_IN} && chmod 755 {STAND_IN}', "sh", WRITES_DOWN])
        host.call(["systemctl", "start", f"{units[0]}.service"])
        words = host.call(["cat", SAID]).splitlines()
        assert words[words.index("backup") :][:7] == ["backup", "--cluster", "demo", "--node", "h2", "--type", "full"]
        host.call(["systemctl", "disable", "--now", f"{units[1]}.timer"])
        again = desk.done(*SCHEDULE, "--install", "--node", "h2")
        assert "nothing to do" not in again
        assert host.call(["systemctl", "is-active", f"{units[1]}.timer"]).strip() == "active"
    finally:
        desk.done(*SCHEDULE, "--remove", "--node", "h2")
        host.call(["rm", "-f", STAND_IN, SAID])
    assert host.call(["find", "/etc/systemd/system", "-name", "pgops-backup-*"]) == ""
    assert "pgops-backup" not in host.call(["systemctl", "list-timers", "--all"])


def test_a_table_that_no_cron_would_read_is_refused(cluster: PatroniCluster, desk: Desk) -> None:
    cluster.wait_until_well()
    host = cluster.hosts["h2"]
    install = ("backup", "schedule", "--install", "--dry-run", "--node", "h2")
    _refused(desk.pgops(*install), "no cron is installed there")
    host.call(["install", "-m", "755", "/bin/true", "/usr/sbin/cron"])  # installed, but no unit of it is active
    try:
        _refused(desk.pgops(*install), "cron does not run there")
    finally:
        host.call(["rm", "/usr/sbin/cron"])


def _refused(result: CommandResult, why: str) -> None:
    assert result.exit_code == 3 and why in result.stdout + result.stderr
