"""man/ and completions/ are what the live command line makes of itself, and the configuration page tells every key."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from manual import configuration_keys as keys
from manual.configuration_page import EXAMPLE
from pgops.config.loader import load
from pgops.errors import ConfigError
from pgops.hosts.process import run
from unit.cli.shell import BARE, ROOT, pgops

GENERATE = ROOT / "tests/generate.py"
DCS = "dcs: {kind: etcd3, endpoints: ['h:1']}"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `tests/generate.py` makes now."""
    target = tmp_path_factory.mktemp("generated")
    made = run([sys.executable, str(GENERATE), str(target)], timeout_s=60, env=BARE)
    assert made.ok, made.stderr
    return target


@pytest.mark.parametrize("folder", ["man", "completions"])
def test_what_is_committed_is_fresh(fresh: Path, folder: str) -> None:
    made = {path.name: path.read_bytes() for path in (fresh / folder).iterdir()}
    kept = {path.name: path.read_bytes() for path in (ROOT / folder).iterdir()}
    stale = sorted(name for name in made.keys() | kept.keys() if made.get(name) != kept.get(name))
    assert stale == [], "run .venv/bin/python tests/generate.py"


def test_every_command_has_a_page(fresh: Path) -> None:
    pages = {path.stem for path in (fresh / "man").iterdir()}
    listed = pgops("--help", env={"PGOPS_PLUGIN_DIR": "/nonexistent"}).stdout.partition("Commands:")[2].split("\n\n")[0]
    commands = re.findall(r"^  (\w+) ", listed, re.MULTILINE)
    assert {"health", "lab", "plugins"} <= set(commands)
    assert {f"pgops-{name}" for name in commands} <= pages
    assert {"pgops", "pgops-lab-up", "pgops-lab-break", "pgops-plugins-list", "pgops.yml"} <= pages


@pytest.mark.skipif(shutil.which("man") is None or shutil.which("groff") is None, reason="man-db is not installed here")
def test_pages_are_well_formed() -> None:
    for path in sorted((ROOT / "man").iterdir()):
        shown = run(
            ["man", "--warnings=w", "-E", "UTF-8", "-l", str(path)],
            timeout_s=30,
            env={**BARE, "MANWIDTH": "100", "LC_ALL": "C.UTF-8", "MANROFFSEQ": ""},
        )
        assert shown.exit_code == 0 and shown.stderr == "", f"{path.name}: {shown.stderr}"
        assert "NAME" in shown.stdout and "\\" not in shown.stdout.replace("\\e", "").split("RIGHTS")[0], path.name


def known_keys(tmp_path: Path, text: str) -> set[str]:
    """The keys that the loader would have taken beside the strange one in `text`."""
    path = tmp_path / "pgops.yml"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError) as caught:
        load(str(path), environ={})
    (told,) = re.findall(r"unknown key qqqqqq; there are: ([\w, ]+)", f"{caught.value} {caught.value.why}")[:1]
    return set(told.strip().split(", "))


@pytest.mark.parametrize(
    ("rows", "cluster"),
    [
        (keys.CLUSTER, f"{DCS}, qqqqqq: 1"),
        (keys.BACKUP, f"{DCS}, backup: {{qqqqqq: 1}}"),
        (keys.DCS, "dcs: {kind: etcd3, endpoints: ['h:1'], qqqqqq: 1}"),
        (keys.TLS, "dcs: {kind: etcd3, endpoints: ['h:1'], tls: {qqqqqq: 1}}"),
        (keys.REST, f"{DCS}, rest: {{qqqqqq: 1}}"),
        (keys.SQL, f"{DCS}, sql: {{qqqqqq: 1}}"),
        (keys.SERVICES, f"{DCS}, services: {{qqqqqq: 1}}"),
        (keys.HOST, f"{DCS}, hosts: {{n1: {{qqqqqq: 1}}}}"),
        (keys.SSH, f"{DCS}, hosts: {{n1: {{ssh: {{destination: h, qqqqqq: 1}}}}}}"),
        (keys.PROXY, f"{DCS}, proxies: {{p: {{stats_url: 'http://h:7000/', address: h, qqqqqq: 1}}}}"),
        (tuple((key, "", "") for key in keys.THRESHOLDS), f"{DCS}, thresholds: {{qqqqqq: 1}}"),
        (tuple((key, "", "") for key in keys.TIMEOUTS), f"{DCS}, timeouts: {{qqqqqq: 1}}"),
    ],
)
def test_every_key_is_documented(tmp_path: Path, rows: tuple[keys.Row, ...], cluster: str) -> None:
    known = known_keys(tmp_path, f"version: 1\nclusters: {{c: {{{cluster}}}}}\n")
    assert {key for key, _, _ in rows} == known


def test_every_top_level_key_is_documented(tmp_path: Path) -> None:
    known = known_keys(tmp_path, f"version: 1\nclusters: {{c: {{{DCS}}}}}\nqqqqqq: 1\n")
    assert {key for key, _, _ in keys.TOP} == known


def test_the_example_is_accepted_and_has_every_key(tmp_path: Path) -> None:
    patroni = tmp_path / "second.yml"
    patroni.write_text("scope: second\nname: n1\netcd3: {hosts: ['h:2379']}\n")
    (tmp_path / "etcd.password").write_text("canary\n")
    path = tmp_path / "pgops.yml"
    path.write_text(EXAMPLE.replace("/etc/patroni/second.yml", str(patroni)))
    for file in tmp_path.iterdir():
        file.chmod(0o600)
    config = load(str(path), environ={"HOME": str(tmp_path)})
    assert [cluster.name for cluster in config.clusters] == ["demo", "second"]
    assert config.warnings == ()
    tables = (keys.TOP, keys.CLUSTER, keys.DCS, keys.REST, keys.TLS, keys.SQL, keys.SERVICES, keys.HOST, keys.SSH)
    for key, _, _ in (row for table in (*tables, keys.BACKUP, keys.PROXY) for row in table):
        assert re.search(rf"\b{key}:", EXAMPLE), key
