"""What a failed gRPC call to etcd means: in words for a person, and for a write, whether it can have happened.

Sources: etcd, api/v3rpc/rpctypes/error.go; gRPC, doc/statuscodes.md and the words of its core in UNAVAILABLE.
"""

from __future__ import annotations

from enum import Enum

from pgops.dcs import DcsFault
from pgops.render.text import printable

LIMIT_BYTES = 16 * 1024 * 1024
"""The bound of one answer."""


class Fate(Enum):
    """What became of a request that failed."""

    NOT_SENT = "not sent"
    """This member did not take it; another may."""
    REFUSED = "refused"
    """etcd answered that it does not do it; so would every member."""
    UNKNOWN = "unknown"
    """It may have been done, or may yet be."""
    NO_LOGIN = "no login"
    """The token is not, or no longer, one of this etcd: it was not done; a new login may help."""


class NotTaken(DcsFault):
    """This member did not take the write; another may."""


_MEANINGS = (
    ("user name is empty", "etcd wants a login; set dcs.username and dcs.password"),
    ("authentication is not enabled", "etcd has no authentication enabled; remove dcs.username and dcs.password"),
    ("authentication failed", "etcd refused the login of {user}"),
    ("permission denied", "the etcd user {user} may not {verb} this; grant it a role that {verb}s the prefix"),
    (
        "database space exceeded",
        "etcd is out of space and takes no writes; make room with etcdctl compact and etcdctl defrag --cluster, "
        "then run etcdctl alarm disarm",
    ),
    ("grpc: received message larger than max", "more than etcd takes in one request (its --max-request-bytes)"),
    ("request is too large", "more than etcd takes in one request (its --max-request-bytes)"),
    ("requested lease not found", "the lease is gone"),
    ("unknown service etcdserverpb", "etcd serves no v3 API there"),
    ("Expected SETTINGS frame", "etcd serves no v3 API (gRPC) there"),
    ("http1.x server", "etcd serves no v3 API (gRPC) there"),
    ("Connection refused", "connection refused"),
    ("CERTIFICATE_VERIFY_FAILED", "the server's certificate is not trusted; set dcs.tls.ca_file to its CA"),
    ("Peer name", "the server's certificate is for another name; use a name in dcs.endpoints that it holds"),
    # Under TLS 1.3 a refused client shows only at the first read.
    ("Unwrap failed", "TLS was broken off; a client certificate may be wanted (dcs.tls.cert_file, dcs.tls.key_file)"),
    ("andshake failed", "TLS failed; is the URL http, or a client certificate wanted (dcs.tls.cert_file)?"),
    ("eceived message larger than max", f"more than {LIMIT_BYTES // 1024 // 1024} MiB in one answer"),
)

_REFUSALS = {
    "INVALID_ARGUMENT",
    "FAILED_PRECONDITION",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "RESOURCE_EXHAUSTED",
    "DATA_LOSS",
}
"""Codes of etcd's own answers that it gives in place of doing the request."""

_NOT_SENT = (
    "failed to connect to all addresses",
    "connections to all backends failing",
    "DNS resolution failed",
    "etcdserver: no leader",
    "etcdserver: not capable",
    "raft proposal dropped",
)

_STALE_LOGIN = ("invalid auth token", "revision of auth store is old", "auth: revision in header is old")


_AGAIN = "etcdserver: leader changed"


def may_be_read_again(details: str) -> bool:
    """Whether a read failed only for an election that is over: etcd asks for it once more. Source: etcd, v3_server.go."""
    return _AGAIN in details


def fate(code: str, details: str) -> Fate:
    """What became of the request, by the name of gRPC's status code and its details."""
    if any(words in details for words in _STALE_LOGIN):
        return Fate.NO_LOGIN
    if any(words in details for words in _NOT_SENT):
        return Fate.NOT_SENT
    # Our own side found the answer too long: the request was taken.
    if code in _REFUSALS and not details.startswith("CLIENT:"):
        return Fate.REFUSED
    return Fate.UNKNOWN


def explain(code: str, details: str, timeout_s: float, username: str | None, *, verb: str = "read") -> str:
    """A clause for a person; empty when gRPC says nothing. `verb` is what was tried: read or write."""
    details = printable(" ".join(details.split()))
    if code == "DEADLINE_EXCEEDED" or "timed out before receiving SETTINGS" in details or "() timed out" in details:
        return f"no answer within {timeout_s:.3g} s"
    for words, meaning in _MEANINGS:
        if words in details:
            return meaning.format(user=printable(username or ""), verb=verb)
    return details.removeprefix("failed to connect to all addresses; last error: ")[:300]
