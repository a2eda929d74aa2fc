"""Both etcd drivers, under the same tests, against a real three-member etcd."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator

import pytest

from contract.dcs.etcd_cluster import EtcdCluster, need_etcd
from pgops.config.model import DcsConfig, DcsKind
from pgops.dcs import Dcs, DcsFault, DcsKey
from pgops.dcs.etcd2 import Etcd2Dcs
from pgops.dcs.etcd3 import Etcd3Dcs
from pgops.readings import Known, Skipped, Unknown

TIMEOUT_S = 3.0

SLACK_S = 2.9
"""For a busy machine; two timeouts one after the other would take longer still."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[EtcdCluster]:
    need_etcd()
    cluster = EtcdCluster()
    try:
        cluster.start()
        for key in ("/service/main/leader", "/service/main/members/n1", "/service/main2/leader", "/service/mai"):
            cluster.ctl("put", key, f"v of {key}")
            cluster.ctl("set", key, f"v of {key}", api=2)
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def mended(cluster: EtcdCluster) -> Iterator[EtcdCluster]:
    yield cluster
    cluster.mend()


@pytest.fixture(params=["etcd3", "etcd"])
def kind(request: pytest.FixtureRequest) -> DcsKind:
    return DcsKind(request.param)


def open_dcs(kind: DcsKind, *endpoints: str, timeout_s: float = TIMEOUT_S) -> Dcs:
    config = DcsConfig(kind, endpoints)
    return Etcd3Dcs(config, timeout_s=timeout_s) if kind is DcsKind.ETCD3 else Etcd2Dcs(config, timeout_s=timeout_s)


def test_reads_one_scope_and_not_its_longer_sibling(cluster: EtcdCluster, kind: DcsKind) -> None:
    dcs = open_dcs(kind, *cluster.urls)
    keys = dcs.read_prefix("/service/main/")
    dcs.close()
    assert sorted(keys) == ["/service/main/leader", "/service/main/members/n1"]
    assert keys["/service/main/leader"].value == "v of /service/main/leader"
    assert keys["/service/main/leader"].key == "/service/main/leader"
    assert keys["/service/main/leader"].revision > 0
    assert keys["/service/main/leader"].lease is None


def test_a_scope_that_is_not_there_is_empty(cluster: EtcdCluster, kind: DcsKind) -> None:
    assert open_dcs(kind, *cluster.urls).read_prefix("/service/none/") == {}


def test_a_prefix_needs_its_slash(cluster: EtcdCluster, kind: DcsKind) -> None:
    with pytest.raises(ValueError, match="slash"):
        open_dcs(kind, *cluster.urls).read_prefix("/service/main")


def test_a_key_with_a_lease_says_so(cluster: EtcdCluster, kind: DcsKind) -> None:
    if kind is DcsKind.ETCD3:
        lease = cluster.ctl("lease", "grant", "60").split()[1]
        cluster.ctl("put", f"--lease={lease}", "/service/leased/leader", "n1")
        key = open_dcs(kind, *cluster.urls).read_prefix("/service/leased/")["/service/leased/leader"]
        assert key.lease == int(lease, 16)
    else:
        cluster.ctl("set", "--ttl", "60", "/service/leased/leader", "n1", api=2)
        key = open_dcs(kind, *cluster.urls).read_prefix("/service/leased/")["/service/leased/leader"]
        assert key.lease_ttl_s is not None and 50 < key.lease_ttl_s <= 60


def test_bytes_that_are_no_utf8_are_shown_escaped(cluster: EtcdCluster) -> None:
    cluster.ctl("put", b"/service/bytes/k\xff".decode("utf-8", "surrogateescape"), stdin=b"a\xffb\x1b[31m")
    keys = open_dcs(DcsKind.ETCD3, *cluster.urls).read_prefix("/service/bytes/")
    assert {key.value for key in keys.values()} == {"a\\xffb\x1b[31m"}
    assert list(keys) == ["/service/bytes/k\\xff"]


def test_hostile_key_names_and_large_values_come_through(cluster: EtcdCluster, kind: DcsKind) -> None:
    name, value = "/service/odd/a b;$(x)'\"%2e?&#ü", "x" * 600_000
    if kind is DcsKind.ETCD3:
        cluster.ctl("put", name, stdin=value.encode())
    else:
        cluster.ctl("set", name, stdin=value.encode(), api=2)
    assert open_dcs(kind, *cluster.urls).read_prefix("/service/odd/")[name].value == value


def test_more_than_the_bound_is_a_fault(cluster: EtcdCluster) -> None:
    for number in range(18):
        cluster.ctl("put", f"/service/huge/{number}", stdin=b"x" * 1_000_000)
    try:
        with pytest.raises(DcsFault, match="more than 16 MiB"):
            open_dcs(DcsKind.ETCD3, cluster.url(1)).read_prefix("/service/huge/")
    finally:
        cluster.ctl("del", "--prefix", "/service/huge/")


