"""Everything wrong in a pgops.yml is told at once, with file, line and key, and without any value."""

from __future__ import annotations

from pathlib import Path

import pytest

from unit.config.texts import refusal, whole, write

_CLUSTER = """\
version: 1
clusters:
  demo:
    dcs: {kind: etcd3, endpoints: [h]}
"""


def test_all_faults_are_told_in_the_order_of_the_file(tmp_path: Path) -> None:
    file = write(
        tmp_path / "p.yml",
        """\
        version: 1
        default: {}
        clusters:
          demo:
            dcs: {kind: etdc3, endpoints: [1, "h:99999"], paswword: x}
            stanza: [a]
            hosts:
              n1: {ssh: "-oProxyCommand=x", sql_port: 0}
              "-n2": {}
            thresholds:
              lag_warning_bytes: 16MB
              disk_warning_percent: 99
            become: x
            become: y
        """,
    )
    error = refusal(file)
    assert error.where == str(file)
    told = (error.why or "").splitlines()
    beginnings = [
        "2: default: unknown key default; did you mean defaults?",
        "5: clusters.demo.dcs.kind: expected one of etcd, etcd3, consul, zookeeper; did you mean etcd3?",
        "5: clusters.demo.dcs.endpoints[0]: expected a URL or host:port, got a number",
        "5: clusters.demo.dcs.endpoints[1]: the port must be a number from 1 to 65535",
        "5: clusters.demo.dcs.paswword: unknown key paswword; did you mean password",
        "6: clusters.demo.stanza: expected text, got a list",
        "8: clusters.demo.hosts.n1.ssh: not a host name for ssh",
        "8: clusters.demo.hosts.n1.sql_port: the port must be",
        "9: clusters.demo.hosts.(a key not shown): a name must not begin with -",
        "11: clusters.demo.thresholds.lag_warning_bytes: expected a size such as",
        "12: clusters.demo.thresholds.disk_warning_percent: disk_warning_percent must be less than disk_critical_percent",
        "14: clusters.demo.become: given twice; first at line 13",
    ]
    assert len(told) == len(beginnings), told
    for begin in beginnings:
        assert any(line.startswith(f"{file}:{begin}") for line in told), (begin, told)
    assert [int(line.split(":")[1]) for line in told] == sorted(int(line.split(":")[1]) for line in told)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("clusters: {a: }\nversion:\n", 1, "version: missing"),
        ("version: 1\n", 1, "clusters: missing"),
        ("version: 1\nclusters: {}\n", 2, "at least one"),
        ("version: 1\nclusters: [a]\n", 2, "expected a mapping, got a list"),
        ("version: 1\nclusters:\n  a: {}\n", 3, "clusters.a.dcs: missing"),
        ("version: 1\nclusters:\n  a: text\n", 3, "expected a mapping"),
        ("version: 1\nclusters:\n  a:\n    dcs: {kind: etcd3}\n", 4, "endpoints is missing"),
        ("version: 1\nclusters:\n  a:\n    dcs: {kind: etcd3, endpoints: []}\n", 4, "at least one endpoint"),
        ("version: 1\nclusters:\n  a:\n    dcs: {endpoints: [h]}\n", 4, "kind is missing"),
        ("version: 1\nclusters:\n  a/b:\n    dcs: {kind: etcd3, endpoints: [h]}\n", 3, "cannot be a scope"),
        ("version: 1\nclusters:\n  'a b':\n    dcs: {kind: etcd3, endpoints: [h]}\n", 3, "white space"),
        ("version: 1\nclusters:\n  'a\tb':\n    dcs: {kind: etcd3, endpoints: [h]}\n", 3, "white space"),
        ('version: 1\nclusters:\n  "\\e[31m":\n    dcs: {kind: etcd3, endpoints: [h]}\n', 3, "control characters"),
        ("version: 1\nclusters:\n  ? [a, b]\n  : {}\n", 3, "a key must be a single word"),
    ],
)
def test_shape(tmp_path: Path, text: str, line: int, words: str) -> None:
    file = write(tmp_path / "p.yml", text)
    error = refusal(file)
    assert f"{file}:{line}: " in (error.why or ""), error.why
    assert words in (error.why or ""), error.why


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("scope: a/b", "scope: must not hold /"),
        ("scope: 5", "scope: expected text, got a number"),
        ("scope: yes", "scope: expected text, got true or false"),
        ("scope: 2020-01-01", "scope: expected text, got a date"),
        ('scope: "a\\nb"', "control characters"),
        ('scope: "a\\u202eb"', "control characters"),
        ("scope: !!python/object:os.system x", "got a tagged value"),
        ("namespace: -x", "must not begin with -"),
        ("stanza: -x", "must not begin with -"),
        ("stanza: ../x", "must not hold /"),
        ("become: 'a b'", "not a user name"),
        ("become: -u", "not a user name"),
        ("rest: {tls: {verify: maybe}}", "rest.tls.verify: expected true or false"),
        ("rest: {tls: {key_file: k}}", "a key without cert_file"),
        ("rest: {password: a, password_file: b}", "password is given as well"),
        ("rest: {password_file: nowhere}", "the file cannot be read"),
        ("rest: {password: [a]}", "expected text, got a list"),
        ("rest: {password: yes}", "put it in quotes"),
        ("sql: {sslmode: on}", "expected one of disable"),
        ("sql: {sslmode: verify_full}", "did you mean verify-full?"),
        ("services: {config: rel}", "must be an absolute path"),
        ("services: {manager: '; rm'}", "letters, digits"),
        ("services: {names: {patroni: 'x-{hots}'}}", "{host}"),
        ("services: {names: {patroni: ../x}}", "must not hold /"),
        ("hosts: {n1: {data_dir: rel}}", "must be an absolute path"),
        ("hosts: {n1: {rest_url: 'ftp://h'}}", "not an http or https URL"),
        ("hosts: {n1: {rest_url: 'http://u:p@h'}}", "must not hold a user name"),
        ("hosts: {n1: {rest_url: 'http://h/x'}}", "must end after the port"),
        ("hosts: {n1: {rest_url: 'http://h:99999'}}", "not a URL"),
        ("hosts: {n1: {rest_url: 'http://$(id)'}}", "not a host name"),
        ("hosts: {n1: {rest_url: 'http://[::1'}}", "not a URL"),
        ("hosts: {n1: {sql_host: 'a;b'}}", "not a host name"),
        ("hosts: {n1: {sql_port: abc}}", "sql_port: the port must be a number"),
        ("hosts: {n1: {ssh: 'u@-oX'}}", "not a host name for ssh"),
        ("hosts: {n1: {ssh: 'a b'}}", "not a host name for ssh"),
        ("hosts: {n1: {ssh: 'x;id'}}", "not a host name for ssh"),
        ("hosts: {n1: {ssh: {user: u}}}", "destination is missing"),
        ("hosts: {n1: {ssh: {destination: h, port: 70000}}}", "ssh.port: the port must be"),
        ("hosts: {n1: [a]}", "hosts.n1: expected a mapping"),
        ("hosts: {a/b: {}}", "must not hold /"),
        ("proxies: {front: {}}", "stats_url is missing"),
        ("proxies: {front: }", "a proxy needs stats_url"),
        ("proxies: {front: {stats_url: 'http://h', address: h, primary_port: x}}", "primary_port: the port must be"),
        ("thresholds: {lag_warning_bytes: -1}", "expected a size"),
        (
            "thresholds: {lag_warning_bytes: 300MiB}",
            "must be less than lag_critical_bytes (the other one is the default)",
        ),
        (
            "thresholds: {backup_any_warning_s: 26}\n    timeouts: {connect_s: 0}",
            "timeouts.connect_s: expected a duration",
        ),
        ("thresholds: {backup_any_warning_s: 26 hours}", "expected a duration"),
        ("thresholds: {disk_warning_percent: 101}", "from 1 to 100"),
        ("thresholds: {disk_warning_percent: .nan}", "from 1 to 100"),
        ("thresholds: {ready_wal_warning_count: 1.5}", "a whole number"),
        ("thresholds: {lag_warning: 1}", "did you mean lag_warning_bytes?"),
        ("timeouts: {command_s: 2d}", "from 10 ms to 1 hour"),
        ("patroni_config: nowhere.yml", "patroni_config: the configuration cannot be read"),
        ("<<: [1]", "<< needs a mapping"),
        ("scope: *nowhere", "an alias (*) without its anchor"),
    ],
)
def test_values(tmp_path: Path, key: str, words: str) -> None:
    file = write(tmp_path / "p.yml", f"{_CLUSTER}    {key}\n")
    error = refusal(file)
    assert words in (error.why or ""), error.why
    assert f"{file}:5" in (error.why or "") or f"{file}:6" in (error.why or ""), error.why


