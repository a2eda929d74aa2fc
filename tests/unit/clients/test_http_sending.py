"""Requests that change something: what goes out, and whether it can have arrived when no answer comes."""

from __future__ import annotations

import socket

import pytest

from pgops.clients.http import HttpClient, HttpFault
from pgops.config.model import TlsConfig
from pgops.secrets import Secret
from unit.clients import raw_server as raw
from unit.clients.raw_server import RawServer


@pytest.fixture
def client() -> HttpClient:
    return HttpClient(TlsConfig(), "operator", Secret("canary-http"), connect_s=0.4, answer_s=0.8)


def test_a_body_goes_out_once_with_its_type_length_and_login(client: HttpClient) -> None:
    seen: list[bytes] = []

    def take_all(connection: socket.socket, request: bytes) -> None:
        while not request.partition(b"\r\n\r\n")[2]:
            request += connection.recv(65536)
        seen.append(request)
        raw.saying(b"done", "202 Accepted")(connection, request)

    server = RawServer(take_all)
    answer = client.send("PATCH", f"{server.url}/config", body=b'{"pause": true}')
    assert (answer.status, answer.body) == (202, b"done")
    (request,) = seen
    assert request.startswith(b"PATCH /config HTTP/1.1\r\n") and request.endswith(b'\r\n\r\n{"pause": true}')
    head = request.lower()
    assert b"content-type: application/json\r\n" in head and b"content-length: 15\r\n" in head
    assert b"authorization: basic " in head


def test_without_a_body_there_is_no_type(client: HttpClient) -> None:
    server = RawServer(raw.saying(b""))
    client.send("DELETE", f"{server.url}/restart", auth=False)
    (request,) = server.requests
    assert request.startswith(b"DELETE /restart ")
    assert b"content-type" not in request.lower() and b"uthorization" not in request


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (raw.hanging_up, "no_response"),
        (raw.silent, "timeout"),
        (raw.bytes_only(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}"), "no_response"),
        (raw.bytes_only(b"SSH-2.0-OpenSSH\r\n\r\n"), "other"),
        (raw.endless, "too_large"),
    ],
)
def test_an_answer_lost_leaves_a_request_that_may_have_worked(
    client: HttpClient, answer: raw.Answer, kind: str
) -> None:
    server = RawServer(answer)
    with pytest.raises(HttpFault) as caught:
        client.send("POST", server.url, body=b"{}")
    assert (caught.value.kind, caught.value.sent) == (kind, True)
    assert len(server.requests) == 1


def test_what_never_went_out_is_told(client: HttpClient) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        refused = f"127.0.0.1:{closed.getsockname()[1]}"
    plain = RawServer(raw.saying(b""))
    stranger = TlsConfig("/nonexistent/ca.pem")
    cases = [
        (client, f"http://{refused}/", "refused"),
        (client, "http://u:p@127.0.0.1:1/", "url"),
        (client, plain.url.replace("http://", "https://"), "tls"),
        (HttpClient(stranger, connect_s=0.4, answer_s=0.8), f"https://{refused}/", "tls"),
    ]
    for sender, url, kind in cases:
        with pytest.raises(HttpFault) as caught:
            sender.send("POST", url, body=b"{}")
        assert (caught.value.kind, caught.value.sent) == (kind, False), url


def test_no_connection_in_time_is_not_sent(client: HttpClient) -> None:
    """A full accept queue drops every SYN, as a firewall does."""
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        address = hole.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        with pytest.raises(HttpFault, match="no connection within") as caught:
            client.send("POST", f"http://127.0.0.1:{address[1]}/", body=b"{}")
        assert (caught.value.kind, caught.value.sent) == ("timeout", False)
        for filler in fillers:
            filler.close()
