"""A good pgops.yml becomes the values that it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgops.config.model import DcsKind, SshConfig, Thresholds, Timeouts
from unit.config.texts import read, read_one, write

_FULL = """\
version: 1
defaults:
  thresholds: {lag_warning_bytes: "32MiB", backup_full_warning_s: 9d}
  timeouts: {connect_s: 0.5}
  sql: {user: monitor, dbname: app}
clusters:
  demo:
    scope: demo-scope
    namespace: /db/team/
    dcs:
      kind: etcd
      endpoints: ["127.20.1.11:2379", "[::1]", "https://etcd.example:1234/"]
      username: root
      password: 0123
      tls: {ca_file: ca.pem, cert_file: ~/c.pem, key_file: /k.pem, key_password: kp, verify: no}
    rest: {username: patroni, password_file: rest.txt, tls: {verify: true}}
    sql: {password: pw, sslmode: verify-full, sslrootcert: system, sslcert: c.pem, sslkey: k.pem, sslpassword: sp,
          sslcrl: crl.pem, gssencmode: disable, channel_binding: require, passfile: pgpass}
    stanza: main
    become: pg
    services: {manager: supervisor, config: /etc/s.conf, names: {patroni: "patroni-{host}", haproxy: haproxy, etcd: }}
    hosts:
      n1: {rest_url: "http://127.20.1.11:8008/", sql_host: 127.20.1.11, sql_port: 5433, data_dir: /d, bin_dir: /b,
           patroni_config: /p.yml, pgbackrest_config: /b.conf}
      n2: {ssh: bob@db2.example, become: null}
      n3: {ssh: {destination: db3, user: eve, port: 2222, config_file: ssh_config}, become: other}
      n4:
    proxies:
      front: {stats_url: "http://127.20.1.10:7000/stats;up", address: 127.20.1.10, primary_port: null,
              replica_port: 6001, username: u, password: sp}
    thresholds: {lag_critical_bytes: 1GiB, ready_wal_warning_count: 5}
  other:
    dcs: {kind: consul, endpoints: c.example}
