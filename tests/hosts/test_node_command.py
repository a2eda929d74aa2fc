"""`pgops pause`, `resume` and `node hold` as an operator runs them, over SSH on whole systemd hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from hosts.harness.cluster import PatroniCluster
from hosts.harness.desk import Desk
from hosts.harness.operator import HOST_USER

pytestmark = [pytest.mark.hosts, pytest.mark.xdist_group("hosts")]


def test_a_pause_and_its_end(cluster: PatroniCluster, desk: Desk) -> None:
    cluster.wait_until_well()
    try:
        assert "all 3 members acknowledge the pause" in desk.done("pause", "--reason", "kernel update")
        assert "kernel update" in desk.health("--check", "pause").texts("warning")
    finally:
        desk.done("resume")
    assert "nothing to do" in desk.done("resume")
    cluster.wait_until_well()


def test_a_node_held_from_a_stopped_patroni_over_a_reboot_to_its_release(cluster: PatroniCluster, desk: Desk) -> None:
    leader = cluster.wait_until_well()
    name = next(each for each in cluster.hosts.names if each != leader)
    host = cluster.hosts[name]
    host.call(["systemctl", "stop", "patroni"])
    try:
        said = desk.done("node", "hold", name, "--reason", "new disk")
        assert "a start of patroni was refused" in said
        assert "nothing to do" in desk.done("node", "hold", name)
        assert host.run(["systemctl", "start", "patroni"]).exit_code == 1
        host.power_off()
        host.power_on()
        assert host.run(["systemctl", "is-active", "patroni"]).stdout.strip() in ("inactive", "failed")
        assert host.run(["systemctl", "start", "patroni"]).exit_code == 1
        held = desk.health("--check", "services").texts("warning")
        assert name in held and "new disk" in held
    finally:
        desk.done("node", "release", name)
    assert "is not held" in desk.done("node", "release", name)
    host.call(["systemctl", "start", "patroni"])
    cluster.wait_until_well()


def test_a_running_node_is_held_and_runs_on(cluster: PatroniCluster, desk: Desk) -> None:
    leader = cluster.wait_until_well()
    try:
        assert "runs on (pid" in desk.done("node", "hold", leader, "--reason", "looks odd")
        assert cluster.wait_until_well() == leader
    finally:
        desk.done("node", "release", leader)
    assert "ended, exit 0" in desk.done("runs", "list")


def test_an_operator_without_the_right_is_refused_and_blocks_nobody(cluster: PatroniCluster, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    leader = cluster.wait_until_well()
    name = next(each for each in cluster.hosts.names if each != leader)
    plain = Desk(cluster, tmp_path / "state", login=HOST_USER)
    result = plain.pgops("node", "hold", name)
    said = result.stdout + result.stderr
    assert result.exit_code == 1, said
    assert "sudo refused to run sh as root" in said and "nothing was done" in said
    assert "see RIGHTS in man pgops.yml" in said
    assert cluster.hosts[name].run(["systemctl", "cat", "patroni"]).stdout.count("pgops") == 0
    assert "unfinished" not in plain.done("runs", "list")
    assert "no run is under way" in plain.health("--check", "runs").texts("ok")
