"""Patroni's own configuration, in the shapes that real files have."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pgops.config.model import ClusterConfig, DcsKind
from pgops.config.patroni_member import name_services
from pgops.secrets import Secret
from unit.config.texts import read, read_one, refusal, write

_HEAD = "scope: main\nname: n1\n"


def _patroni(tmp_path: Path, text: str, **environ: str) -> ClusterConfig:
    return read_one(write(tmp_path / "patroni.yml", _HEAD + text), **environ)


@pytest.mark.parametrize(
    ("text", "endpoints"),
    [
        ("etcd3: {host: h1}", ["http://h1:2379"]),
        ("etcd3: {host: 'h1:1234'}", ["http://h1:1234"]),
        ("etcd3: {host: h1, port: 1234}", ["http://h1:1234"]),
        ("etcd3: {host: h1, port: '1234'}", ["http://h1:1234"]),
        ("etcd3: {hosts: 'h1:2379,h2:2380'}", ["http://h1:2379", "http://h2:2380"]),
        ("etcd3: {hosts: 'h1, h2:2380', port: 99}", ["http://h1:99", "http://h2:2380"]),
        ("etcd3: {hosts: [h1, 'h2:2380']}", ["http://h1:2379", "http://h2:2380"]),
        ("etcd3:\n  hosts:\n  - h1:2379\n  - h2:2379", ["http://h1:2379", "http://h2:2379"]),
        ("etcd3: {hosts: ['[::1]:2379', '[2001:db8::1]']}", ["http://[::1]:2379", "http://[2001:db8::1]:2379"]),
        ("etcd3: {hosts: ['::1:2379']}", ["http://[::1]:2379"]),
        ("etcd3: {hosts: [h1], protocol: https}", ["https://h1:2379"]),
        ("etcd3: {hosts: [h1], host: h2}", ["http://h1:2379"]),
        ("etcd3: {url: 'https://h9', hosts: [h1]}", ["https://h9:2379"]),
        ("etcd3: {url: 'http://h9:4001/'}", ["http://h9:4001"]),
        ("etcd3: {proxy: 'http://p:1', url: 'http://h9:4001', hosts: [h1]}", ["http://p:1"]),
    ],
)
def test_etcd_hosts(tmp_path: Path, text: str, endpoints: list[str]) -> None:
    assert list(_patroni(tmp_path, text).dcs.endpoints) == endpoints


@pytest.mark.parametrize(
    ("text", "kind", "endpoints"),
    [
        ("etcd: {host: h}", DcsKind.ETCD, ["http://h:2379"]),
        ("etcd3: {host: h}", DcsKind.ETCD3, ["http://h:2379"]),
        ("consul: {host: h}", DcsKind.CONSUL, ["http://h:8500"]),
        ("consul: {}", DcsKind.CONSUL, ["http://127.0.0.1:8500"]),
        ("consul: {host: h, scheme: https, port: 8501}", DcsKind.CONSUL, ["https://h:8501"]),
        ("consul: {url: 'https://h'}", DcsKind.CONSUL, ["https://h:8500"]),
        ("zookeeper: {hosts: ['h1:2181', h2]}", DcsKind.ZOOKEEPER, ["tcp://h1:2181", "tcp://h2:2181"]),
        ("zookeeper: {hosts: 'h1:2181,h2:2181', use_ssl: true}", DcsKind.ZOOKEEPER, ["tls://h1:2181", "tls://h2:2181"]),
    ],
)
def test_kinds_of_dcs(tmp_path: Path, text: str, kind: DcsKind, endpoints: list[str]) -> None:
    dcs = _patroni(tmp_path, text).dcs
    assert (dcs.kind, list(dcs.endpoints)) == (kind, endpoints)


@pytest.mark.parametrize("section", ["kubernetes", "raft", "exhibitor", "citus"])
def test_what_is_not_served_is_named(tmp_path: Path, section: str) -> None:
    extra = "etcd3: {host: h}\n" if section == "citus" else ""
    error = refusal(write(tmp_path / "p.yml", f"{_HEAD}{extra}{section}: {{group: 0, database: d}}\n"))
    assert section in error.what.lower() and "not served" in error.what
    assert error.where == f"{tmp_path / 'p.yml'}:{4 if extra else 3}"


def test_exhibitor_inside_zookeeper(tmp_path: Path) -> None:
    text = f"{_HEAD}zookeeper: {{exhibitor: {{hosts: [h], port: 8181}}}}"
    assert "Exhibitor" in refusal(write(tmp_path / "p.yml", text)).what


def test_several_dcs_sections_are_settled_as_patroni_does_and_told(tmp_path: Path) -> None:
    config = read(write(tmp_path / "p.yml", f"{_HEAD}etcd3: {{host: h}}\netcd: {{host: h}}\n"))
    assert config.clusters[0].dcs.kind is DcsKind.ETCD
    assert "several DCS sections (etcd, etcd3)" in config.warnings[0]


def test_etcd_login_and_tls(tmp_path: Path) -> None:
    text = "etcd3: {hosts: [h], protocol: https, cacert: /ca, cert: /c, key: /k, username: root, password: 123}"
    dcs = _patroni(tmp_path, text).dcs
    assert (dcs.username, dcs.password) == ("root", Secret("123"))
    assert (dcs.tls.ca_file, dcs.tls.cert_file, dcs.tls.key_file, dcs.tls.verify) == ("/ca", "/c", "/k", True)


def test_login_of_a_url_is_the_urls_own(tmp_path: Path) -> None:
    dcs = _patroni(tmp_path, "etcd3: {url: 'http://me:a%40b@h:1', username: other, password: other}").dcs
    assert (dcs.username, dcs.password, dcs.endpoints) == ("me", Secret("a@b"), ("http://h:1",))
    assert _patroni(tmp_path, "etcd3: {url: 'http://h:1', username: other, password: p}").dcs.username is None


def test_namespace_and_its_default(tmp_path: Path) -> None:
    assert _patroni(tmp_path, "etcd3: {host: h}").prefix == "/service/main/"
    assert _patroni(tmp_path, "namespace: /db/\netcd3: {host: h}").prefix == "/db/main/"
    assert _patroni(tmp_path, "namespace: /\netcd3: {host: h}").prefix == "/main/"


@pytest.mark.parametrize(
    ("text", "login", "tls"),
    [
        ("restapi: {authentication: {username: u, password: p}}", ("u", "p"), (None, None, None, None, True)),
        (
            "restapi: {authentication: {username: u, password: p}}\nctl: {authentication: {username: c, password: q}}",
            ("c", "q"),
            (None, None, None, None, True),
        ),
        ("restapi: {certfile: /s.crt, keyfile: /s.key, cafile: /ca}", (None, None), ("/ca", None, None, None, True)),
        (
            "restapi: {cafile: /ca}\nctl: {cacert: /cca, certfile: /c, keyfile: /k, keyfile_password: kp, insecure: on}",
            (None, None),
            ("/cca", "/c", "/k", "kp", False),
        ),
    ],
)
def test_rest_as_patronictl_asks(
    tmp_path: Path,
    text: str,
    login: tuple[str | None, str | None],
    tls: tuple[str | None, str | None, str | None, str | None, bool],
) -> None:
    rest = _patroni(tmp_path, f"etcd3: {{host: h}}\n{text}").rest
    assert (rest.username, rest.password.reveal() if rest.password else None) == login
    password = rest.tls.key_password.reveal() if rest.tls.key_password else None
    assert (rest.tls.ca_file, rest.tls.cert_file, rest.tls.key_file, password, rest.tls.verify) == tls


def test_sql_login_with_its_tls(tmp_path: Path) -> None:
    sql = _patroni(
        tmp_path,
        """\
