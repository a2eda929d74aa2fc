"""`pgops health` on three hosts that are not this one: SSH, sudo and systemd are real, and so is what happens to them."""

from __future__ import annotations

import pytest

from hosts.harness.cluster import PatroniCluster
from hosts.harness.health import Seen, can_run, run_health
from hosts.harness.operator import HOST_USER, PLAIN_USER
from pgops.config.model import Timeouts

pytestmark = [pytest.mark.hosts, pytest.mark.xdist_group("hosts")]

_ONE_TIMEOUT_S = Timeouts().connect_s + Timeouts().answer_s


def health(
    cluster: PatroniCluster, *options: str, login: str = HOST_USER, user: str = "root", addresses: bool = False
) -> Seen:
    """Run health with `login` on the hosts, as `user` of the operator's machine; see `PatroniCluster.pgops_yml`."""
    operator = cluster.hosts.operator
    config = cluster.pgops_yml(operator.directory / f"{login}.yml", login=login, addresses=addresses)
    return run_health(operator, config, *options, user=user)


def assert_all_ok(seen: Seen) -> None:
    """Exit 0, and nothing that is not ok; what was skipped has no place on these hosts either."""
    assert not seen.faults, seen.faults
    assert seen.exit_code == 0


def test_well_as_root(cluster: PatroniCluster) -> None:
    """Root over SSH: no sudo is in the way, and every view of every host is read."""
    leader = cluster.wait_until_well()
    seen = health(cluster, "--deep", login="root")
    assert_all_ok(seen)
    assert seen.report["lock_holder"] == leader
    assert {member["name"] for member in seen.report["members"]} == set(cluster.hosts.names)


def test_well_as_plain_operator(cluster: PatroniCluster) -> None:
    """A login that may do nothing but the documented sudoers lines sees exactly as much, `--deep` included."""
    cluster.wait_until_well()
    if not can_run(cluster.hosts.operator, PLAIN_USER):
        pytest.skip(f"user {PLAIN_USER} may not enter the directory where pgops is installed")
    for options in ((), ("--deep",)):
        seen = health(cluster, *options, user=PLAIN_USER)
        assert_all_ok(seen)
        looked_at = {(item["check"], item["subject"]) for item in seen.findings("ok")}
        assert {("services", name) for name in cluster.hosts.names} <= looked_at


def test_operator_without_sudo(cluster: PatroniCluster) -> None:
    """What the rights do not reach is unknown, with the missing line; what needs no right is still known."""
    cluster.wait_until_well()
    cluster.revoke("h2")
    try:
        seen = health(cluster)
    finally:
        cluster.grant("h2")
    assert seen.exit_code == 3, seen.faults
    unknowns = seen.findings("unknown")
    assert {item["subject"] for item in unknowns} == {"h2"}
    assert all("sudo refused" in item["text"] and "RIGHTS in man pgops.yml" in item["text"] for item in unknowns)
    assert "h2" in {item["subject"] for item in seen.findings("ok") if item["check"] == "services"}


def test_replica_powered_off(cluster: PatroniCluster) -> None:
    """One dead host costs one timeout, however many probes it has, and is never taken for a stopped PostgreSQL."""
    leader = cluster.wait_until_well()
    calm = health(cluster)
    victim = next(name for name in cluster.hosts.names if name != leader)
    cluster.hosts[victim].power_off()
    try:
        seen = health(cluster)
    finally:
        cluster.hosts[victim].heal()
    assert seen.exit_code == 2, seen.faults
    assert f"primary {victim}: cannot tell whether it takes writes" in seen.texts("unknown")
    assert victim in seen.texts("critical", check="dcs-members") + seen.texts("warning", check="dcs-members")
    assert seen.duration_s < calm.duration_s + _ONE_TIMEOUT_S + 2.0
    cluster.wait_until_well()


def test_leader_partitioned(cluster: PatroniCluster) -> None:
    """The cut-off leader is unknown, not gone; the new one is seen to hold the lock."""
    old = cluster.wait_until_well()
    cluster.hosts[old].partition()
    try:
        new = cluster.wait_for_leader_beside(old)
        seen = health(cluster)
    finally:
        cluster.hosts[old].heal()
    assert seen.exit_code == 2, seen.faults
    assert seen.report["lock_holder"] == new
    assert f"primary {old}: cannot tell whether it takes writes" in seen.texts("unknown")
    cluster.wait_until_well()
    assert_all_ok(health(cluster))


def test_two_primaries(cluster: PatroniCluster) -> None:
    """Patroni frozen on the leader, another host promoted: `patronictl list` looks well, health does not."""
    old = cluster.wait_until_well()
    cluster.freeze_patroni(old)
    try:
        both = cluster.wait_for_second_primary()
        listed = cluster.patronictl_list(next(name for name in both if name != old))
        seen = health(cluster, addresses=True)
        quick = health(cluster, "--quick", addresses=True)
        blind = health(cluster)
    finally:
        cluster.thaw_patroni(old)
    assert old not in {member["Member"] for member in listed}
    assert seen.exit_code == 2, seen.faults
    assert "2 primaries take writes" in seen.texts("critical", check="primary")
    assert all(name in seen.texts("critical", check="primary") for name in both)
    assert f"{old} takes writes without the lock" in seen.texts("critical", check="lock")
    # Patroni's process is stopped: its REST API does not answer, so --quick cannot tell, and must not say that all is well.
    assert quick.exit_code in (2, 3), quick.faults
    # The key of a frozen Patroni expires, and with it the only address that the DCS knew.
    assert blind.exit_code == 2, blind.faults
    assert old in {item["subject"] for item in blind.findings("critical") + blind.findings("unknown")}
    cluster.wait_until_well()
