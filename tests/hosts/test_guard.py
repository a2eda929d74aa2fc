"""`pgops guard` over SSH on whole systemd hosts: Patroni wakes up and rewinds, and what it discards comes back."""

from __future__ import annotations

import csv
import json

import pytest

from hosts.harness.cluster import PatroniCluster
from hosts.harness.desk import Desk
from hosts.harness.guide import SCOPE
from hosts.harness.machine import Machine

pytestmark = [pytest.mark.hosts, pytest.mark.xdist_group("hosts")]

_TABLE = "CREATE TABLE guarded (id int PRIMARY KEY, note text); INSERT INTO guarded VALUES (1, 'before')"
_ALONE = "INSERT INTO guarded SELECT n, 'alone' FROM generate_series(101, 120) n"


def test_what_an_automatic_rewind_discards_comes_back(cluster: PatroniCluster, desk: Desk) -> None:
    former = cluster.wait_until_well()
    host = cluster.hosts[former]
    directory = f"{cluster.plan.data_dir.rpartition('/')[0]}/pgops-guard"
    as_it_was = {name: _seen(machine) for name, machine in cluster.hosts.machines.items()}
    # With Debian 12's Patroni, which knows no bin_name, each Patroni is restarted.
    desk.done("guard", "install", "--yes")
    try:
        assert desk.done("guard", "status").count("Patroni calls it before any rewind") == 3
        assert "nothing to do" in desk.done("guard", "install")
        servers = {name: _seen(machine)[1] for name, machine in cluster.hosts.machines.items()}
        assert servers == {name: seen[1] for name, seen in as_it_was.items()} and cluster.wait_until_well() == former
        host.call(["psql", "-qXc", _TABLE], user="postgres")
        desk.done("backup", "--type", "incr")
        cluster.freeze_patroni(former)
        leader = cluster.wait_for_leader_beside(former)
        host.call(["psql", "-qXc", _ALONE], user="postgres")
        if cluster.hosts.release == "bookworm":
            # Woken, its Patroni may take the lock back by what it knew when it froze, or follow beyond the fork where its
            # last checkpoint is older: tests/practice/recover/test_guard_links.py. Killed, systemd starts it again.
            host.call(["psql", "-qXc", "CHECKPOINT"], user="postgres")
            cluster.kill_patroni(former)
        else:
            cluster.thaw_patroni(former)
        # Patroni may start it as it is, and once more, before and after the rewind: all looks well in between.
        count = "SELECT count(*) FROM guarded WHERE note = 'alone'"
        cluster.wait_for_answer(former, count, "0")
        assert cluster.wait_until_well() == leader
        cluster.wait_for_answer(former, count, "0")

        (copy,) = json.loads(desk.pgops("copies", "list", "-f", "json").stdout)["copies"]
        assert copy["member"] == former and copy["procedure"] == "guard"
        desk.done("salvage", copy["run"])
        rows = csv.DictReader(host.call(["cat", f"{copy['path']}/salvage/postgres/public.guarded.csv"]).splitlines())
        assert sorted(int(row["id"]) for row in rows) == list(range(101, 121))
        desk.done("copies", "remove", copy["run"], "--confirm", SCOPE)
        assert not (host.root / copy["path"].lstrip("/")).exists()
        cluster.hosts[leader].call(["psql", "-qXc", "DROP TABLE guarded"], user="postgres")
    finally:
        desk.done("guard", "remove", "--yes")
    for name, machine in cluster.hosts.machines.items():
        assert _seen(machine)[0] == as_it_was[name][0]
        assert machine.call(["find", "/etc/patroni", "-name", "*pgops*"]) == ""
    assert not any((host.root / directory.lstrip("/")).iterdir())


def _seen(machine: Machine) -> tuple[str, str]:
    """Patroni's own file with its owner and mode, and its server with its start."""
    file = "/etc/patroni/config.yml"
    data_dir = machine.call(["psql", "-AtXc", "SHOW data_directory"], user="postgres").strip()
    told = machine.call(["sed", "-n", "1p;3p", f"{data_dir}/postmaster.pid"])
    return machine.call(["stat", "-c", "%U:%G %a", file]) + machine.call(["cat", file]), told
