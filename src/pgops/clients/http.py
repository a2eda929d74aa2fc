"""HTTP with hard bounds, for Patroni's REST API, etcd and HAProxy: the only module that imports httpx.

A deadline covers the whole answer, also against a server that drips a byte a second; a body is read up to a bound; no
redirect is followed, no proxy variable is heeded, no cookie kept. Credentials go out only when a call asks for them.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pgops.clients.json_text import parse_json
from pgops.clients.tls import TlsFault, client_context
from pgops.config.model import TlsConfig
from pgops.render.text import printable
from pgops.secrets import Secret

if TYPE_CHECKING:
    import httpx

__all__ = ["HttpAnswer", "HttpClient", "HttpFault", "parse_json"]

DEFAULT_LIMIT_BYTES = 4 * 1024 * 1024


class HttpFault(Exception):
    """No usable answer; the text is a clause for a person and holds no secret.

    `kind` is `refused`, `timeout`, `no_response` (accepted, then closed without a word: what Patroni's REST API does
    under /cluster when its DCS is gone), `tls`, `too_large`, `url` or `other`. `sent` False: it is certain that nothing
    of the request went out; otherwise the server may have acted on it.
    """

    def __init__(self, reason: str, kind: str = "other", *, sent: bool = True) -> None:
        super().__init__(reason)
        self.kind = kind
        self.sent = sent

    @property
    def no_response(self) -> bool:
        """The server took the request and closed the connection without a word."""
        return self.kind == "no_response"


@dataclass(frozen=True)
class HttpAnswer:
    """A complete answer. Header names are in lower case; `duration_s` runs from the call to the last byte."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    duration_s: float


class _Deadline:
    """Shuts the connection down when the time is over: reads time out one by one, which a slow drip survives."""

    def __init__(self, limit_s: float) -> None:
        self.passed = False
        self.sent = False
        self._handle: socket.socket | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(limit_s, self._end)
        self._timer.daemon = True
        self._timer.start()

    def watch(self, event: str, details: Mapping[str, Any]) -> None:
        """httpcore's `trace` extension: takes a handle of its own on a new connection, which TLS does not take away."""
        if event == "http11.send_request_headers.started":
            self.sent = True
        if event not in ("connection.connect_tcp.complete", "connection.connect_unix_socket.complete"):
            return
        raw = details["return_value"].get_extra_info("socket")
        with self._lock:
            if raw is not None and self._handle is None:
                self._handle = socket.socket(fileno=os.dup(raw.fileno()))
        if self.passed:
            self._end()

    def close(self) -> None:
        self._timer.cancel()
        with self._lock:
            if self._handle is not None:
                self._handle.close()
                self._handle = None

    def _end(self) -> None:
        self.passed = True
        with self._lock:
            if self._handle is not None:
                with contextlib.suppress(OSError):  # the other side was faster
                    self._handle.shutdown(socket.SHUT_RDWR)


class HttpClient:
    """Sends requests, from as many threads as there are probes. TLS is set up once, at the first https URL."""

    def __init__(
        self,
        tls: TlsConfig,
        username: str | None = None,
        password: Secret | None = None,
        *,
        connect_s: float,
        answer_s: float,
    ) -> None:
        self._tls = tls
        self._username = username
        self._password = password
        self._connect_s = connect_s
        self._answer_s = answer_s
        self._lock = threading.Lock()
        self._transports: dict[str, httpx.HTTPTransport] = {}

    def get(
        self,
        url: str,
        *,
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
        headers: Mapping[str, str] | None = None,
        auth: bool = False,
        answer_s: float | None = None,
    ) -> HttpAnswer:
        """GET `url`; `auth` sends the configured user name and password (basic). Raises `HttpFault`.

        `answer_s` seconds (default: the client's) is all that connecting and the whole answer may take beyond `connect_s`.
        A status such as 404 or 503 is an answer.
        """
        return self._exchange("GET", url, None, headers or {}, auth, answer_s, limit_bytes)

    def send(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        content_type: str = "application/json",
        auth: bool = True,
        answer_s: float | None = None,
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
    ) -> HttpAnswer:
        """Send a request that may change something, once: it is never repeated here. As `get` otherwise.

        Raises `HttpFault`, whose `sent` tells whether the server may have acted on it.
        """
        headers = {"content-type": content_type} if body is not None else {}
        return self._exchange(method, url, body, headers, auth, answer_s, limit_bytes)

    def close(self) -> None:
        """Close what is left open."""
        with self._lock:
            for transport in self._transports.values():
                transport.close()
            self._transports.clear()

    def _exchange(
        self,
        method: str,
        url: str,
        body: bytes | None,
        headers: Mapping[str, str],
        auth: bool,
        answer_s: float | None,
        limit_bytes: int,
    ) -> HttpAnswer:
        import httpx

        transport = self._transport(_checked_scheme(url))
        started = time.monotonic()
        answer_s = self._answer_s if answer_s is None else answer_s
        connect_s = min(self._connect_s, answer_s)
        deadline = _Deadline(answer_s)
        try:
            sent = {"accept": "*/*", "accept-encoding": "identity", "connection": "close", "user-agent": "pgops"}
            fields = {**sent, **headers, **self._authorization(auth)}
            request = httpx.Request(method, url, headers=fields, content=body)
            request.extensions["timeout"] = {
                "connect": connect_s,
                "read": answer_s,
                "write": answer_s,
                "pool": answer_s,
            }
            request.extensions["trace"] = deadline.watch
            response = transport.handle_request(request)
            try:
                content = _read_body(response, limit_bytes, deadline)
            finally:
                response.close()
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
            if deadline.passed:
                raise HttpFault(f"no complete answer within {answer_s:g} s", "timeout", sent=deadline.sent) from None
            raise _fault(error, connect_s, answer_s, sent=deadline.sent) from None
        finally:
            deadline.close()
        if deadline.passed:  # a shutdown connection may look like the end of a body without length
            raise HttpFault(f"no complete answer within {answer_s:g} s", "timeout")
        return HttpAnswer(response.status_code, content, dict(response.headers), time.monotonic() - started)

    def _transport(self, scheme: str) -> httpx.HTTPTransport:
        import httpx

        with self._lock:
            if scheme not in self._transports:
                try:
                    context = client_context(self._tls, trusting=scheme == "https")
                except TlsFault as fault:
                    raise HttpFault(str(fault), "tls", sent=False) from None
                limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
                self._transports[scheme] = httpx.HTTPTransport(verify=context, trust_env=False, limits=limits)
            return self._transports[scheme]

    def _authorization(self, wanted: bool) -> dict[str, str]:
        if not wanted or self._username is None:
            return {}
        from base64 import b64encode

        password = self._password.reveal() if self._password else ""
        pair = b64encode(f"{self._username}:{password}".encode()).decode("ascii")
        return {"authorization": f"Basic {pair}"}


