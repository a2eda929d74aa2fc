"""DNS SRV records, which the standard library does not look up: where `srv:` says that etcd is.

Source: RFC 1035 (messages), RFC 2782 (SRV), etcd docs, "DNS discovery" (the record names).
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pgops.config.words import refuse_host

_SRV, _INTERNET = 33, 1
_HEADER = struct.Struct("!HHHHHH")
_RECORD = struct.Struct("!HHIH")
_TRUNCATED, _RESPONSE = 0x0200, 0x8000
_MOST_SERVERS = 3
"""What resolv.conf itself allows. Source: resolv.conf(5), MAXNS."""

Server = tuple[str, int]


@dataclass(frozen=True, order=True)
class Target:
    """One SRV record; sorted as it is to be tried."""

    priority: int
    minus_weight: int
    host: str
    port: int


class SrvFault(Exception):
    """No name server gave a usable answer; the text is a clause for a person."""


def name_servers(resolv_conf: str = "/etc/resolv.conf") -> list[Server]:
    """The name servers of this machine."""
    try:
        lines = Path(resolv_conf).read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    words = [line.split() for line in lines]
    found = [word[1] for word in words if len(word) > 1 and word[0] == "nameserver"]
    return [(server, 53) for server in found[:_MOST_SERVERS] or ["127.0.0.1"]]


def look_up(names: Sequence[str], servers: Sequence[Server], timeout_s: float) -> dict[str, list[Target]]:
    """The SRV records of each name, all asked at once; a name that does not exist has none. Raises `SrvFault`.

    The next server is asked where one gave no answer, all within `timeout_s` together.
    """
    answers: dict[str, list[Target]] = {}
    for server in servers:
        left = [name for name in names if name not in answers]
        if left:
            with suppress(OSError):
                answers |= _ask(left, server, timeout_s / len(servers))
    if len(answers) < len(names):
        told = ", ".join(host for host, _ in servers)
        raise SrvFault(f"no answer from the name servers ({told}) within {timeout_s:g} s")
    return answers


def _ask(names: Sequence[str], server: Server, timeout_s: float) -> dict[str, list[Target]]:
    deadline = time.monotonic() + timeout_s
    numbers = {int.from_bytes(os.urandom(2), "big"): name for name in names}
    answers: dict[str, list[Target]] = {}
    family, _, _, _, address = socket.getaddrinfo(*server, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as channel:
        channel.connect(address)
        for number, name in numbers.items():
            channel.send(_question(number, name))
        while len(answers) < len(numbers) and (wait_s := deadline - time.monotonic()) > 0:
            channel.settimeout(wait_s)
            try:
                message = channel.recv(65535)
            except TimeoutError:
                break
            name = numbers.get(int.from_bytes(message[:2], "big"), "")
            if name and name not in answers:
                with suppress(ValueError, struct.error, IndexError):
                    if _HEADER.unpack_from(message)[1] & _TRUNCATED:
                        message = _ask_by_tcp(message[:2], name, server, deadline)
                    answers[name] = _read(message, name)
    return answers


def _ask_by_tcp(number: bytes, name: str, server: Server, deadline: float) -> bytes:
    with socket.create_connection(server, timeout=max(0.05, deadline - time.monotonic())) as channel:
        question = _question(int.from_bytes(number, "big"), name)
        channel.sendall(len(question).to_bytes(2, "big") + question)
        message = b""
        while len(message) < 2 or len(message) < 2 + int.from_bytes(message[:2], "big"):
            channel.settimeout(max(0.05, deadline - time.monotonic()))
            chunk = channel.recv(65537)
            if not chunk or time.monotonic() > deadline:
                raise ValueError("cut off")
            message += chunk
    return message[2:]


def _question(number: int, name: str) -> bytes:
    labels = [label.encode("idna" if not label.isascii() else "ascii") for label in name.rstrip(".").split(".")]
    if any(not 0 < len(label) < 64 for label in labels):
        raise OSError("no domain name")
    packed = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    recursion_desired = 0x0100
    return _HEADER.pack(number, recursion_desired, 1, 0, 0, 0) + packed + struct.pack("!HH", _SRV, _INTERNET)


def _read(message: bytes, name: str) -> list[Target]:
    """The records in an answer to this question. Raises `ValueError`, `struct.error` or `IndexError`."""
    _, flags, questions, count, _, _ = _HEADER.unpack_from(message)
    code, no_such_name = flags & 0xF, 3
    asked, position = _name_at(message, _HEADER.size)
    if not flags & _RESPONSE or questions != 1 or asked.lower() != name.rstrip(".").lower():
        raise ValueError("not the answer to our question")
    if code not in (0, no_such_name):
        raise ValueError("refused")
    position += 4
    targets = []
    for _ in range(count):
        _, position = _name_at(message, position)
        kind, _, _, length = _RECORD.unpack_from(message, position)
        position += _RECORD.size
        if kind == _SRV:
            priority, weight, port = struct.unpack_from("!HHH", message, position)
            host, _ = _name_at(message, position + 6)
            # "." says that the service is not there; RFC 2782, Target
            if host and port and not refuse_host(host):
                targets.append(Target(priority, -weight, host, port))
        position += length
    return sorted(targets)


def _name_at(message: bytes, position: int) -> tuple[str, int]:
    """The name there, and the position behind it. Pointers only lead back, so that they end."""
    labels, end, limit = [], None, position
    while length := message[position]:
        if length >= 0xC0:
            end = end or position + 2
            position = (length & 0x3F) << 8 | message[position + 1]
            if position >= limit:
                raise ValueError("a pointer that does not lead back")
            limit = position
            continue
        labels.append(message[position + 1 : position + 1 + length].decode("ascii"))
        position += 1 + length
        if len(labels) > 127:
            raise ValueError("too many labels")
    return ".".join(labels), end or position + 1
