"""Servers that speak as no good server would, in the place of each that pgops asks."""

from __future__ import annotations

import json
import socket
import struct

import pytest

from contract.hostile import misbehaviour as bad
from contract.hostile.misbehaviour import GOOD, WAYS, http
from contract.hostile.observing import Outcome, cluster, look
from pgops.checks import Verdict
from pgops.config.model import DcsKind, TlsConfig
from unit.clients.raw_server import Answer, RawServer

NEVER_OK = (Verdict.UNKNOWN, Verdict.CRITICAL)


def ask_with(place: str, url: str) -> Outcome:
    """Look at a cluster in which this server stands in that place."""
    if place == "patroni":
        return look(cluster(rest_url=url))
    if place == "haproxy":
        return look(cluster(stats_url=url))
    return look(cluster(kind=DcsKind(place), endpoints=(url,)))


CHECK = {"patroni": "patroni", "haproxy": "proxy", "etcd": "dcs", "etcd3": "dcs"}
CASES = [(place, way) for place in CHECK for way in WAYS]


@pytest.mark.parametrize(("place", "way"), CASES)
def test_any_misbehaviour_is_said_and_is_never_ok(place: str, way: str) -> None:
    server = RawServer(WAYS[way])
    try:
        outcome = ask_with(place, server.url)
    finally:
        server.close()
    found = outcome.of(CHECK[place])
    assert found
    assert all(finding.verdict in NEVER_OK for finding in found), found
    assert all(len(finding.text) > 20 for finding in found), found
    assert all(len(finding.text) < 700 for finding in found), found
    assert server.requests, "nobody asked this server"


@pytest.mark.parametrize(
    ("way", "text"),
    [("401", "HTTP 401"), ("403", "HTTP 403"), ("TLS", "is the URL https?"), ("HTML", "an HTML or XML page")],
)
def test_the_reason_helps(way: str, text: str) -> None:
    server = RawServer(WAYS[way])
    (found,) = ask_with("patroni", server.url).of("patroni")
    assert text in found.text


def test_a_redirect_is_not_followed_and_takes_no_password_along() -> None:
    elsewhere = RawServer(http(json.dumps(GOOD).encode()))
    server = RawServer(http(b"", "302 Found", f"Location: {elsewhere.url}/patroni"))
    for place in ("patroni", "haproxy", "etcd"):
        assert all(finding.verdict in NEVER_OK for finding in ask_with(place, server.url).of(CHECK[place]))
    assert not elsewhere.requests


@pytest.mark.parametrize("place", ["patroni", "etcd"])
def test_https_spoken_to_a_server_without_tls(place: str) -> None:
    server = RawServer(http(json.dumps(GOOD).encode()))
    url = server.url.replace("http:", "https:")
    config = cluster(rest_url=url) if place == "patroni" else cluster(endpoints=(url,))
    found = look(config).of(CHECK[place])
    assert all(finding.verdict in NEVER_OK for finding in found)
    assert any("TLS" in finding.text for finding in found), found
    assert TlsConfig().verify


def test_patroni_is_told_no_password() -> None:
    """Nothing that is read there needs one, and a member's address stands in the DCS, where others may write."""
    server = RawServer(http(json.dumps(GOOD).encode()))
    look(cluster(rest_url=server.url))
    assert server.requests
    assert not any(b"authorization" in request.lower() for request in server.requests)


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


_ERROR = _message(b"E", b"SFATAL\0C28000\0Mno\x1b[31m such\nuser | \xe2\x80\xae " + b"x" * 9000 + b"\0\0")


def _after_refusing_tls(answer: Answer) -> Answer:
    """libpq first asks for TLS, then sends its startup message."""

    def speak(connection: socket.socket, request: bytes) -> None:
        connection.sendall(b"N")
        answer(connection, connection.recv(65536))

    return speak


AT_ONCE = ("closed at once", "no TLS, for ever", "HTTP at once")
_LOGGED_IN = _message(b"R", struct.pack("!I", 0)) + _message(b"S", b"server_version\x0015.0\0")
_READY = _message(b"Z", b"I")
SQL: dict[str, Answer] = {
    "closed": bad.raw(b""),
    "closed at once": bad.raw(b""),
    "logged in, then closed": bad.raw(_LOGGED_IN),
    "logged in, then rows of another shape": bad.raw(_LOGGED_IN + _READY + _message(b"D", b"\xff\xff")),
    "logged in, then an error": bad.raw(_LOGGED_IN + _READY + _ERROR),
    "logged in, then silence": bad.then_silence(_LOGGED_IN + _READY),
    "silence": bad.silence,
    "an error with escape codes": bad.raw(_ERROR),
    "an unknown login method": bad.raw(_message(b"R", struct.pack("!I", 77))),
    "a message of 2 GB": bad.raw(b"R\x7f\xff\xff\xff"),
    "a message of negative length": bad.raw(b"R\xff\xff\xff\xff"),
    "HTTP": WAYS["HTML"],
    "HTTP at once": WAYS["HTML"],
    "another protocol": WAYS["another protocol"],
    "no TLS, for ever": bad.flood(b"N", b"N" * 65536),
    "random bytes": WAYS["random bytes"],
    "drip": bad.drip(_ERROR),
}


@pytest.mark.parametrize("way", SQL)
def test_in_the_place_of_postgresql(way: str) -> None:
    server = RawServer(_after_refusing_tls(SQL[way]) if way not in AT_ONCE else SQL[way])
    host, port = server.url.removeprefix("http://").split(":")
    try:
        outcome = look(cluster(sql=(host, int(port))))
    finally:
        server.close()
    assert all(finding.verdict is not Verdict.OK for finding in outcome.of("primary"))
    (said,) = [finding for finding in outcome.of("archive-mode") if finding.subject == "n1"]
    assert said.verdict is Verdict.UNKNOWN
