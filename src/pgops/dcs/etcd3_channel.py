"""One gRPC channel to one etcd: the only module that imports `etcd3` (and through it grpc).

The library's client connects to a single endpoint. Its stubs are asked directly where its own methods drop what we need
(who answered; fields newer than its protocol files).
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from pgops.config.model import DcsConfig, TlsConfig
from pgops.dcs import DcsFault, DcsKey
from pgops.dcs.endpoint import Endpoint
from pgops.render.text import printable

LIMIT_BYTES = 16 * 1024 * 1024

_CA_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)

# etcd: api/v3rpc/rpctypes/error.go; gRPC: the words of its core in UNAVAILABLE.
_MEANINGS = (
    ("user name is empty", "etcd wants a login; set dcs.username and dcs.password"),
    ("authentication is not enabled", "etcd has no authentication enabled; remove dcs.username and dcs.password"),
    ("authentication failed", "etcd refused the login of {user}"),
    ("permission denied", "the etcd user {user} may not read this; grant it a role that reads the prefix"),
    ("Connection refused", "connection refused"),
    ("CERTIFICATE_VERIFY_FAILED", "the server's certificate is not trusted; set dcs.tls.ca_file to its CA"),
    ("Peer name", "the server's certificate is for another name; use a name in dcs.endpoints that it holds"),
    # Under TLS 1.3 a refused client shows only at the first read.
    ("Unwrap failed", "TLS was broken off; a client certificate may be wanted (dcs.tls.cert_file, dcs.tls.key_file)"),
    ("andshake failed", "TLS failed; is the URL http, or a client certificate wanted (dcs.tls.cert_file)?"),
    ("larger than max", f"more than {LIMIT_BYTES // 1024 // 1024} MiB in one answer"),
)

_OPTIONS = (
    # No proxy of the environment between us and the DCS.
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", LIMIT_BYTES),
    # A member that comes back is seen at the next question: gRPC would wait up to two minutes, for all channels at once.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
)

_import_lock = threading.Lock()


@dataclass(frozen=True)
class MemberStatus:
    """The reply of Maintenance.Status. Fields that this etcd's version does not have are None."""

    member_id: int
    version: str
    db_size_bytes: int
    leader_id: int
    raft_term: int
    raft_index: int
    raft_applied_index: int | None
    errors: tuple[str, ...]
    quota_bytes: int | None


@dataclass(frozen=True)
class ListedMember:
    """One entry of Cluster.MemberList. An empty name: never started."""

    member_id: int
    name: str
    client_urls: tuple[str, ...]


class Channel:
    """Asks one etcd, from many threads; connected (and logged in) at the first question, every call bounded in time."""

    def __init__(self, endpoint: Endpoint, config: DcsConfig, timeout_s: float, *, login: bool) -> None:
        self._endpoint = endpoint
        self._config = config
        self._timeout_s = timeout_s
        self._login = login and config.username is not None
        self._lock = threading.Lock()
        self._client: Any = None

    def read_prefix(self, prefix: str) -> dict[str, DcsKey]:
        """All keys under `prefix`, as one linearizable read. Raises `DcsFault`."""
        entries = self._call(lambda client: list(client.get_prefix(prefix)))
        found = {}
        for value, about in entries:
            key = _text(about.key)
            found[key] = DcsKey(key, _text(value), about.mod_revision, about.lease_id or None)
        return found

    def list_members(self) -> tuple[ListedMember, ...]:
        """As this member knows them; answered without a quorum. Raises `DcsFault`."""
        members = self._call(lambda client: list(client.members))
        return tuple(ListedMember(item.id, item.name, tuple(item.client_urls)) for item in members)

    def read_alarms(self) -> tuple[tuple[int, str], ...]:
        """(member id, alarm name). Needs a quorum: without one there is no answer. Raises `DcsFault`."""
        alarms = self._call(lambda client: list(client.list_alarms()))
        names = {1: "NOSPACE", 2: "CORRUPT"}
        return tuple((alarm.member_id, names.get(alarm.alarm_type, f"ALARM-{alarm.alarm_type}")) for alarm in alarms)

    def read_status(self) -> MemberStatus:
        """What this member says of itself. Raises `DcsFault`."""
        reply = self._call(_ask_status)
        # etcd 3.4 added 7 to 10, 3.6 11 to 13; source: etcd, api/etcdserverpb/rpc.proto, StatusResponse.
        newer: dict[int, list[Any]] = {}
        for item in reply.UnknownFields():
            newer.setdefault(item.field_number, []).append(item.data)
        return MemberStatus(
            member_id=reply.header.member_id,
            version=reply.version,
            db_size_bytes=reply.dbSize,
            leader_id=reply.leader,
            raft_term=reply.raftTerm,
            raft_index=reply.raftIndex,
            raft_applied_index=_last_integer(newer.get(7)),
            errors=tuple(_text(text) for text in newer.get(8, []) if isinstance(text, bytes)),
            quota_bytes=_last_integer(newer.get(12)),
        )

    def close(self) -> None:
        """Close the channel."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _call(self, question: Callable[[Any], Any]) -> Any:
        grpc, exceptions = _load()
        try:
            return question(self._connected())
        except (exceptions.Etcd3Exception, grpc.RpcError) as error:
            raise DcsFault(self._explain(error)) from None
        except UnicodeError:
            raise DcsFault("the answer is not etcd's") from None

    def _connected(self) -> Any:
        import etcd3

        with self._lock:
            if self._client is None:
                secure = self._endpoint.scheme == "https"
                files = _tls_files(self._config.tls) if secure else (None, None, None)
                password = self._config.password.reveal() if self._config.password else ""
                self._client = etcd3.client(
                    host=_grpc_host(self._endpoint.host),
                    port=self._endpoint.port,
                    ca_cert=files[0],
                    cert_cert=files[1],
                    cert_key=files[2],
                    timeout=self._timeout_s,
                    user=self._config.username if self._login else None,
                    password=password if self._login else None,
                    # gRPC's name for the time that one attempt to connect may take: the call's own deadline comes first.
                    grpc_options=[*_OPTIONS, ("grpc.min_reconnect_backoff_ms", int(self._timeout_s * 1000) + 1000)],
                )
                # The token goes as metadata too; as call credentials gRPC refuses it on a channel without TLS.
                self._client.call_credentials = None
            return self._client

    def _explain(self, error: BaseException) -> str:
        """A clause for a person. The library drops gRPC's details for some codes; they are in the context."""
        origin: Any = error if hasattr(error, "details") else error.__context__
        details = printable(" ".join(str(origin.details()).split())) if hasattr(origin, "details") else ""
        code = origin.code().name if hasattr(origin, "code") else ""
        if code == "DEADLINE_EXCEEDED" or "timed out before receiving SETTINGS" in details or "() timed out" in details:
            return f"no answer within {self._timeout_s:g} s"
        user = printable(self._config.username or "")
        for words, meaning in _MEANINGS:
            if words in details:
                return meaning.format(user=user)
        said = details.removeprefix("failed to connect to all addresses; last error: ")
        return said[:300] or str(error) or type(error).__name__


