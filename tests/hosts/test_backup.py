"""`pgops backup` over SSH on whole systemd hosts: the job is a unit of its own, and outlives pgops."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from typing import Any

import pytest

from hosts.harness.cluster import PatroniCluster
from hosts.harness.desk import Desk
from hosts.harness.guide import STANZA

pytestmark = [pytest.mark.hosts, pytest.mark.xdist_group("hosts")]


def backups(cluster: PatroniCluster, host: str) -> list[dict[str, Any]]:
    argv = ["pgbackrest", f"--stanza={STANZA}", "--output=json", "info"]
    found: list[dict[str, Any]] = json.loads(cluster.hosts[host].call(argv, user="postgres"))[0]["backup"]
    return found


def test_the_leader_is_asked_and_no_job_is_left(cluster: PatroniCluster, desk: Desk) -> None:
    leader = cluster.wait_until_well()
    before = len(backups(cluster, leader))
    said = desk.done("backup", "--type", "diff")
    assert f"backup of the cluster demo on {leader}" in said
    made = backups(cluster, leader)
    assert len(made) == before + 1
    assert list(made[-1]["annotation"]) == ["pgops-run"]
    assert "pgops-job" not in cluster.hosts[leader].call(["systemctl", "list-units", "--all", "pgops-job-*"])
    assert desk.done("backup", "--type", "diff", "--if-older-than", "1h") == ""
    replica = next(each for each in cluster.hosts.names if each != leader)
    assert desk.done("backup", "--type", "diff", "--node", replica) == ""


def test_a_killed_pgops_leaves_its_unit_at_work_and_the_next_one_sees_to_it(
    cluster: PatroniCluster, desk: Desk
) -> None:
    leader = cluster.wait_until_well()
    before = {each["label"] for each in backups(cluster, leader)}
    doomed = desk.start("backup", "--type", "full")
    units = ["systemctl", "list-units", "--plain", "--no-legend", "pgops-job-backup-*"]
    deadline = time.monotonic() + 60
    while not (unit := cluster.hosts[leader].call(units)):
        assert time.monotonic() < deadline, "no job was started"
        time.sleep(0.05)
    os.killpg(doomed, signal.SIGKILL)
    os.waitpid(doomed, 0)
    assert "unfinished" in desk.done("runs", "list")
    said = desk.done("backup", "--type", "full")
    assert "was left unfinished" in said and "going on with it" in said
    (made,) = [each for each in backups(cluster, leader) if each["label"] not in before]
    assert made["annotation"]["pgops-run"] in unit
    assert "no runs" in desk.done("runs", "list") or "unfinished" not in desk.done("runs", "list")


def test_how_far_it_is_is_told(cluster: PatroniCluster, desk: Desk) -> None:
    """pgBackRest 2.45 of Debian 12 does not tell it in bytes; 2.55 of Debian 13 does."""
    leader = cluster.wait_until_well()
    host = cluster.hosts[leader]

    def sql(*statements: str) -> None:
        host.call(["psql", "-XAtq", *(word for each in statements for word in ("-c", each))], user="postgres")

    sql(
        "create table bulk (content text)",
        "alter table bulk alter content set storage external",
        "insert into bulk select repeat(md5(n::text), 2000) from generate_series(1, 3000) n",
    )
    try:
        told = desk.on_a_terminal("backup", "--type", "full")
        bars = re.findall(r"\[(#*)-*\] +(\d+)% [0-9.]+ \w+ of [0-9.]+ \w+ copied, [0-9.]+ \w+/s, \S+ left", told)
        assert bars, told
        shares = [(len(signs), int(share)) for signs, share in bars]
        assert shares == sorted(shares) and all(abs(signs * 5 - share) <= 3 for signs, share in shares)
    finally:
        sql("drop table bulk")
