"""Replies that are not etcd's: a clear fault within the deadline, from the v2 driver and from the shared health part."""

from __future__ import annotations

import json
import socket
import time

import pytest

from pgops.config.model import DcsConfig, DcsKind
from pgops.dcs import DcsFault
from pgops.dcs.etcd2 import Etcd2Dcs
from unit.clients import raw_server as raw
from unit.clients.raw_server import RawServer

TIMEOUT_S = 1.0


def open_dcs(*endpoints: str) -> Etcd2Dcs:
    return Etcd2Dcs(DcsConfig(DcsKind.ETCD, endpoints), timeout_s=TIMEOUT_S)


def node(**fields: object) -> bytes:
    return json.dumps({"action": "get", "node": {"key": "/service/main", "dir": True, **fields}}).encode()


@pytest.mark.parametrize(
    ("answer", "clause"),
    [
        (raw.saying(b"<html>nginx</html>"), "HTML"),
        (raw.saying(b"<html>", "502 Bad Gateway"), r"HTML.*HTTP 502"),
        (raw.saying(node()[:30]), "breaks off after 30 bytes"),
        (raw.saying(b"[]"), "not of etcd's v2 shape"),
        (raw.saying(b'{"node": 5}'), "not of etcd's v2 shape"),
        (raw.saying(node(nodes=5)), "nodes is not a list"),
        (raw.saying(node(nodes=[7])), "not of etcd's v2 shape"),
        (raw.saying(node(nodes=[{"key": "/service/main/a", "value": 5, "modifiedIndex": 1}])), "without key, value"),
        (raw.saying(node(nodes=[{"key": "/service/main/a", "value": "x"}])), "without key, value"),
        (raw.saying(node(nodes=[{"key": "/a", "value": "x", "modifiedIndex": True}])), "without key, value"),
        (raw.saying(b"404 page not found\n", "404 Not Found"), "serves no v2 API"),
        (
            raw.saying(b'{"errorCode":300,"message":"Raft \\u001b[31mError","cause":"x"}', "500 X"),
            r"Raft \\x1b\[31mError: x",
        ),
        (raw.saying(b'{"errorCode":110,"message":"m"}', "401 X"), "wants a login"),
        (raw.saying(b"[" * 50_000), "nested too deeply|breaks off"),
        (raw.endless, "more than 16777216 bytes"),
        (raw.silent, "no (complete )?answer"),
        (raw.dripping(b"HTTP/1.1 200 OK\r\n\r\n" + node()), "no complete answer"),
        (raw.hanging_up, "closed without an answer"),
    ],
)
def test_a_malformed_reply_is_a_clear_fault_in_time(answer: raw.Answer, clause: str) -> None:
    server = RawServer(answer)
    started = time.monotonic()
    with pytest.raises(DcsFault, match=clause) as caught:
        open_dcs(server.url).read_prefix("/service/main/")
    with pytest.raises(DcsFault):
        open_dcs(server.url).health()
    assert time.monotonic() - started < 2 * TIMEOUT_S + 2.0
    assert "\x1b" not in str(caught.value)


def test_one_good_endpoint_among_malformed_ones_serves() -> None:
    bad = RawServer(raw.saying(b"<html>"))
    good = RawServer(raw.saying(node(nodes=[{"key": "/service/main/leader", "value": "n1", "modifiedIndex": 7}])))
    keys = open_dcs(bad.url, good.url).read_prefix("/service/main/")
    assert keys["/service/main/leader"].revision == 7


def test_keys_outside_the_prefix_are_left_out() -> None:
    nodes = [
        {"key": "/service/main2/leader", "value": "x", "modifiedIndex": 1},
        {"key": "/service/main/a", "value": "y", "modifiedIndex": 2},
    ]
    assert list(open_dcs(RawServer(raw.saying(node(nodes=nodes))).url).read_prefix("/service/main/")) == [
        "/service/main/a"
    ]


def test_a_member_with_malformed_health_is_unhealthy_and_says_why() -> None:
    def answer(connection: socket.socket, request: bytes) -> None:
        path = request.split()[1].decode()
        bodies = {
            "/v2/members": {"members": [{"id": "aa", "name": "m1", "clientURLs": [server.url]}]},
            "/v2/stats/self": {"id": "aa", "leaderInfo": {"leader": "aa"}},
            "/version": {"etcdserver": "3.4.23"},
        }
        body = json.dumps(bodies[path]).encode() if path in bodies else b"<html>"
        raw.saying(body)(connection, request)

    server = RawServer(answer)
    (member,) = open_dcs(server.url).health().members
    assert (member.name, member.healthy, member.version) == ("m1", False, "3.4.23")
    assert member.fault == "/health: HTTP 200 without etcd's JSON"
    assert member.quota_bytes is None