def _checked_scheme(url: str) -> str:
    try:
        parts = urlsplit(url)
        port_fine = parts.port != 0
    except ValueError:
        raise HttpFault("the URL cannot be read", "url", sent=False) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_fine:
        raise HttpFault(f"{printable(url.partition('?')[0])[:200]!r} is not an http or https URL", "url", sent=False)
    if "@" in parts.netloc:
        raise HttpFault("the URL carries credentials; they belong into username and password", "url", sent=False)
    return parts.scheme


def _read_body(response: httpx.Response, limit_bytes: int, deadline: _Deadline) -> bytes:
    announced = response.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced) > limit_bytes:
        raise HttpFault(f"an answer of {announced} bytes, more than the bound of {limit_bytes}", "too_large")
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > limit_bytes:
            raise HttpFault(f"an answer of more than {limit_bytes} bytes", "too_large")
        if deadline.passed:
            break
    return bytes(body)


def _fault(error: Exception, connect_s: float, answer_s: float, *, sent: bool) -> HttpFault:
    """Our clause for what httpx, h11, ssl and the socket say."""
    import httpx

    text = printable(" ".join(str(error).split()))[:300]
    if isinstance(error, httpx.ConnectTimeout):
        kind, reason = "timeout", f"no connection within {connect_s:g} s"
    elif isinstance(error, httpx.TimeoutException):
        kind, reason = "timeout", f"no answer within {answer_s:g} s"
    elif "SSL" in text or "certificate" in text:
        kind, reason = "tls", _tls_reason(text)
    elif isinstance(error, httpx.ConnectError):
        refused = "Connection refused" in text
        kind, reason = ("refused", "connection refused") if refused else ("other", f"no connection: {text}")
    elif "without sending a response" in text:
        kind, reason = "no_response", "the connection was closed without an answer"
    elif isinstance(error, httpx.ReadError) or "without sending complete" in text:
        kind, reason = "no_response", "the connection broke off before the answer was complete"
    elif isinstance(error, httpx.ProtocolError) and "illegal request line" in text:  # h11's word for control characters
        kind, reason = "other", "the answer is not HTTP but binary; is the URL https?"
    elif isinstance(error, httpx.ProtocolError):
        kind, reason = "other", f"the answer is not proper HTTP: {text}"
    else:
        kind, reason = "other", text or type(error).__name__
    return HttpFault(reason, kind, sent=sent)


def _tls_reason(text: str) -> str:
    """What to set, for the words of OpenSSL."""
    if "CERTIFICATE_VERIFY_FAILED" in text:
        said = text.partition("certificate verify failed: ")[2].partition(" (_ssl")[0] or text
        return f"the server's certificate is not trusted ({said}); set tls.ca_file to the CA that signed it"
    if "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER_FAILURE" in text:
        return "TLS was spoken to a port that answers without TLS; is the URL http?"
    if "CERTIFICATE_REQUIRED" in text or "HANDSHAKE_FAILURE" in text or "BAD_CERTIFICATE" in text:
        return f"the server wants another client certificate; set tls.cert_file and tls.key_file ({text})"
    if "UNEXPECTED_EOF" in text or "EOF occurred" in text:
        return (
            "the server broke off the TLS handshake; is the URL http, or a client certificate wanted (tls.cert_file)?"
        )
    return f"TLS failed: {text}"
