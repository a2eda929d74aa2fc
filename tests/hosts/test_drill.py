"""`pgops drill restore` over SSH on whole systemd hosts: a server of its own beside production's, and nothing left of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hosts.harness.cluster import PatroniCluster
from hosts.harness.desk import Desk
from hosts.harness.guide import STANZA

pytestmark = [pytest.mark.hosts, pytest.mark.xdist_group("hosts")]


def test_a_backup_is_proved_on_a_replica(cluster: PatroniCluster, desk: Desk, tmp_path: Path) -> None:
    leader = cluster.wait_until_well()
    desk.done("backup", "--type", "incr")
    replica = next(each for each in cluster.hosts.names if each != leader)
    host = cluster.hosts[replica]
    listing = ["pgbackrest", f"--stanza={STANZA}", "repo-ls", "--recurse", f"backup/{STANZA}"]
    before = host.call(listing, user="postgres")
    assertions = tmp_path / "assertions.sql"
    assertions.write_text("select not pg_is_in_recovery();\nselect count(*) > 0 from pg_class;\n")
    said = desk.done("drill", "restore", "--node", replica, "--check-sql", str(assertions))
    assert "all 2 SQL assertions hold" in said
    assert host.call(listing, user="postgres") == before
    assert "pgops-job" not in host.call(["systemctl", "list-units", "--all", "pgops-job-*"])
    assert host.call(["find", "/var/lib/postgresql", "-name", "pgops-drill*"]) == ""
    assert "streaming" in host.call(["psql", "-XAtc", "select status from pg_stat_wal_receiver"], user="postgres")
    found = desk.health("--check", "drill")
    assert found.exit_code == 0, found
