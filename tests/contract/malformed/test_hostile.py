"""Hostile names and secrets: nothing is executed, nothing steers the terminal, no secret is told."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest

from contract.malformed.cli import CANARY, FORMATS, PGOPS, World, assert_sober, findings
from contract.malformed.servers import GOOD, reply, serving
from pgops.hosts.process import run

PREFIX = "/service/demo/"
NAMES = (
    "; touch pwned",
    "$(touch pwned)",
    "`touch pwned`",
    "-oProxyCommand=touch pwned",
    "a\nb",
    "\x1b[31mred\x1b]0;title\x07",
    "\u202eevil",
    "x" * 10_000,
    '"quoted" \\ {label="x"} | tab\there',
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", FORMATS)
def test_hostile_member_names_and_addresses_in_the_dcs(tmp_path: Path, name: str, form: str) -> None:
    """As a member's name, role, state, address and as the leader; each in every format."""
    body = {**GOOD, "state": name, "replication": [{"application_name": name, "state": name}]}
    with serving("127.40.2.1", reply(json.dumps(body).encode())) as url:
        member = {
            "api_url": f"{url}/patroni",
            "conn_url": f"postgres://{name}:5432/postgres",
            "state": name,
            "tags": {name: name},
        }
        keys = {
            f"{PREFIX}leader": name,
            f"{PREFIX}members/{name}": json.dumps(member),
            f"{PREFIX}failover": json.dumps({"leader": name, "member": name}),
            f"{PREFIX}sync": json.dumps({"leader": name, "sync_standby": name}),
            f"{PREFIX}config": json.dumps({"synchronous_mode": True, name: name}),
            f"/pgops/v1{PREFIX}pause": json.dumps(
                {"owner": name, "reason": name, "since": "2026-11-22T20:58:22+00:00"}
            ),
        }
        result = World(tmp_path, keys=keys).health("-v" if form == "table" else "--quick", form=form)
    assert_sober(result)
    assert not list(tmp_path.rglob("pwned"))
    if form == "prometheus":
        assert all(line.startswith("#") or line.rsplit("} ", 1)[1] for line in result.stdout.splitlines())
    if form == "tsv":
        assert {line.count("\t") for line in result.stdout.splitlines()} == {5}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", ["cluster", "host", "scope", "stanza", "ssh", "data_dir", "unit"])
def test_hostile_names_in_the_configuration(tmp_path: Path, name: str, place: str) -> None:
    """Refused with the key's place, or taken as the plain text that it is; never run, never printed raw."""
    made = World(tmp_path, name=name if place == "cluster" else "demo")
    host: dict[str, object] = {"become": None, "sql_host": "127.0.0.1", "sql_port": 1, "rest_url": "http://127.0.0.1:1"}
    if place in ("ssh", "data_dir"):
        host[place] = name if place == "ssh" else f"/{name}"
    made.cluster["hosts"] = {name if place == "host" else "n1": host}
    if place in ("scope", "stanza"):
        made.cluster[place] = name
    if place == "unit":
        made.cluster["services"] = {"names": {"patroni": name}}
    result = made.health(form="table")
    assert_sober(result)
    assert not list(tmp_path.rglob("pwned"))
    assert result.exit_code in (2, 3)


@pytest.mark.parametrize("form", FORMATS)
def test_a_secret_is_told_nowhere(tmp_path: Path, form: str) -> None:
    """Not in the output, not with PGOPS_DEBUG, not in any process's argv, not in a remote command's environment."""
    recorder = tmp_path / "ssh"
    recorder.write_text(
        f'#!/bin/sh\ntr "\\0" " " < /proc/$$/cmdline >> {tmp_path}/seen\nenv >> {tmp_path}/seen\nexit 255\n'
    )
    recorder.chmod(0o700)
    with serving("127.40.2.2", reply(json.dumps(GOOD).encode(), status="401 Unauthorized")) as url:
        made = World(tmp_path)
        host = {"ssh": "db1.example", "sql_host": "127.0.0.1", "sql_port": 1, "rest_url": url}
        made.cluster |= {"hosts": {"n1": host}, "stanza": "demo"}
        made.cluster["proxies"] = {
            "front": {"stats_url": url, "address": "127.0.0.1", "username": "u", "password": CANARY}
        }
        seen: list[str] = []
        over = threading.Event()
        watcher = threading.Thread(target=_watch, args=(seen, over), daemon=True)
        watcher.start()
        path = f"{tmp_path}:{os.environ['PATH']}"
        result = made.health("-v" if form == "table" else "--deep", form=form, PGOPS_DEBUG="1", PATH=path)
        over.set()
        watcher.join()
    assert_sober(result)
    assert (tmp_path / "seen").exists(), "the recorder in ssh's place was never called"
    assert CANARY not in (tmp_path / "seen").read_text()
    assert any(PGOPS in line for line in seen), "the watcher saw no process of pgops"
    assert not any(CANARY in line for line in seen)


def _watch(seen: list[str], over: threading.Event) -> None:
    """Sample the argv of every process of this machine."""
    while not over.is_set():
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    seen.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                except OSError:
                    continue
        time.sleep(0.02)


def test_a_readable_configuration_with_secrets_is_refused_and_says_chmod(tmp_path: Path) -> None:
    made = World(tmp_path)
    made.health()
    config = tmp_path / "pgops.yml"
    config.chmod(0o644)
    assert stat.S_IMODE(config.stat().st_mode) == 0o644
    result = run([PGOPS, "-c", str(config), "health"], timeout_s=10)
    assert result.exit_code == 3
    assert "chmod" in result.stderr
    assert_sober(result)


def test_findings_are_there_to_be_read(tmp_path: Path) -> None:
    """The helper of these tests really finds findings: a guard against tests that pass on nothing."""
    assert findings(World(tmp_path).health(), "primary")
    assert subprocess.run([PGOPS, "--version"], check=True, capture_output=True).stdout