def test_a_fault_in_defaults_is_told_once_and_there(tmp_path: Path) -> None:
    file = write(
        tmp_path / "p.yml",
        """\
        version: 1
        defaults:
          dcs: {kind: etcd3, endpoints: ["h:x"]}
        clusters: {a: {}, b: {}, c: {}}
        """,
    )
    assert (refusal(file).why or "").splitlines() == [
        f"{file}:3: defaults.dcs.endpoints[0]: the port must be a number from 1 to 65535"
    ]


@pytest.mark.parametrize(("version", "words"), [("2", "newer pgops"), ("0", "version: 1"), ("one", "version: 1")])
def test_another_schema_version_is_refused_with_a_sentence(tmp_path: Path, version: str, words: str) -> None:
    file = write(tmp_path / "p.yml", f"unheard_of: x\nversion: {version}\nclusters: {{}}\n")
    error = refusal(file)
    assert "version" in error.what and error.where == f"{file}:2" and words in (error.next_step or "")


@pytest.mark.parametrize(
    "text",
    [
        "version: 1\nclusters: {a: {sql: {user: x, CANARY}}}",
        "version: 1\nclusters: {a: {sql: {user: x, password:CANARY}}}",
        "version: 1\nclusters: {a: {sql: {user: x, 'password=CANARY': }}}",
        "version: 1\nclusters: {a: {sql: {user: x, password CANARY: y}}}",
        "version: 1\nclusters: {a: {sql: password:CANARY}}",
        "version: 1\nclusters: {a: {sql: {password: [CANARY]}}}",
        "version: 1\nclusters: {a: {sql: {password: {CANARY: CANARY}}}}",
        "version: 1\nclusters: {a: {sql: {password: *CANARY}}}",
        "version: 1\nclusters: {a: {sql: {password: !CANARY x}}}",
        "version: 1\nclusters: {a: {sql: {password: !CANARY!x x}}}",
        'version: 1\nclusters: {a: {sql: {password: "CANARY\\qCANARY"}}}',
        "version: 1\nclusters:\n  a:\n    sql:\n      password: @CANARY",
        "version: 1\nclusters:\n  a:\n    sql:\n      password: %CANARY",
        "version: 1\nclusters:\n  a:\n    sql:\n      password: CANARY: CANARY",
        "version: 1\nclusters:\n  a:\n    sql:\n      password: 'CANARY",
        "version: 1\nclusters:\n  a:\n    sql:\n      user: x\n       password:CANARY",
        "version: 1\nclusters:\n  a:\n    sql:\n      password:CANARY\n      user: x",
        'version: 1\nclusters:\n  a:\n    sql:\n      sslmode: CANARY\n      dbname: "CANARY\\n"',
        "version: 1\nclusters:\n  a:\n    dcs: {kind: CANARY, endpoints: ['http://u:CANARY@h:2379', 'CANARY h', CANARY:x]}",
        "version: 1\nclusters:\n  a:\n    hosts: {n1: {ssh: 'CANARY x', rest_url: CANARY, become: 'CANARY x'}}",
        "version: CANARY\nclusters: {}",
        "CANARY",
        "- CANARY",
        "CANARY: x",
        "scope: {password: CANARY}\netcd3: {url: 'http://u:CANARY@h:x'}",
        "scope: a\netcd3: {hosts: ['CANARY x'], password: CANARY}\nrestapi: {connect_address: 'CANARY x'}",
        "scope: CANARY/x\nname: n\netcd3: {host: CANARY:CANARY}",
    ],
)
def test_a_canary_secret_is_in_no_error(tmp_path: Path, text: str) -> None:
    error = refusal(write(tmp_path / "p.yml", text))
    assert "CANARY" not in whole(error)
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__


def test_a_canary_in_the_environment_is_in_no_error(tmp_path: Path) -> None:
    file = write(tmp_path / "p.yml", "scope: a\n")
    for variable in ("PATRONI_ETCD3_HOSTS", "PATRONI_ETCD3_URL", "PATRONI_ETCD3_HOST"):
        assert "CANARY" not in whole(refusal(file, {variable: "CANARY x", "PATRONI_ETCD3_PASSWORD": "CANARY"}))
    error = refusal(None, {"PATRONI_CONFIGURATION": "a: *CANARY", "HOME": str(tmp_path)})
    assert "CANARY" not in whole(error)