etcd3: {host: h}
postgresql:
  authentication:
    replication: {username: replicator, password: not this}
    superuser: {username: admin, password: p, sslmode: verify-full, sslrootcert: /r, sslcert: /c, sslkey: /k,
                sslpassword: sp, sslcrl: /crl, gssencmode: disable, channel_binding: require}
""",
    ).sql
    assert (sql.user, sql.password, sql.sslmode, sql.sslrootcert) == ("admin", Secret("p"), "verify-full", "/r")
    assert (sql.sslcert, sql.sslkey, sql.sslpassword, sql.sslcrl) == ("/c", "/k", Secret("sp"), "/crl")
    assert (sql.gssencmode, sql.channel_binding, sql.dbname) == ("disable", "require", "postgres")


def test_sql_login_that_is_not_said(tmp_path: Path) -> None:
    assert _patroni(tmp_path, "etcd3: {host: h}").sql.user == "postgres"
    assert _patroni(tmp_path, "etcd3: {host: h}", PGUSER="monitor").sql.user is None
    old = _patroni(tmp_path, "etcd3: {host: h}\npostgresql: {superuser: {username: su, password: p}}").sql
    assert (old.user, old.password) == ("su", Secret("p"))


def test_the_member_of_this_machine(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    cluster = _patroni(
        tmp_path,
        f"""\
