"""The bounds of the HTTP client, against servers that misbehave."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from pgops.clients.http import HttpClient, HttpFault
from pgops.config.model import TlsConfig
from pgops.secrets import Secret
from unit.clients import raw_server as raw
from unit.clients.raw_server import RawServer

ANSWER_S = 0.8


@pytest.fixture
def client() -> HttpClient:
    return HttpClient(TlsConfig(), "operator", Secret("canary-http"), connect_s=0.4, answer_s=ANSWER_S)


def test_an_answer_with_any_status(client: HttpClient) -> None:
    server = RawServer(raw.saying(b'{"a": 1}', "503 Service Unavailable", "X-Kind: test\r\n"))
    answer = client.get(f"{server.url}/primary")
    assert (answer.status, answer.body, answer.headers["x-kind"]) == (503, b'{"a": 1}', "test")
    assert 0 < answer.duration_s < ANSWER_S


def test_credentials_go_out_only_when_asked_for(client: HttpClient) -> None:
    server = RawServer(raw.saying(b""))
    client.get(server.url)
    client.get(server.url, auth=True)
    plain, authorized = server.requests
    assert b"uthorization" not in plain
    assert b"authorization: basic b3blcmf0b3i6y2fuyxj5lwh0dha=" in authorized.lower()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (raw.hanging_up, "no_response"),
        (raw.bytes_only(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}"), "no_response"),
        (raw.bytes_only(b"SSH-2.0-OpenSSH\r\n\r\n"), "other"),
        (raw.bytes_only(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n"), "too_large"),
        (raw.bytes_only(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 500_000), "other"),
        (raw.endless, "too_large"),
        (raw.silent, "timeout"),
        (raw.dripping(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"y" * 500), "timeout"),
        (raw.dripping(b"HTTP/1.1 200 OK\r\n\r\n" + b"y" * 500), "timeout"),
    ],
)
def test_misbehaviour_is_a_fault_in_time(client: HttpClient, answer: raw.Answer, kind: str) -> None:
    server = RawServer(answer)
    started = time.monotonic()
    with pytest.raises(HttpFault) as caught:
        client.get(server.url)
    assert caught.value.kind == kind
    assert caught.value.no_response is (kind == "no_response")
    assert time.monotonic() - started < ANSWER_S + 4


def test_a_redirect_is_an_answer_and_is_not_followed(client: HttpClient) -> None:
    for location in ("http://127.0.0.1:1/", "http://[::bad", "file:///etc/passwd"):
        server = RawServer(raw.saying(b"", "302 Found", f"Location: {location}\r\n"))
        assert client.get(server.url).status == 302
        assert len(server.requests) == 1


def test_no_proxy_of_the_environment_is_used(client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.30.9.9:1")
    assert client.get(RawServer(raw.saying(b"{}")).url).status == 200


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://h/",
        "http://",
        "http://u:canary-url@h/",
        "http://[::1/",
        "http://h:99999/",
        "gopher",
    ],
)
def test_what_is_no_http_url_is_refused_without_its_password(client: HttpClient, url: str) -> None:
    with pytest.raises(HttpFault) as caught:
        client.get(url)
    assert caught.value.kind == "url"
    assert "canary" not in str(caught.value)


def test_refused_and_unresolved(client: HttpClient) -> None:
    with socket.socket() as free:
        free.bind(("127.30.9.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(HttpFault, match="connection refused") as caught:
        client.get(f"http://127.30.9.1:{port}/")
    assert caught.value.kind == "refused"


def test_tls_to_a_port_without_says_so(client: HttpClient) -> None:
    server = RawServer(raw.bytes_only(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    with pytest.raises(HttpFault, match="is the URL http") as caught:
        client.get(server.url.replace("http:", "https:"))
    assert caught.value.kind == "tls"


def test_many_threads_share_one_client(client: HttpClient) -> None:
    server = RawServer(raw.saying(b"{}"))
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(client.get(server.url).status)) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 30


def test_a_deadline_leaves_no_thread_behind(client: HttpClient) -> None:
    server = RawServer(raw.saying(b"{}"))
    before = threading.active_count()
    for _ in range(10):
        client.get(server.url)
    time.sleep(0.1)
    assert threading.active_count() <= before + 2
