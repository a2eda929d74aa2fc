"""The sample plugin of the README, on snapshots and through the real command line with members that answer over HTTP."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from pgops.checks import Finding, Verdict
from pgops.config.model import ClusterConfig, DcsConfig, DcsKind
from pgops.observe.facts import RestStatus
from pgops.observe.snapshot import QUICK, Node, Snapshot
from pgops.readings import Known, Unknown
from unit.cli.shell import ROOT, pgops
from unit.plugins.left import site_directory, write_plugin

SAMPLE = ROOT / "tests/sample_plugin/pgops_sample_versions.py"


@pytest.fixture(scope="module")
def sample() -> Iterator[ModuleType]:
    spec = spec_from_file_location("pgops_sample_versions", SAMPLE)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def findings(sample: ModuleType, **members: tuple[int, str] | None) -> list[Finding]:
    """What the check says of members with these versions; None did not answer."""
    nodes = []
    for name, versions in members.items():
        rest = Unknown("REST API: connection refused")
        if versions is not None:
            status = RestStatus("running", "replica", server_version=versions[0], patroni_version=versions[1])
            nodes.append(Node(name, True, None, None, None, rest=Known(status)))
        else:
            nodes.append(Node(name, True, None, None, None, rest=rest))
    cluster = ClusterConfig("c", "c", DcsConfig(DcsKind.ETCD3, ("http://127.0.0.1:1",)))
    snapshot = Snapshot(cluster, datetime.now(timezone.utc), QUICK, tuple(nodes))
    (check,) = sample.plugin.checks
    return list(check.find(snapshot))


def test_all_alike(sample: ModuleType) -> None:
    told = findings(sample, n1=(150004, "4.1.5"), n2=(150004, "4.1.5"))
    assert [finding.verdict for finding in told] == [Verdict.OK, Verdict.OK]
    assert told[0].text == "PostgreSQL 15.4 on all 2 members that answered"


def test_two_versions(sample: ModuleType) -> None:
    postgresql, patroni = findings(sample, n1=(150004, "4.1.5"), n2=(150010, "4.1.5"), n3=None)
    assert postgresql.verdict is Verdict.WARNING
    assert postgresql.text == "PostgreSQL differs: n1 has 15.4, n2 has 15.10"
    assert patroni.verdict is Verdict.OK


def test_nobody_answers(sample: ModuleType) -> None:
    assert {finding.verdict for finding in findings(sample, n1=None)} == {Verdict.UNKNOWN}


class _Member(BaseHTTPRequestHandler):
    """Patroni's REST API as far as health --quick asks it."""

    version = 150004

    def do_GET(self) -> None:
        body = json.dumps(
            {"state": "running", "role": "replica", "server_version": self.version, "patroni": {"version": "4.1.5"}}
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Tests print nothing."""


class _NewerMember(_Member):
    version = 150010


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Path]:
    """A cluster of two members, each with another PostgreSQL, whose DCS is gone."""
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler) for handler in (_Member, _NewerMember)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    hosts = [f"n{n}: {{rest_url: 'http://127.0.0.1:{server.server_port}'}}" for n, server in enumerate(servers, 1)]
    path = tmp_path / "pgops.yml"
    path.write_text(
        f"version: 1\nclusters: {{c: {{dcs: {{kind: etcd3, endpoints: ['127.0.0.1:1']}}, hosts: {{{', '.join(hosts)}}}}}}}\n"
    )
    yield path
    for server in servers:
        server.shutdown()
        server.server_close()


def test_copied_to_the_plugin_directory(tmp_path: Path, config: Path) -> None:
    site = site_directory(tmp_path)
    write_plugin(site, SAMPLE.name, SAMPLE.read_text())
    env = {"PGOPS_PLUGIN_DIR": str(site), "PGOPS_CONFIG": str(config)}
    assert "Which versions the members run." in pgops("--help", env=env).stdout
    assert "all members run one version" in pgops("health", "--list-checks", env=env).stdout
    checked = pgops("health", "--quick", "--check", "versions", "-f", "tsv", env=env)
    assert "PostgreSQL differs: n1 has 15.4, n2 has 15.10" in checked.stdout
    assert checked.exit_code == 1
    shown = pgops("versions", env=env)
    assert shown.stdout.splitlines() == [
        "c  n1  PostgreSQL 15.4",
        "c  n2  PostgreSQL 15.10",
        "c  n1  Patroni 4.1.5",
        "c  n2  Patroni 4.1.5",
    ]


def test_the_readme_shows_it_whole() -> None:
    text = (ROOT / "README.md").read_text()
    assert "tests/sample_plugin/pgops_sample_versions.py" in text
    shown = text.split("```python\n", 1)[1].split("```", 1)[0]
    source = SAMPLE.read_text()
    for line in shown.splitlines():
        assert line in source.splitlines(), line
