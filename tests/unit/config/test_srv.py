"""SRV records, asked of a real DNS server on loopback that answers as it is told."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pgops.config import srv
from unit.config.texts import read_one, refusal, write

Answer = Callable[[bytes, str, bool], "bytes | None"]


def _packed(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def _reply(question: bytes, records: list[tuple[int, int, int, str]], flags: int = 0x8180) -> bytes:
    """An answer whose owner names point back at the question, as real servers write them."""
    body = b""
    for priority, weight, port, host in records:
        rest = struct.pack("!HHH", priority, weight, port) + _packed(host)
        body += b"\xc0\x0c" + struct.pack("!HHIH", 33, 1, 60, len(rest)) + rest
    return question[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0) + question[12:] + body


class _Server:
    """UDP and TCP on one port of loopback."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self.address = ("127.0.0.1", self._tcp.getsockname()[1])
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(self.address)
        for serve in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    def close(self) -> None:
        for channel in (self._udp, self._tcp):
            with contextlib.suppress(OSError):
                channel.shutdown(socket.SHUT_RDWR)
            channel.close()

    def _serve_udp(self) -> None:
        try:
            while True:
                question, sender = self._udp.recvfrom(4096)
                if not question:  # closed
                    return
                reply = self._answer(question, _asked(question), False)
                if reply is not None:
                    self._udp.sendto(reply, sender)
        except OSError:
            return

    def _serve_tcp(self) -> None:
        try:
            while True:
                channel, _ = self._tcp.accept()
                with channel:
                    question = channel.recv(4096)[2:]
                    reply = self._answer(question, _asked(question), True)
                    if reply is not None:
                        channel.sendall(len(reply).to_bytes(2, "big") + reply)
        except OSError:
            return


def _asked(question: bytes) -> str:
    labels, position = [], 12
    while question[position]:
        length = question[position]
        labels.append(question[position + 1 : position + 1 + length].decode())
        position += 1 + length
    return ".".join(labels)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Answer], None]]:
    servers: list[_Server] = []

    def start(answer: Answer) -> None:
        servers.append(_Server(answer))
        monkeypatch.setattr(srv, "name_servers", lambda: [servers[-1].address])

    yield start
    for server in servers:
        server.close()


_TWO = [(10, 1, 2379, "second.example"), (10, 9, 2379, "first.example"), (20, 0, 2390, "third.example")]


def _client_records(question: bytes, name: str, _tcp: bool) -> bytes:
    return _reply(question, _TWO if name == "_etcd-client._tcp.example.org" else [], 0x8180)


def _patroni(tmp_path: Path, section: str = "srv: example.org") -> Path:
    return write(tmp_path / "patroni.yml", f"scope: main\netcd3: {{{section}}}\n")


def test_client_records_in_the_order_of_their_priority(serve: Callable[[Answer], None], tmp_path: Path) -> None:
    serve(_client_records)
    endpoints = read_one(_patroni(tmp_path)).dcs.endpoints
    assert endpoints == ("http://first.example:2379", "http://second.example:2379", "http://third.example:2390")


@pytest.mark.parametrize(
    ("section", "name", "url"),
    [
        ("srv: example.org", "_etcd-client-ssl._tcp.example.org", "https://a.example:1"),
        ("srv: example.org, srv_suffix: db", "_etcd-client-ssl-db._tcp.example.org", "https://a.example:1"),
        ("discovery_srv: example.org", "_etcd._tcp.example.org", "http://a.example:1"),
        ("srv_domain: example.org, hosts: [other]", "_etcd-ssl._tcp.example.org", "https://a.example:1"),
        ("srv: example.org, hosts: [other]", "_something._tcp.example.org", "http://other:2379"),
    ],
)
def test_record_names(serve: Callable[[Answer], None], tmp_path: Path, section: str, name: str, url: str) -> None:
    serve(lambda question, asked, _: _reply(question, [(0, 0, 1, "a.example")] if asked == name else [], 0x8180))
    assert read_one(_patroni(tmp_path, section)).dcs.endpoints == (url,)


def test_a_long_answer_comes_by_tcp(serve: Callable[[Answer], None], tmp_path: Path) -> None:
    def answer(question: bytes, name: str, tcp: bool) -> bytes:
        return _client_records(question, name, tcp) if tcp else _reply(question, [], 0x8380)

    serve(answer)
    assert len(read_one(_patroni(tmp_path)).dcs.endpoints) == 3


_FALSE: list[Answer] = [
    lambda question, name, tcp: None,
    lambda question, name, tcp: b"",
    lambda question, name, tcp: question,
    lambda question, name, tcp: question[:2] + b"\xff" * 60,
    lambda question, name, tcp: _reply(question, _TWO)[:-7],
    lambda question, name, tcp: _reply(question, _TWO, 0x8182),
    lambda question, name, tcp: question[:2] + _reply(question, _TWO)[2:12] + b"\xc0\x0c" + b"\0" * 40,
    lambda question, name, tcp: _reply(question, []).replace(b"example", b"elpmaxe"),
    lambda question, name, tcp: _reply(question, [], 0x8380) if not tcp else b"",
]


@pytest.mark.parametrize("number", range(len(_FALSE)))
def test_no_usable_answer_ends_in_words(
    serve: Callable[[Answer], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr("pgops.config.patroni_dcs._SRV_TIMEOUT_S", 0.3)
    serve(_FALSE[number])
    error = refusal(_patroni(tmp_path))
    assert "SRV" in error.what and "no answer from the name servers" in (error.why or "")
    assert "endpoints:" in (error.next_step or "")


@pytest.mark.parametrize("host", ["a;id", "$(id)", "-x", "\x1b[2J"])
def test_hostile_targets_are_no_hosts(serve: Callable[[Answer], None], tmp_path: Path, host: str) -> None:
    serve(lambda question, name, _: _reply(question, [(0, 0, 1, host)]))
    assert "there is none of _etcd-client-ssl" in (refusal(_patroni(tmp_path)).why or "")


def test_the_next_server_is_asked(serve: Callable[[Answer], None], monkeypatch: pytest.MonkeyPatch) -> None:
    serve(_client_records)
    good = srv.name_servers()
    dead = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    dead.bind(("127.0.0.1", 0))
    with dead:
        name = "_etcd-client._tcp.example.org"
        found = srv.look_up([name], [dead.getsockname(), *good], 1.0)
    assert [target.host for target in found[name]] == ["first.example", "second.example", "third.example"]


def test_resolv_conf(tmp_path: Path) -> None:
    file = write(tmp_path / "resolv.conf", "# x\nsearch a\nnameserver 1.2.3.4\nnameserver ::1 # y\nnameserver\n")
    assert srv.name_servers(str(file)) == [("1.2.3.4", 53), ("::1", 53)]
    assert srv.name_servers(str(tmp_path / "nowhere")) == [("127.0.0.1", 53)]
