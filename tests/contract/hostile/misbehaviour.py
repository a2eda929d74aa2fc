"""Ways in which a server can misbehave, whatever protocol its client expects of it."""

from __future__ import annotations

import contextlib
import json
import socket
import time

from unit.clients.raw_server import Answer

GOOD = {
    "state": "running",
    "role": "primary",
    "timeline": 1,
    "xlog": {"location": 67108864},
    "patroni": {"version": "4.1.5", "scope": "demo", "name": "n1"},
}
_BODY = json.dumps(GOOD).encode()
_ALERT = b"\x15\x03\x01\x00\x02\x02\x46"  # a TLS server's answer to plain text: alert, fatal, protocol_version


def http(body: bytes, status: str = "200 OK", *headers: str, length: int | None = None) -> Answer:
    """A whole answer; `length` lies about the body's."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    return lambda connection, request: connection.sendall(head + body)


def raw(answer: bytes) -> Answer:
    """These bytes and the end."""
    return lambda connection, request: connection.sendall(answer)


def drip(answer: bytes) -> Answer:
    """A byte every tenth of a second, for far longer than any deadline of these tests."""

    def speak(connection: socket.socket, request: bytes) -> None:
        for place in range(120):
            connection.sendall(answer[place : place + 1] or b" ")
            time.sleep(0.1)

    return speak


def flood(head: bytes, part: bytes) -> Answer:
    """100 MB after a head, for as long as anybody listens."""

    def speak(connection: socket.socket, request: bytes) -> None:
        connection.sendall(head)
        with contextlib.suppress(OSError):
            for _ in range(100 * 1024 * 1024 // len(part)):
                connection.sendall(part)

    return speak


def silence(connection: socket.socket, request: bytes) -> None:
    """The request was taken, and nothing follows."""
    time.sleep(12)


def then_silence(answer: bytes) -> Answer:
    """These bytes, and the connection stays open."""

    def speak(connection: socket.socket, request: bytes) -> None:
        connection.sendall(answer)
        silence(connection, request)

    return speak


_OK = b"HTTP/1.1 200 OK\r\n"
WAYS: dict[str, Answer] = {
    "closed without a word": raw(b""),
    "silence": silence,
    "drip of the body": drip(_OK + b"Content-Length: 4000\r\n\r\n" + _BODY),
    "drip of the headers": drip(_OK + b"X-A: b\r\n" * 100),
    "headers that never end": flood(_OK, b"X-Filler: " + b"a" * 1000 + b"\r\n"),
    "one header that never ends": flood(_OK + b"X-Filler: ", b"a" * 65536),
    "100 MB announced": flood(_OK + b"Content-Length: 104857600\r\n\r\n", b" " * 65536),
    "100 MB unannounced": flood(_OK + b"\r\n", b" " * 65536),
    "100 MB in chunks": flood(_OK + b"Transfer-Encoding: chunked\r\n\r\n", b"400\r\n" + b" " * 1024 + b"\r\n"),
    "cut JSON": http(_BODY[:60]),
    "cut in mid-body": http(_BODY[:60], length=len(_BODY)),
    "HTML": http(b"<!DOCTYPE html><html><body>It works!</body></html>", "200 OK", "Content-Type: text/html"),
    "HTML of a gateway": http(b"<html><h1>502 Bad Gateway</h1></html>", "502 Bad Gateway"),
    "nothing": http(b""),
    "null": http(b"null"),
    "a list": http(b"[1]"),
    "a text": http(b'"\\u001b[31mred"'),
    "NaN": http(b"NaN"),
    "deep nesting": http(b"[" * 200_000 + b"]" * 200_000),
    "not UTF-8": http(b'{"state":"\xff\xfe","role":"primary"}'),
    "UTF-16": http(json.dumps(GOOD).encode("utf-16")),
    "nul bytes": http(b"\0" * 5000),
    "compressed without being asked": http(b"\x1f\x8b\x08\0\0\0\0\0", "200 OK", "Content-Encoding: gzip"),
    "401": http(b"no auth header received", "401 Unauthorized", 'WWW-Authenticate: Basic realm="\x1b[31m"'),
    "403": http(b"Access is denied by allowlist rules", "403 Forbidden"),
    "500": http(b"\x1b[2J\n\xe2\x80\xae", "500 \x1b[31mInternal"),
    "status 999": http(b"", "999 What"),
    "status that is none": raw(b"HTTP/1.1 abc OK\r\n\r\n"),
    "negative length": raw(_OK + b"Content-Length: -5\r\n\r\n" + _BODY),
    "huge length": raw(_OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n" + _BODY),
    "bad chunk": raw(_OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "HTTP/0.9": raw(b"hello"),
    "HTTP/2 preface": raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "another protocol": raw(b"SSH-2.0-OpenSSH_9.2p1 \x1b]0;title\x07\r\n"),
    "TLS": raw(_ALERT),
    "random bytes": raw(bytes(range(256)) * 20),
}
"""Every one of these is sent in answer to any request."""
