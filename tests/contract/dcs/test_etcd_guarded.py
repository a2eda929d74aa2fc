"""etcd with TLS, with logins, and out of space: both drivers against the real thing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.dcs.certificates import make_certificates
from contract.dcs.etcd_cluster import EtcdCluster, need_etcd
from pgops.config.model import DcsConfig, DcsKind, TlsConfig
from pgops.dcs import Dcs, DcsFault
from pgops.dcs.etcd2 import Etcd2Dcs
from pgops.dcs.etcd3 import Etcd3Dcs
from pgops.readings import Known
from pgops.secrets import Secret

CANARY = "canary-7f3a"


@pytest.fixture(params=["etcd3", "etcd"])
def kind(request: pytest.FixtureRequest) -> DcsKind:
    return DcsKind(request.param)


def open_dcs(kind: DcsKind, cluster: EtcdCluster, tls: TlsConfig | None = None, *login: str) -> Dcs:
    username, password = (login[0], Secret(login[1])) if login else (None, None)
    config = DcsConfig(kind, cluster.urls, username, password, tls or TlsConfig())
    return Etcd3Dcs(config, timeout_s=4.0) if kind is DcsKind.ETCD3 else Etcd2Dcs(config, timeout_s=4.0)


@pytest.fixture(scope="module")
def secured() -> Iterator[EtcdCluster]:
    """One member that speaks TLS only and wants a client certificate."""
    need_etcd()
    home = Path(tempfile.mkdtemp(prefix="pgops-etcd-"))
    cluster = EtcdCluster(size=1, scheme="https", home=home)
    make_certificates(home, (cluster.address(1),))
    cluster.client_tls = (
        *("--cert-file", f"{home}/server.pem", "--key-file", f"{home}/server.key"),
        *("--client-cert-auth", "--trusted-ca-file", f"{home}/ca.pem"),
    )
    cluster.ctl_flags = ("--cacert", f"{home}/ca.pem", "--cert", f"{home}/client.pem", "--key", f"{home}/client.key")
    try:
        cluster.start()
        cluster.ctl("put", "/service/main/leader", "n1")
        yield cluster
    finally:
        cluster.stop()


def test_tls_with_a_client_certificate(secured: EtcdCluster, kind: DcsKind) -> None:
    home = secured.home
    dcs = open_dcs(kind, secured, TlsConfig(f"{home}/ca.pem", f"{home}/client.pem", f"{home}/client.key"))
    assert len(dcs.read_prefix("/service/main/")) == (1 if kind is DcsKind.ETCD3 else 0)
    (member,) = dcs.health().members
    assert member.healthy and member.quota_bytes


def test_tls_faults_say_what_to_set(secured: EtcdCluster, kind: DcsKind) -> None:
    home = secured.home
    good = (f"{home}/client.pem", f"{home}/client.key")
    cases = [
        (TlsConfig(f"{home}/stranger.pem", *good), r"not trusted.*tls\.ca_file"),
        (TlsConfig(f"{home}/ca.pem"), r"client certificate"),
        (TlsConfig(f"{home}/missing.pem", *good), r"missing\.pem: No such file"),
        (TlsConfig(f"{home}/m1.log", *good), r"m1\.log"),
        (TlsConfig(f"{home}/ca.pem", good[0], f"{home}/client-locked.key"), r"password|encrypted"),
    ]
    for tls, expected in cases:
        with pytest.raises(DcsFault, match=expected):
            open_dcs(kind, secured, tls).read_prefix("/service/main/")


def test_http_spoken_to_a_tls_port_and_the_other_way_round(secured: EtcdCluster, kind: DcsKind) -> None:
    plain = EtcdCluster(size=1, network=secured.network, home=secured.home)
    with pytest.raises(DcsFault) as caught:
        open_dcs(kind, plain).read_prefix("/service/main/")
    assert secured.address(1) in str(caught.value)


def test_a_locked_key_and_no_verification(secured: EtcdCluster) -> None:
    home = secured.home
    locked = TlsConfig(None, f"{home}/client.pem", f"{home}/client-locked.key", Secret("hush"), verify=False)
    assert open_dcs(DcsKind.ETCD, secured, locked).read_prefix("/service/main/") == {}
    with pytest.raises(DcsFault, match=r"gRPC always verifies.*ca_file"):
        open_dcs(DcsKind.ETCD3, secured, locked).read_prefix("/service/main/")


def test_logins(kind: DcsKind, capfd: pytest.CaptureFixture[str]) -> None:
    need_etcd()
    cluster = EtcdCluster(size=1)
    try:
        cluster.start()
        _enable_logins(cluster, kind)
        dcs = open_dcs(kind, cluster, None, "reader", CANARY)
        assert list(dcs.read_prefix("/service/main/")) == ["/service/main/leader"]
        assert dcs.health().members[0].healthy
        refused = r"etcd refused the login|may not read this"
        with pytest.raises(DcsFault, match=refused) as caught:
            open_dcs(kind, cluster, None, "reader", f"wrong-{CANARY}").read_prefix("/service/main/")
        assert CANARY not in str(caught.value)
        with pytest.raises(DcsFault, match=refused) as caught:
            dcs.read_prefix("/service/other/")
        assert CANARY not in str(caught.value)
        if kind is DcsKind.ETCD3:  # v2 lets guests read until the guest role is changed
            with pytest.raises(DcsFault, match=r"set dcs\.username"):
                open_dcs(kind, cluster).read_prefix("/service/main/")
        out, err = capfd.readouterr()
        assert CANARY not in out + err
    finally:
        cluster.stop()


def _enable_logins(cluster: EtcdCluster, kind: DcsKind) -> None:
    if kind is DcsKind.ETCD3:
        cluster.ctl("put", "/service/main/leader", "n1")
        cluster.ctl("user", "add", "root:rootpw")
        cluster.ctl("user", "grant-role", "root", "root")
        cluster.ctl("role", "add", "reading")
        cluster.ctl("role", "grant-permission", "reading", "read", "--prefix=true", "/service/main/")
        cluster.ctl("user", "add", f"reader:{CANARY}")
        cluster.ctl("user", "grant-role", "reader", "reading")
        cluster.ctl("auth", "enable")
    else:
        cluster.ctl("set", "/service/main/leader", "n1", api=2)
        cluster.ctl("user", "add", "root:rootpw", api=2)
        cluster.ctl("role", "add", "reading", api=2)
        cluster.ctl("role", "grant", "reading", "-path", "/service/main*", "-read", api=2)
        cluster.ctl("user", "add", f"reader:{CANARY}", api=2)
        cluster.ctl("user", "grant", "reader", "-roles", "reading", api=2)
        cluster.ctl("auth", "enable", api=2)
        cluster.ctl("--username", "root:rootpw", "role", "revoke", "guest", "-path", "/*", "-readwrite", api=2)


def test_out_of_space(kind: DcsKind) -> None:
    need_etcd()
    cluster = EtcdCluster(size=1, more_flags=("--quota-backend-bytes", str(4 * 1024 * 1024)))
    try:
        cluster.start()
        cluster.fill()
        dcs = open_dcs(kind, cluster)
        dcs.read_prefix("/service/main/")
        health = dcs.health()
        (member,) = health.members
        assert not member.healthy
        assert member.quota_bytes == 4 * 1024 * 1024
        assert member.db_size_bytes is not None and member.db_size_bytes > 3 * 1024 * 1024
        if kind is DcsKind.ETCD3:
            assert member.alarms == ("NOSPACE",)
            assert health.alarms == Known(((member.member_id, "NOSPACE"),))
    finally:
        cluster.stop()


def test_a_member_that_never_started_and_one_that_only_knows_itself_locally(kind: DcsKind) -> None:
    need_etcd()
    cluster = EtcdCluster(size=1, more_flags=("--advertise-client-urls", "http://0.0.0.0:2379"))
    try:
        cluster.start()
        cluster.ctl("member", "add", "m2", f"--peer-urls=http://{cluster.address(2)}:2380")
        members = open_dcs(kind, cluster).health().members
        assert (members[0].name, members[0].started, members[0].healthy) == ("", False, False)
        # Its advertised URL leads nowhere from elsewhere; it was found by its own id at the configured endpoint.
        assert members[1].name == "m1" and members[1].version
    finally:
        cluster.stop()