etcd3: {{host: h}}
restapi: {{listen: 0.0.0.0:8008, connect_address: 127.20.1.11:8009, certfile: /c}}
postgresql:
  listen: '*:5432'
  connect_address: '[::1]:5433'
  data_dir: {data}
  bin_dir: /usr/lib/postgresql/15/bin
  parameters: {{archive_command: 'pgbackrest --config=/etc/b.conf --stanza="main-15" archive-push "%p"'}}
""",
    )
    (host,) = cluster.hosts
    assert (host.name, host.ssh, host.become) == ("n1", None, None)
    assert (host.rest_url, host.sql_host, host.sql_port) == ("https://127.20.1.11:8009", "::1", 5433)
    assert (host.data_dir, host.bin_dir) == (str(data), "/usr/lib/postgresql/15/bin")
    assert (host.patroni_config, host.pgbackrest_config) == (str(tmp_path / "patroni.yml"), "/etc/b.conf")
    assert cluster.stanza == "main-15"
    assert cluster.patroni_file == str(tmp_path / "patroni.yml")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a directory away")
def test_become_is_the_owner_of_the_data_directory(tmp_path: Path) -> None:
    import pwd

    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, pwd.getpwnam("daemon").pw_uid, -1)
    (host,) = _patroni(tmp_path, f"etcd3: {{host: h}}\npostgresql: {{data_dir: {data}}}").hosts
    assert host.become == "daemon"


def test_a_copied_configuration_makes_this_machine_no_member(tmp_path: Path) -> None:
    text = "etcd3: {host: h}\npostgresql: {data_dir: /nowhere/data, connect_address: 'db1.example:5432'}"
    assert _patroni(tmp_path, text).hosts == ()
    text = "etcd3: {host: h}\npostgresql: {data_dir: /nowhere/data, connect_address: '127.20.1.11:5432'}"
    # the address is ours though the data directory is gone: an incident, not a copy
    assert [host.name for host in _patroni(tmp_path, text).hosts] == ["n1"]


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ("127.20.1.11:5444", ("127.20.1.11", 5444)),
        ("'127.20.1.11,127.0.0.1:5444'", ("127.20.1.11", 5444)),
        ("'[::1]:5444'", ("::1", 5444)),
        ("'*:5432'", (None, None)),
        ("0.0.0.0:5432", (None, None)),
        ("127.20.1.11", ("127.20.1.11", 5432)),
    ],
)
def test_listen_where_there_is_no_connect_address(
    tmp_path: Path, listen: str, expected: tuple[str | None, int | None]
) -> None:
    (host,) = _patroni(tmp_path, f"etcd3: {{host: h}}\npostgresql: {{data_dir: {tmp_path}, listen: {listen}}}").hosts
    assert (host.sql_host, host.sql_port) == expected


@pytest.mark.parametrize(
    ("text", "stanza"),
    [
        ("postgresql: {parameters: {archive_command: 'pgbackrest --stanza=a archive-push %p'}}", "a"),
        ("postgresql: {parameters: {archive_command: \"/usr/bin/pgbackrest --stanza 'b' archive-push %p\"}}", "b"),
        ("postgresql: {parameters: {archive_command: 'test ! -f x && cp %p --stanza=x'}}", None),
        ("postgresql: {recovery_conf: {restore_command: 'pgbackrest --stanza=c archive-get %f %p'}}", "c"),
        (
            "bootstrap: {dcs: {postgresql: {parameters: {archive_command: 'pgbackrest --stanza=d archive-push %p'}}}}",
            "d",
        ),
        ("postgresql: {create_replica_methods: [pgb], pgb: {command: 'pgbackrest --stanza=e --delta restore'}}", "e"),
        ("bootstrap: {method: pgb, pgb: {command: 'pgbackrest --stanza=f restore'}}", "f"),
        ("postgresql: {parameters: {archive_command: 'pgbackrest --stanza=$(id) archive-push %p'}}", "$(id)"),
        ("postgresql: {parameters: {archive_command: 'pgbackrest --stanza=../x archive-push %p'}}", None),
        ("postgresql: {parameters: {archive_command: 'pgbackrest archive-push %p'}}", None),
    ],
)
def test_stanza(tmp_path: Path, text: str, stanza: str | None) -> None:
    assert _patroni(tmp_path, f"etcd3: {{host: h}}\n{text}").stanza == stanza


def test_a_directory_is_merged_in_alphabetical_order(tmp_path: Path) -> None:
    write(tmp_path / "10-base.yml", "scope: main\nname: n1\netcd3: {hosts: [h1], username: u}\nnamespace: /x/\n")
    write(tmp_path / "20-more.yaml", "etcd3: {password: p}\nnamespace: null\n")
    write(tmp_path / "30-last.yml", "etcd3: {hosts: [h2]}\n")
    write(tmp_path / "40-not-this.txt", "scope: other\n")
    cluster = read_one(tmp_path)
    assert (cluster.dcs.endpoints, cluster.dcs.username, cluster.dcs.password) == (
        ("http://h2:2379",),
        "u",
        Secret("p"),
    )
    assert (cluster.scope, cluster.namespace, cluster.patroni_file) == ("main", "service", str(tmp_path))


def test_a_directory_with_a_bad_file_names_it(tmp_path: Path) -> None:
    write(tmp_path / "a.yml", "scope: main\netcd3: {hosts: [h1]}\n")
    write(tmp_path / "b.yml", "[x\n")
    assert f"{tmp_path / 'b.yml'}:2: not YAML" in (refusal(tmp_path).why or "")
    write(tmp_path / "b.yml", "[x]\n")
    assert f"{tmp_path / 'b.yml'}:1: a Patroni configuration is a mapping" in (refusal(tmp_path).why or "")
    (tmp_path / "b.yml").unlink()
    (tmp_path / "a.yml").unlink()
    assert "no file *.yml" in (refusal(tmp_path).why or "")


def test_a_repeated_key_counts_as_in_patroni(tmp_path: Path) -> None:
    assert _patroni(tmp_path, "etcd3: {host: a}\netcd3: {host: b}").dcs.endpoints == ("http://b:2379",)


def test_variables_are_laid_upon_the_file(tmp_path: Path) -> None:
    cluster = _patroni(
        tmp_path,
        "etcd3: {host: h, cacert: /old}\npostgresql: {authentication: {superuser: {username: a, password: b}}}",
        PATRONI_SCOPE="other",
        PATRONI_NAMESPACE="/env/",
        PATRONI_ETCD3_HOSTS="'h1:2379','h2:2380'",
        PATRONI_ETCD3_PROTOCOL="https",
        PATRONI_ETCD3_CACERT="/new",
        PATRONI_ETCD3_USERNAME="eu",
        PATRONI_ETCD3_PASSWORD="yes",
        PATRONI_RESTAPI_USERNAME="ru",
        PATRONI_RESTAPI_PASSWORD="rp",
        PATRONI_CTL_INSECURE="on",
        PATRONI_SUPERUSER_PASSWORD="007",
        PATRONI_SUPERUSER_SSLMODE="require",
        PATRONI_SUPERUSER_USERNAME="",
    )
    assert cluster.prefix == "/env/other/"
    assert cluster.dcs.endpoints == ("https://h1:2379", "https://h2:2380")
    assert (cluster.dcs.tls.ca_file, cluster.dcs.username, cluster.dcs.password) == ("/new", "eu", Secret("yes"))
    assert (cluster.rest.username, cluster.rest.password, cluster.rest.tls.verify) == ("ru", Secret("rp"), False)
    assert (cluster.sql.user, cluster.sql.password, cluster.sql.sslmode) == ("a", Secret("007"), "require")


@pytest.mark.parametrize(
    ("hosts", "endpoints"),
    [
        ("h1:2379,h2:2379", ["http://h1:2379", "http://h2:2379"]),
        ("h1:2379", ["http://h1:2379"]),
        ('["h1:2379", "h2:2379"]', ["http://h1:2379", "http://h2:2379"]),
        ("- h1:2379\n- h2:2379", ["http://h1:2379", "http://h2:2379"]),
        ("[::1]:2379,[::2]:2379", ["http://[::1]:2379", "http://[::2]:2379"]),
    ],
)
def test_hosts_variable(tmp_path: Path, hosts: str, endpoints: list[str]) -> None:
    assert list(_patroni(tmp_path, "etcd3: {}", PATRONI_ETCD3_HOSTS=hosts).dcs.endpoints) == endpoints


def test_variables_of_every_dcs(tmp_path: Path) -> None:
    assert _patroni(tmp_path, "", PATRONI_ETCD_URL="http://u:p@h:1").dcs.username == "u"
    assert _patroni(tmp_path, "", PATRONI_ZOOKEEPER_HOSTS="'h:1'").dcs.endpoints == ("tcp://h:1",)
    consul = _patroni(tmp_path, "", PATRONI_CONSUL_HOST="h", PATRONI_CONSUL_TOKEN="t", PATRONI_CONSUL_VERIFY="off").dcs
    assert (consul.password, consul.tls.verify) == (Secret("t"), False)
    # as Patroni: the login counts only where another variable of that section is set
    alone = _patroni(tmp_path, "etcd3: {host: h, username: a, password: b}", PATRONI_ETCD3_PASSWORD="c").dcs
    assert alone.password == Secret("b")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("etcd3: {}", "3: etcd3: names no hosts"),
        ("etcd3: text", "3: etcd3: expected a mapping"),
        ("etcd3: {hosts: 5}", "3: etcd3.hosts: expected host:port"),
        ("etcd3: {hosts: [{a: b}]}", "3: etcd3.hosts[0]: expected host:port"),
        ("etcd3: {hosts: ['h:x']}", "the port must be a number"),
        ("etcd3: {hosts: ['h;id']}", "not host:port"),
        ("etcd3: {hosts: ['$(id)']}", "not host:port"),
        ("etcd3: {url: 'h:2379'}", "not an http or https URL"),
        ("etcd3: {host: h, port: 0}", "3: etcd3.port: the port must be"),
        ("restapi: {}", "names no DCS"),
        ("etcd3: {host: h}\nnamespace: -x", "4: namespace: a name must not begin with -"),
        ("etcd3: {host: h}\npostgresql: {data_dir: rel}", "4: postgresql.data_dir: must be an absolute path"),
    ],
)
def test_faults_name_file_line_and_key(tmp_path: Path, text: str, words: str) -> None:
    file = write(tmp_path / "p.yml", _HEAD + text)
    assert words in (refusal(file).why or ""), refusal(file).why


@pytest.mark.parametrize("scope", ["a/b", "-a", "'a b'", '"a\\nb"', '"\\e[2J"'])
def test_hostile_scopes(tmp_path: Path, scope: str) -> None:
    error = refusal(write(tmp_path / "p.yml", f"scope: {scope}\netcd3: {{host: h}}\n"))
    assert "1: scope: " in (error.why or "") and (error.why or "").replace("\n", "").isprintable()


def test_patronictls_own_file_without_a_scope(tmp_path: Path) -> None:
    file = write(tmp_path / "patronictl.yaml", "etcd3: {host: h}\n")
    assert "scope: missing" in (refusal(file).why or "")
    assert read_one(file, PATRONI_SCOPE="main").scope == "main"


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("/etc/patroni/config.yml", "patroni"),
        ("/etc/patroni/patroni.yml", "patroni"),
        ("/etc/patroni/15-main.yml", "patroni@15-main"),
        ("/etc/patroni.yml", "patroni"),
        ("/srv/patroni/15-main.yml", "patroni"),
        (None, "patroni"),
    ],
)
def test_units_by_the_files_place(path: str | None, unit: str) -> None:
    assert dict(name_services(path).names)["patroni"] == unit
