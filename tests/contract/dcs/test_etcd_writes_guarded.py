"""Writes to an etcd with logins, and to one that is out of space."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from contract.dcs.etcd_cluster import EtcdCluster, need_etcd
from pgops.config.model import DcsConfig, DcsKind
from pgops.dcs import Compare, DcsFault, DcsOutcomeUnknown, Put
from pgops.dcs.etcd2 import Etcd2Dcs
from pgops.dcs.etcd3 import Etcd3Dcs
from pgops.secrets import Secret

CANARY = "canary-5e1d"
OWN = "/pgops/v1/service/main/"


@pytest.fixture
def guarded() -> Iterator[EtcdCluster]:
    """The v3 side wants a login: `operator` writes pgops's keys and reads Patroni's."""
    need_etcd()
    cluster = EtcdCluster(size=1)
    try:
        cluster.start()
        cluster.ctl("user", "add", "root:rootpw")
        cluster.ctl("user", "grant-role", "root", "root")
        cluster.ctl("role", "add", "operating")
        cluster.ctl("role", "grant-permission", "operating", "readwrite", "--prefix=true", "/pgops/")
        cluster.ctl("role", "grant-permission", "operating", "read", "--prefix=true", "/service/")
        cluster.ctl("user", "add", f"operator:{CANARY}")
        cluster.ctl("user", "grant-role", "operator", "operating")
        cluster.ctl("auth", "enable")
        yield cluster
    finally:
        cluster.stop()


def login(cluster: EtcdCluster, kind: DcsKind, password: str = CANARY) -> DcsConfig:
    return DcsConfig(kind, cluster.urls, "operator", Secret(password))


def test_rights_and_logins(guarded: EtcdCluster) -> None:
    dcs = Etcd3Dcs(login(guarded, DcsKind.ETCD3), timeout_s=4)
    lease = dcs.grant_lease(30)
    assert dcs.transact([Compare(f"{OWN}lock", 0)], [Put(f"{OWN}lock", "me", lease)]).succeeded
    assert dcs.keep_lease(lease) == 30
    with pytest.raises(DcsFault, match="operator may not write this; grant it a role that writes") as caught:
        dcs.transact([], [Put("/service/main/config", "{}")])
    assert not isinstance(caught.value, DcsOutcomeUnknown)
    stranger = Etcd3Dcs(login(guarded, DcsKind.ETCD3, f"wrong-{CANARY}"), timeout_s=4)
    with pytest.raises(DcsFault, match="refused the login of operator") as caught:
        stranger.transact([], [Put(f"{OWN}lock", "other")])
    assert CANARY not in str(caught.value)
    assert dcs.read_keys([f"{OWN}lock"])[f"{OWN}lock"].value == "me"


def test_a_login_forgotten_by_a_restarted_etcd_is_made_anew(guarded: EtcdCluster) -> None:
    dcs = Etcd3Dcs(login(guarded, DcsKind.ETCD3), timeout_s=4)
    first = dcs.transact([], [Put(f"{OWN}k", "1")])
    for change in (lambda: dcs.transact([], [Put(f"{OWN}k", "2")]), lambda: dcs.read_keys([f"{OWN}k"])):
        guarded.kill(1)
        guarded.start_member(1)
        _await_serving(guarded)
        assert change()
    assert dcs.read_keys([f"{OWN}k"])[f"{OWN}k"].revision > first.revision


def _await_serving(cluster: EtcdCluster) -> None:
    deadline = time.monotonic() + 15
    while True:
        try:
            Etcd3Dcs(login(cluster, DcsKind.ETCD3), timeout_s=2).grant_lease(5)
            return
        except DcsFault:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_a_login_that_only_the_v2_side_wants(cluster_of_one: EtcdCluster) -> None:
    dcs = Etcd2Dcs(login(cluster_of_one, DcsKind.ETCD), timeout_s=4)
    assert dcs.transact([Compare(f"{OWN}k", 0)], [Put(f"{OWN}k", "1")]).succeeded
    assert list(dcs.read_prefix(OWN)) == [f"{OWN}k"]


@pytest.fixture
def cluster_of_one() -> Iterator[EtcdCluster]:
    need_etcd()
    cluster = EtcdCluster(size=1, more_flags=("--quota-backend-bytes", str(4 * 1024 * 1024)))
    try:
        yield cluster.start()
    finally:
        cluster.stop()


def test_out_of_space_says_what_to_run(cluster_of_one: EtcdCluster) -> None:
    cluster_of_one.fill()
    dcs = Etcd3Dcs(DcsConfig(DcsKind.ETCD3, cluster_of_one.urls), timeout_s=4)
    with pytest.raises(DcsFault, match=r"out of space.*etcdctl compact.*etcdctl defrag.*alarm disarm") as caught:
        dcs.transact([], [Put(f"{OWN}k", "1")])
    assert not isinstance(caught.value, DcsOutcomeUnknown)