def test_health_tells_every_member(cluster: EtcdCluster, kind: DcsKind) -> None:
    health = open_dcs(kind, cluster.url(2)).health()
    assert health.answered_by == cluster.url(2)
    assert [member.name for member in health.members] == ["m1", "m2", "m3"]
    assert all(member.healthy and member.started and member.fault is None for member in health.members)
    assert len({member.leader_id for member in health.members}) == 1
    assert health.members[0].leader_id in {member.member_id for member in health.members}
    assert all(member.version and member.quota_bytes and member.db_size_bytes for member in health.members)
    if kind is DcsKind.ETCD3:
        assert health.alarms == Known(())
        assert all(member.raft_applied_index and member.raft_term for member in health.members)
    else:
        assert isinstance(health.alarms, Skipped)


def test_an_endpoint_that_refuses_costs_nothing(cluster: EtcdCluster, kind: DcsKind) -> None:
    started = time.monotonic()
    dcs = open_dcs(kind, f"http://{cluster.address(9)}:2379", cluster.url(3))
    assert dcs.read_prefix("/service/main/")
    assert len(dcs.health().members) == 3
    assert time.monotonic() - started < SLACK_S


def read_once_elected(dcs: Dcs, prefix: str) -> dict[str, DcsKey]:
    """What the two that are left say as soon as they have elected a leader; until then they refuse."""
    deadline = time.monotonic() + 15
    while True:
        try:
            return dcs.read_prefix(prefix)
        except DcsFault:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


def test_one_member_killed(mended: EtcdCluster, kind: DcsKind) -> None:
    mended.kill(2)
    dcs = open_dcs(kind, *mended.urls)
    assert len(read_once_elected(dcs, "/service/main/")) == 2
    members = {member.name: member for member in dcs.health().members}
    assert not members["m2"].healthy
    assert "connection refused" in (members["m2"].fault or "")
    assert members["m1"].healthy and members["m3"].healthy


def test_one_member_that_hangs_costs_one_timeout(mended: EtcdCluster, kind: DcsKind) -> None:
    mended.signal(1, signal.SIGSTOP)
    time.sleep(1.2)
    dcs = open_dcs(kind, *mended.urls)
    started = time.monotonic()
    assert len(dcs.read_prefix("/service/main/")) == 2
    assert time.monotonic() - started < SLACK_S
    members = {member.name: member for member in dcs.health().members}
    assert time.monotonic() - started < TIMEOUT_S + SLACK_S
    assert not members["m1"].healthy
    assert "answer within" in (members["m1"].fault or "")
    assert members["m2"].fault is None


def test_without_a_quorum_reads_fail_in_time_and_health_still_tells(mended: EtcdCluster, kind: DcsKind) -> None:
    mended.kill(2)
    mended.kill(3)
    time.sleep(1.5)
    dcs = open_dcs(kind, *mended.urls)
    started = time.monotonic()
    with pytest.raises(DcsFault) as caught:
        dcs.read_prefix("/service/main/")
    assert time.monotonic() - started < TIMEOUT_S + SLACK_S
    assert f"{mended.url(2)}" in str(caught.value) and "connection refused" in str(caught.value)
    started = time.monotonic()
    health = dcs.health()
    assert time.monotonic() - started < TIMEOUT_S + SLACK_S
    assert len(health.members) == 3
    assert not any(member.healthy for member in health.members)
    assert health.members[0].fault == "it sees no leader"
    if kind is DcsKind.ETCD3:
        assert isinstance(health.alarms, Unknown)


def test_all_killed_is_a_quick_fault_with_one_reason(mended: EtcdCluster, kind: DcsKind) -> None:
    for number in (1, 2, 3):
        mended.kill(number)
    dcs = open_dcs(kind, *mended.urls)
    started = time.monotonic()
    with pytest.raises(DcsFault, match=f"{', '.join(mended.urls)}: connection refused"):
        dcs.read_prefix("/service/main/")
    with pytest.raises(DcsFault, match="connection refused"):
        dcs.health()
    assert time.monotonic() - started < SLACK_S


def test_all_hanging_is_one_timeout(mended: EtcdCluster, kind: DcsKind) -> None:
    for number in (1, 2, 3):
        mended.signal(number, signal.SIGSTOP)
    dcs = open_dcs(kind, *mended.urls)
    started = time.monotonic()
    with pytest.raises(DcsFault, match=r"no (complete )?answer|no connection"):
        dcs.read_prefix("/service/main/")
    assert time.monotonic() - started < TIMEOUT_S + SLACK_S


def test_a_black_hole_is_one_timeout(kind: DcsKind) -> None:
    """A full accept queue drops every SYN, as a firewall does."""
    address = f"127.30.9.{10 + os.getpid() % 200}"
    with socket.socket() as hole:
        hole.bind((address, 0))
        hole.listen(0)
        port = hole.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex((address, port))
        dcs = open_dcs(kind, f"http://{address}:{port}", timeout_s=3.0)
        started = time.monotonic()
        with pytest.raises(DcsFault, match=r"no (complete )?answer|no connection"):
            dcs.read_prefix("/service/main/")
        assert time.monotonic() - started < 3.0 + SLACK_S
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize("endpoint", ["unix:///etc/passwd", "http://u:pw@h:1", "http://-oProxyCommand=x", "http://a;b"])
def test_an_endpoint_that_is_none_is_a_fault_without_its_password(kind: DcsKind, endpoint: str) -> None:
    with pytest.raises(DcsFault, match="is not an http or https URL") as caught:
        open_dcs(kind, endpoint).read_prefix("/service/main/")
    assert "pw" not in str(caught.value).partition("is not")[0].replace("/etc/passwd", "")
