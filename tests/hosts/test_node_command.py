"""`pgops pause`, `resume` and `node hold` as an operator runs them, over SSH on whole systemd hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from hosts.harness.cluster import PatroniCluster
from hosts.harness.health import PGOPS, Seen, run_health
from pgops.hosts.process import CommandResult

pytestmark = pytest.mark.hosts


class Desk:
    """An operator's desk: pgops with its configuration and a state directory of its own."""

    def __init__(self, cluster: PatroniCluster, state: Path) -> None:
        self._operator = cluster.hosts.operator
        self._config = cluster.pgops_yml(self._operator.directory / "acting.yml", login="root")
        self._state = state

    def pgops(self, *words: str) -> CommandResult:
        return self._operator.run(
            [str(PGOPS), "-c", str(self._config), *words],
            timeout_s=120,
            environment={"PGOPS_STATE_DIR": str(self._state)},
        )

    def done(self, *words: str) -> str:
        result = self.pgops(*words)
        assert result.exit_code == 0, f"{words}: {result.fault}\n{result.stdout}\n{result.stderr}"
        return result.stdout + result.stderr

    def health(self, *options: str) -> Seen:
        return run_health(self._operator, self._config, *options)


@pytest.fixture
def desk(cluster: PatroniCluster, tmp_path: Path) -> Desk:
    tmp_path.chmod(0o700)
    return Desk(cluster, tmp_path / "state")


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