"""


@pytest.fixture
def full(tmp_path: Path) -> Path:
    write(tmp_path / "rest.txt", "rest-secret\nsecond line\n")
    return write(tmp_path / "pgops.yml", _FULL)


def test_every_key_arrives(full: Path, tmp_path: Path) -> None:
    config = read(full, HOME="/home/me")
    demo, other = config.clusters
    assert (config.source, config.warnings) == (str(full), ())
    assert (demo.name, demo.scope, demo.prefix, demo.stanza) == ("demo", "demo-scope", "/db/team/demo-scope/", "main")
    assert demo.dcs.kind is DcsKind.ETCD
    assert demo.dcs.endpoints == ("https://127.20.1.11:2379", "https://[::1]:2379", "https://etcd.example:1234")
    assert demo.dcs.password is not None and demo.dcs.password.reveal() == "0123"
    tls = demo.dcs.tls
    assert (tls.ca_file, tls.cert_file, tls.key_file) == (str(tmp_path / "ca.pem"), "/home/me/c.pem", "/k.pem")
    assert tls.verify is False and tls.key_password is not None and tls.key_password.reveal() == "kp"
    assert demo.rest.password is not None and demo.rest.password.reveal() == "rest-secret"
    assert (demo.sql.user, demo.sql.dbname, demo.sql.sslmode) == ("monitor", "app", "verify-full")
    assert (demo.sql.sslrootcert, demo.sql.sslcrl) == ("system", str(tmp_path / "crl.pem"))
    assert (demo.sql.gssencmode, demo.sql.channel_binding) == ("disable", "require")
    assert demo.sql.passfile == str(tmp_path / "pgpass")
    assert demo.services.manager_config == "/etc/s.conf"
    assert dict(demo.services.names) == {"patroni": "patroni-{host}", "haproxy": "haproxy"}
    (front,) = demo.proxies
    assert (front.primary_port, front.replica_port, front.stats_url) == (None, 6001, "http://127.20.1.10:7000/stats;up")
    assert demo.thresholds == Thresholds(
        lag_warning_bytes=32 * 1024**2,
        lag_critical_bytes=1024**3,
        backup_full_warning_s=9 * 86400.0,
        ready_wal_warning_count=5,
    )
    assert demo.timeouts == Timeouts(connect_s=0.5)
    assert other.dcs.endpoints == ("http://c.example:8500",)
    assert other.scope == "other" and other.namespace == "service"
    assert other.sql.user == "monitor" and other.sql.password is None


def test_hosts_take_the_clusters_become_unless_they_say_otherwise(full: Path, tmp_path: Path) -> None:
    n1, n2, n3, n4 = read(full).clusters[0].hosts
    assert [host.become for host in (n1, n2, n3, n4)] == ["pg", None, "other", "pg"]
    assert n1.ssh is None and n1.rest_url == "http://127.20.1.11:8008" and n1.sql_port == 5433
    assert n2.ssh == SshConfig("bob@db2.example")
    assert n3.ssh == SshConfig("db3", "eve", 2222, str(tmp_path / "ssh_config"))


def test_become_null_of_a_cluster_is_oneself(tmp_path: Path) -> None:
    file = write(
        tmp_path / "p.yml",
        """\
        version: 1
        clusters: {a: {become: null, dcs: {kind: etcd3, endpoints: [h]}, hosts: {n1: {}}}}
        """,
    )
    assert read_one(file).hosts[0].become is None


@pytest.mark.parametrize(
    ("written", "kind", "url"),
    [
        ("h", "etcd3", "http://h:2379"),
        ("h:1", "etcd3", "http://h:1"),
        ("'[::1]:2379'", "etcd3", "http://[::1]:2379"),
        ("'::1'", "etcd3", "http://[::1]:2379"),
        ("'fe80::1:2379'", "etcd3", "http://[fe80::1]:2379"),
        ("'2001:db8:0:0:0:0:0:1234'", "etcd3", "http://[2001:db8:0:0:0:0:0:1234]:2379"),
        ("https://h", "etcd3", "https://h:2379"),
        ("h", "zookeeper", "tcp://h:2181"),
    ],
)
def test_endpoints(tmp_path: Path, written: str, kind: str, url: str) -> None:
    file = write(
        tmp_path / "p.yml", f"version: 1\nclusters: {{a: {{dcs: {{kind: {kind}, endpoints: [{written}, {written}]}}}}}}"
    )
    assert read_one(file).dcs.endpoints == (url,)


def test_aliases_and_merge_keys(tmp_path: Path) -> None:
    file = write(
        tmp_path / "p.yml",
        """\
        version: 1
        clusters:
          a: &a
            dcs: &dcs {kind: etcd3, endpoints: [h]}
            stanza: s
          b:
            <<: *a
            stanza: t
          c: {dcs: *dcs}
        """,
    )
    a, b, c = read(file).clusters
    assert (a.stanza, b.stanza, c.stanza) == ("s", "t", None)
    assert a.dcs == b.dcs == c.dcs


def test_patroni_config_gives_what_is_not_said(tmp_path: Path) -> None:
    write(
        tmp_path / "patroni.yml",
        """\
        scope: main
        namespace: /prod/
        name: n1
        etcd3: {hosts: "h1:2379,h2:2379", username: u, password: p}
        restapi: {authentication: {username: ru, password: rp}}
        postgresql: {authentication: {superuser: {username: postgres, password: sp}}, data_dir: /nowhere/at/all}
        """,
    )
    file = write(
        tmp_path / "pgops.yml",
        """\
        version: 1
        clusters:
          prod:
            patroni_config: patroni.yml
            sql: {user: monitor}
            rest: {password: other}
        """,
    )
    cluster = read_one(file, PATRONI_SCOPE="elsewhere", PATRONI_ETCD3_HOSTS="evil:1")
    assert (cluster.name, cluster.scope, cluster.prefix) == ("prod", "main", "/prod/main/")
    assert cluster.dcs.endpoints == ("http://h1:2379", "http://h2:2379")
    assert cluster.rest.username == "ru" and cluster.rest.password is not None
    assert cluster.rest.password.reveal() == "other"
    # the superuser's password is not tried for another user
    assert cluster.sql.user == "monitor" and cluster.sql.password is None
    assert cluster.patroni_file == str(tmp_path / "patroni.yml")
