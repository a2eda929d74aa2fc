"""`pgops guard` over SSH on whole systemd hosts: Patroni wakes up and rewinds, and what it discards comes back."""

from __future__ import annotations

import csv
import json

import pytest

from hosts.harness.cluster import PatroniCluster
from hosts.harness.desk import Desk
from hosts.harness.guide import SCOPE

pytestmark = [pytest.mark.hosts, pytest.mark.xdist_group("hosts")]

_TABLE = "CREATE TABLE guarded (id int PRIMARY KEY, note text); INSERT INTO guarded VALUES (1, 'before')"
_ALONE = "INSERT INTO guarded SELECT n, 'alone' FROM generate_series(101, 120) n"


def test_what_an_automatic_rewind_discards_comes_back(cluster: PatroniCluster, desk: Desk) -> None:
    former = cluster.wait_until_well()
    host = cluster.hosts[former]
    directory = f"{cluster.plan.data_dir.rpartition('/')[0]}/pgops-guard"
    desk.done("guard", "install")
    try:
        assert desk.done("guard", "status").count("Patroni calls it before any rewind") == 3
        assert "nothing to do" in desk.done("guard", "install")
        host.call(["psql", "-qXc", _TABLE], user="postgres")
        desk.done("backup", "--type", "incr")
        cluster.freeze_patroni(former)
        leader = cluster.wait_for_leader_beside(former)
        host.call(["psql", "-qXc", _ALONE], user="postgres")
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
        desk.done("guard", "remove")
    assert not any((host.root / directory.lstrip("/")).iterdir())