def _load() -> tuple[Any, Any]:
    """grpc and etcd3's exceptions. The first import sets what grpc reads from the environment."""
    with _import_lock, warnings.catch_warnings():
        # Its generated code is from before protobuf 4 and Python 3.12.
        warnings.simplefilter("ignore")
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
        os.environ.setdefault("GRPC_DNS_RESOLVER", "native")
        import etcd3.exceptions
        import grpc

        return grpc, etcd3.exceptions


def _ask_status(client: Any) -> Any:
    import etcd3.etcdrpc

    request = etcd3.etcdrpc.StatusRequest()
    return client.maintenancestub.Status(
        request, client.timeout, credentials=client.call_credentials, metadata=client.metadata
    )


def _grpc_host(host: str) -> str:
    """The host for a gRPC target, with its scheme: a bare `unix` would name a socket. gRPC docs, naming.md."""
    try:
        version = ip_address(host.partition("%")[0]).version
    except ValueError:
        return f"dns:///{host}"
    return f"ipv4:{host}" if version == 4 else f"ipv6:[{host}]"


def _tls_files(tls: TlsConfig) -> tuple[str, str | None, str | None]:
    """CA, certificate and key files for gRPC, which insists on verifying. Raises `DcsFault`."""
    if not tls.verify:
        raise DcsFault("gRPC always verifies the server's certificate; set dcs.tls.ca_file instead of verify: false")
    ca_file = tls.ca_file or next((path for path in _CA_BUNDLES if Path(path).exists()), None)
    if ca_file is None:
        raise DcsFault("no CA certificates were found on this machine; set dcs.tls.ca_file")
    if (tls.cert_file is None) != (tls.key_file is None):
        raise DcsFault("dcs.tls.cert_file and dcs.tls.key_file belong together")
    for file in (ca_file, tls.cert_file, tls.key_file):
        if file is None:
            continue
        try:
            content = Path(file).read_bytes()
        except OSError as error:
            raise DcsFault(f"{file}: {error.strerror}") from None
        if b"-----BEGIN " not in content:
            raise DcsFault(f"{file}: holds no PEM")
        if b"ENCRYPTED" in content:
            raise DcsFault(f"{file}: gRPC reads no encrypted keys; give it one without a password, mode 0600")
    return ca_file, tls.cert_file, tls.key_file


def _text(raw: bytes) -> str:
    """UTF-8; other bytes become visible escapes."""
    return raw.decode("utf-8", "backslashreplace")


def _last_integer(values: list[Any] | None) -> int | None:
    return values[-1] if values and isinstance(values[-1], int) else None
