"""Malformed replies of each API: a clear unknown within the deadline, never a crash, never a false ok."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from contract.malformed.cli import FORMATS, World, assert_sober, findings
from contract.malformed.servers import GOOD, Speak, dripping, endless, reply, serving

PREFIX = "/service/demo/"

REPLIES: dict[str, tuple[Speak, str]] = {
    "truncated": (reply(json.dumps(GOOD).encode()[:100], length=4000), "REST API"),
    "cut JSON": (reply(json.dumps(GOOD).encode()[:100]), "REST API"),
    "HTML": (reply(b"<html><body>It works!</body></html>", kind="text/html"), "REST API"),
    "empty": (reply(b""), "REST API"),
    "a list": (reply(b"[1, 2]"), "is a list, not an object"),
    "another service": (reply(b'{"hello": "world"}'), "neither state nor role"),
    "deep nesting": (reply(b"[" * 100_000), "REST API"),
    "100 MB": (endless, "REST API"),
    "slow drip": (dripping, "REST API"),
    "no HTTP": (lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"), "REST API"),
    "closed": (lambda connection: None, "REST API"),
    "redirect": (reply(b"", status="302 Found\r\nLocation: http://127.0.0.1:1/"), "REST API"),
    "latin-1": (reply(b'{"state": "\xe9\xff", "role": "primary"}'), "REST API"),
}


def world(directory: Path, url: str) -> World:
    member = {"api_url": f"{url}/patroni", "conn_url": "postgres://127.0.0.1:1/postgres", "role": "primary"}
    keys = {f"{PREFIX}leader": "n1", f"{PREFIX}config": "{}", f"{PREFIX}members/n1": json.dumps(member)}
    return World(directory, keys=keys)


@pytest.mark.parametrize("name", REPLIES)
def test_a_malformed_reply_of_patroni_is_unknown_with_its_reason(tmp_path: Path, name: str) -> None:
    speak, reason = REPLIES[name]
    with serving("127.40.1.1", speak) as url:
        result = world(tmp_path, url).health()
    assert_sober(result)
    assert result.duration_s < 8
    (finding,) = findings(result, "patroni")
    assert finding["verdict"] in ("unknown", "critical")
    assert reason in finding["text"]
    assert all(item["verdict"] != "ok" for item in findings(result, "primary"))


WRONG: tuple[Any, ...] = (None, True, -1, 2**70, 1.5, "x", "\x1b[31m", [], [1], {}, {"a": [{}]}, "9" * 5000)


@pytest.mark.parametrize("field", sorted(GOOD))
def test_wrong_types_in_any_field_of_patroni_break_nothing(tmp_path: Path, field: str) -> None:
    """Every output format, over every wrong value in turn."""
    for number, value in enumerate(WRONG):
        body = json.dumps({**GOOD, field: value}).encode()
        with serving("127.40.1.2", reply(body)) as url:
            result = world(tmp_path, url).health(form=FORMATS[number % len(FORMATS)])
        assert_sober(result)


KEYS = ("leader", "config", "history", "status", "sync", "failover", "failsafe", "initialize", "members/n1")
VALUES = (
    "",
    "null",
    "[]",
    "{}",
    "17",
    '"x"',
    "{",
    "NaN",
    "[" * 50_000,
    '{"a":' * 500,
    "\x1b[2J\u202e",
    "x" * 1_000_000,
)


@pytest.mark.parametrize("key", KEYS)
def test_wrong_values_in_any_key_of_the_dcs_break_nothing(tmp_path: Path, key: str) -> None:
    with serving("127.40.1.3", reply(json.dumps(GOOD).encode())) as url:
        for number, value in enumerate(VALUES):
            made = world(tmp_path, url)
            made.keys[PREFIX + key] = value
            assert_sober(made.health(form=FORMATS[number % len(FORMATS)]))


@pytest.mark.parametrize(
    "body", [b"<html>", b"", b"# pxname,svname\n", b"# pxname,svname,status,type\n\x00\xff,,,2\n", b"a" * 100_000]
)
def test_a_malformed_statistics_page_is_unknown(tmp_path: Path, body: bytes) -> None:
    with serving("127.40.1.4", reply(body, kind="text/plain")) as url:
        made = World(tmp_path)
        made.cluster["proxies"] = {"front": {"stats_url": url, "address": "127.0.0.1", "primary_port": None}}
        result = made.health("--check", "proxy")
    assert_sober(result)
    if b"status,type" not in body:
        assert any(item["verdict"] == "unknown" for item in findings(result, "proxy"))
