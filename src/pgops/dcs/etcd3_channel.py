"""One gRPC channel to one etcd: the only module that imports `etcd3` (and through it grpc).

The library's client connects to a single endpoint. Its stubs are asked directly where its own methods drop what we need
(who answered; fields newer than its protocol files).
"""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from pgops.config.model import DcsConfig, TlsConfig
from pgops.dcs import Compare, DcsFault, DcsKey, DcsOutcomeUnknown, Delete, Put, Transaction
from pgops.dcs.endpoint import Endpoint
from pgops.dcs.etcd3_meaning import LIMIT_BYTES, Fate, NotTaken, explain, fate, may_be_read_again
from pgops.dcs.etcd3_request import (
    as_text,
    build_reading,
    build_transaction,
    read_ranges,
    read_transaction,
)

_CA_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
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

_ELECTION_PAUSE_S = 0.05

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
        self._login_lock = threading.Lock()
        self._client: Any = None

    def read_prefix(self, prefix: str) -> dict[str, DcsKey]:
        """All keys under `prefix`, as one linearizable read. Raises `DcsFault`."""
        entries = self._call(lambda client: list(client.get_prefix(prefix)))
        found = {}
        for value, about in entries:
            key = as_text(about.key)
            found[key] = DcsKey(key, as_text(value), about.mod_revision, about.lease_id or None)
        return found

    def read_keys(self, keys: Sequence[str], limit_s: float | None = None) -> dict[str, DcsKey]:
        """These keys as far as they exist, as one linearizable read. Raises `DcsFault`."""
        request = build_reading(_messages(), keys)
        return read_ranges(self._call(lambda client: _ask_transaction(client, request, limit_s), limit_s))

    def prove_quorum(self) -> None:
        """Connect, and see that it answers what only a member in touch with the leader can. Raises `DcsFault`."""
        self._call(_ask_nothing)

    def transact(self, compares: Sequence[Compare], changes: Sequence[Put | Delete], limit_s: float) -> Transaction:
        """See `pgops.dcs.Dcs`. Raises `NotTaken`, `DcsFault`, `DcsOutcomeUnknown`, all within `limit_s`."""
        request = build_transaction(_messages(), compares, changes)
        reply = self._write(lambda client, left_s: _ask_transaction(client, request, left_s), limit_s)
        return read_transaction(reply, compares)

    def grant_lease(self, ttl_s: int, lease: int, limit_s: float) -> None:
        """Make a lease of that id. Raises as `transact` does."""
        request = _messages().LeaseGrantRequest(TTL=ttl_s, ID=lease)
        self._write(_asking("leasestub", "LeaseGrant", request), limit_s)

    def keep_lease(self, lease: int, limit_s: float) -> int:
        """The seconds of its new beginning; 0: gone. Raises as `transact` does.

        A call of one request and one answer has no stream or thread to outlive it; to etcd it looks like a stream that
        ends after its first message.
        """
        rpc = _messages()
        request = rpc.LeaseKeepAliveRequest(ID=lease)

        def ask(client: Any, left_s: float) -> Any:
            call = client.channel.unary_unary(
                "/etcdserverpb.Lease/LeaseKeepAlive",
                request_serializer=rpc.LeaseKeepAliveRequest.SerializeToString,
                response_deserializer=rpc.LeaseKeepAliveResponse.FromString,
            )
            return call(request, left_s, metadata=client.metadata)

        seconds: int = self._write(ask, limit_s).TTL
        return max(0, seconds)

    def revoke_lease(self, lease: int, limit_s: float) -> None:
        """End it. Raises as `transact` does, and `DcsFault` that says so where the lease is gone."""
        self._write(_asking("leasestub", "LeaseRevoke", _messages().LeaseRevokeRequest(ID=lease)), limit_s)

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
            errors=tuple(as_text(text) for text in newer.get(8, []) if isinstance(text, bytes)),
            quota_bytes=_last_integer(newer.get(12)),
        )

    def close(self) -> None:
        """Close the channel."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _call(self, question: Callable[[Any], Any], limit_s: float | None = None) -> Any:
        """One read; begun again, while there is time, where an election came in between."""
        grpc, exceptions = load_library()
        deadline = time.monotonic() + (self._timeout_s if limit_s is None else limit_s)
        renewed = False
        while True:
            try:
                client = self._connected()
                login = client.metadata
                return question(client)
            except (exceptions.Etcd3Exception, grpc.RpcError) as error:
                code, details = _origin(error)
                if self._login and not renewed and fate(code, details) is Fate.NO_LOGIN:
                    renewed = True
                    self._renew_login(login, deadline, "read")
                    continue
                if may_be_read_again(details) and time.monotonic() + _ELECTION_PAUSE_S < deadline:
                    time.sleep(_ELECTION_PAUSE_S)
                    continue
                raise DcsFault(self._explain(error, self._timeout_s)) from None
            except UnicodeError:
                raise DcsFault("the answer is not etcd's") from None

    def _write(self, question: Callable[[Any, float], Any], limit_s: float) -> Any:
        """One write, sent once; again only where etcd did not look at it for want of a valid login."""
        grpc, exceptions = load_library()
        deadline = time.monotonic() + limit_s
        try:
            client = self._connected()
        except (exceptions.Etcd3Exception, grpc.RpcError) as error:
            raise NotTaken(self._explain(error, self._timeout_s)) from None
        renewed = False
        while True:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise NotTaken(f"no answer within {limit_s:.3g} s")
            login = client.metadata
            try:
                return question(client, left_s)
            except grpc.RpcError as error:
                outcome = fate(*_origin(error))
                if outcome is Fate.NO_LOGIN and self._login and not renewed:
                    renewed = True
                    self._renew_login(login, deadline, "write")
                    continue
                reason = self._explain(error, left_s, verb="write")
            if outcome is Fate.NOT_SENT:
                raise NotTaken(reason)
            if outcome is Fate.UNKNOWN:
                raise DcsOutcomeUnknown(reason)
            raise DcsFault(reason)

    def _renew_login(self, stale: Any, deadline: float, verb: str) -> None:
        """A token is forgotten when its etcd restarts, or after minutes without use. Raises `NotTaken`."""
        import etcd3.etcdrpc

        grpc, _ = load_library()
        left_s = max(0.0, deadline - time.monotonic())
        if not self._login_lock.acquire(timeout=left_s):
            raise NotTaken(f"no login within {left_s:.3g} s")
        try:
            client = self._connected()
            if client.metadata != stale:  # another thread was here
                return
            password = self._config.password.reveal() if self._config.password else ""
            request = etcd3.etcdrpc.AuthenticateRequest(name=self._config.username, password=password)
            client.metadata = (("token", client.auth_stub.Authenticate(request, left_s).token),)
        except grpc.RpcError as error:
            raise NotTaken(self._explain(error, left_s, verb=verb)) from None
        finally:
            self._login_lock.release()

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

    def _explain(self, error: BaseException, limit_s: float, *, verb: str = "read") -> str:
        said = explain(*_origin(error), limit_s, self._config.username, verb=verb)
        return said or str(error) or type(error).__name__


def _origin(error: BaseException) -> tuple[str, str]:
    """gRPC's status code and details. The library drops them for some codes; they are in the context."""
    origin: Any = error if hasattr(error, "details") else error.__context__
    code = origin.code().name if hasattr(origin, "code") else ""
    return code, str(origin.details()) if hasattr(origin, "details") else ""


@cache
def load_library() -> tuple[Any, Any]:
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


def _messages() -> Any:
    load_library()
    import etcd3.etcdrpc

    return etcd3.etcdrpc


def _ask_transaction(client: Any, request: Any, left_s: float | None = None) -> Any:
    return client.kvstub.Txn(request, client.timeout if left_s is None else left_s, metadata=client.metadata)


def _ask_nothing(client: Any) -> None:
    """A linearizable read of no key. That the login may not read it is an answer, which etcd gives after its leader's."""
    grpc, _ = load_library()
    request = _messages().RangeRequest(key=b"/pgops/", count_only=True)
    try:
        client.kvstub.Range(request, client.timeout, metadata=client.metadata)
    except grpc.RpcError as error:
        if _origin(error)[0] != "PERMISSION_DENIED":
            raise


def _asking(stub: str, method: str, request: Any) -> Callable[[Any, float], Any]:
    return lambda client, left_s: getattr(getattr(client, stub), method)(request, left_s, metadata=client.metadata)


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


def _last_integer(values: list[Any] | None) -> int | None:
    return values[-1] if values and isinstance(values[-1], int) else None
