"""etcd by its v2 API over HTTP, which Patroni calls `etcd`: a key space apart from v3's, gone in etcd 3.6.

Source: etcd 2.3 and 3.4 docs, v2/api.md, v2/members_api.md, v2/auth_api.md, v2/errorcode.md.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pgops.clients.http import HttpAnswer, HttpClient, HttpFault, parse_json
from pgops.config.model import DcsConfig
from pgops.dcs import Compare, DcsFault, DcsHealth, DcsKey, DcsMember, Delete, Put, Transaction
from pgops.dcs.endpoint import Endpoint, parse_endpoint, reachable_endpoints
from pgops.dcs.etcd2_records import OWN_PREFIX, OwnKeys, check_own
from pgops.dcs.etcd3 import Etcd3Dcs
from pgops.dcs.etcd3_channel import load_library
from pgops.dcs.etcd_http import Metrics, Verdict, read_metrics, read_verdict
from pgops.dcs.race import Asked, first_answer
from pgops.readings import Skipped
from pgops.render.text import printable

LIMIT_BYTES = 16 * 1024 * 1024

_KEY_NOT_FOUND = 100
_UNAUTHORIZED = 110


@dataclass(frozen=True)
class _Self:
    """GET /v2/stats/self and /version of one member."""

    member_id: str
    leader_id: str | None
    version: str | None


@dataclass(frozen=True)
class _Listed:
    """One entry of GET /v2/members. An empty name: never started."""

    member_id: str
    name: str
    client_urls: tuple[str, ...]


_Report = _Self | Verdict | Metrics


class Etcd2Dcs:
    """Every call goes to all endpoints at once; the first good answer counts."""

    def __init__(self, config: DcsConfig, *, timeout_s: float) -> None:
        self._config = config
        self._timeout_s = timeout_s
        self._http = HttpClient(config.tls, config.username, config.password, connect_s=timeout_s, answer_s=timeout_s)
        self._own = OwnKeys(config, timeout_s)

    def read_prefix(self, prefix: str) -> dict[str, DcsKey]:
        """See `pgops.dcs.Dcs`: a quorum read, from the first endpoint that answers. No such directory: no keys."""
        if not prefix.endswith("/"):
            raise ValueError("a prefix ends with a slash")
        if prefix.startswith(OWN_PREFIX):
            return self._own.ask(lambda dcs: dcs.read_prefix(prefix))
        path = f"/v2/keys{quote(prefix.rstrip('/'))}?recursive=true&quorum=true"
        deadline = time.monotonic() + self._timeout_s
        questions = {item.url: lambda item=item: self._read_keys(item, path) for item in self._endpoints()}
        keys = first_answer(questions, deadline)[1]
        return {name: key for name, key in keys.items() if name.startswith(prefix)}

    def read_keys(self, keys: Sequence[str]) -> dict[str, DcsKey]:
        """See `pgops.dcs.Dcs`. pgops's own keys alone: the v2 API reads no several keys as of one moment."""
        check_own(keys)
        return self._own.ask(lambda dcs: dcs.read_keys(keys))

    def transact(self, compares: Sequence[Compare], changes: Sequence[Put | Delete]) -> Transaction:
        """See `pgops.dcs.Dcs`. pgops's own keys alone."""
        check_own(item.key for item in (*compares, *changes))
        return self._own.ask(lambda dcs: dcs.transact(compares, changes))

    def grant_lease(self, ttl_s: int) -> int:
        """See `pgops.dcs.Dcs`."""
        return self._own.ask(lambda dcs: dcs.grant_lease(ttl_s))

    def keep_lease(self, lease: int) -> int:
        """See `pgops.dcs.Dcs`."""
        return self._own.ask(lambda dcs: dcs.keep_lease(lease))

    def revoke_lease(self, lease: int) -> None:
        """See `pgops.dcs.Dcs`."""
        self._own.ask(lambda dcs: dcs.revoke_lease(lease))

    def load(self) -> None:
        """Load the library that pgops's own records need, and ask nobody."""
        load_library()

    def warm_up(self) -> None:
        """Load the library and find a member for the first write. What fails here fails, and says so, at that write."""
        with suppress(DcsFault):
            self._own.ask(Etcd3Dcs.warm_up)

    def health(self) -> DcsHealth:
        """See `pgops.dcs.Dcs`. The v2 API tells neither alarms nor raft positions."""
        deadline = time.monotonic() + self._timeout_s
        endpoints = self._endpoints()
        reports: Asked[_Report] = Asked()
        for endpoint in endpoints:
            self._ask_reports(reports, endpoint)
        lists = {endpoint.url: lambda item=endpoint: self._list_members(item) for endpoint in endpoints}
        answered_by, listed = first_answer(lists, deadline)
        for member in listed:
            for endpoint in reachable_endpoints(member.client_urls)[:1]:
                self._ask_reports(reports, endpoint)
        reports.await_all(deadline)
        members = sorted((_describe(item, endpoints, reports) for item in listed), key=lambda m: (m.name, m.member_id))
        return DcsHealth(answered_by, tuple(members), Skipped("etcd's v2 API has no alarms"))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
        self._own.close()

    def _endpoints(self) -> list[Endpoint]:
        if not self._config.endpoints:
            raise DcsFault("no etcd endpoint is configured; set dcs.endpoints")
        return list(dict.fromkeys(parse_endpoint(url) for url in self._config.endpoints))

    def _get(self, endpoint: Endpoint, path: str, *, limit_bytes: int = 1024 * 1024) -> tuple[HttpAnswer, Any]:
        """The answer and its JSON. Credentials go to configured endpoints alone. Raises `DcsFault`."""
        try:
            login = endpoint in self._endpoints()
            answer = self._http.get(f"{endpoint.url}{path}", limit_bytes=limit_bytes, auth=login)
        except HttpFault as fault:
            raise DcsFault(str(fault)) from None
        if answer.status == 404 and answer.body.startswith(b"404 page not found"):
            raise DcsFault("etcd serves no v2 API there (HTTP 404); is the kind etcd3, or --enable-v2 missing?")
        try:
            return answer, parse_json(answer.body)
        except ValueError as error:
            raise DcsFault(f"{error} (HTTP {answer.status})") from None

    def _read_keys(self, endpoint: Endpoint, path: str) -> dict[str, DcsKey]:
        answer, reply = self._get(endpoint, path, limit_bytes=LIMIT_BYTES)
        reply = _mapping(reply)
        code = reply.get("errorCode")
        if code == _KEY_NOT_FOUND:
            return {}
        if code == _UNAUTHORIZED or answer.status in (401, 403):
            who = printable(self._config.username or "")
            raise DcsFault(
                f"etcd refused the login or the right of {who}" if who else "etcd wants a login; set dcs.username"
            )
        if answer.status != 200 or code is not None:
            said = ": ".join(str(reply[name]) for name in ("message", "cause") if reply.get(name))
            raise DcsFault(f"HTTP {answer.status} {printable(said)[:200]}".strip())
        return _flatten(_mapping(reply.get("node")))

    def _list_members(self, endpoint: Endpoint) -> tuple[_Listed, ...]:
        answer, reply = self._get(endpoint, "/v2/members")
        members = _mapping(reply).get("members")
        if answer.status != 200 or not isinstance(members, list):
            raise DcsFault(f"HTTP {answer.status} without a member list")
        return tuple(_listed(_mapping(item)) for item in members)

    def _read_self(self, endpoint: Endpoint) -> _Self:
        answer, reply = self._get(endpoint, "/v2/stats/self")
        reply = _mapping(reply)
        member_id = reply.get("id")
        if answer.status != 200 or not isinstance(member_id, str):
            raise DcsFault(f"HTTP {answer.status} without the member's own id")
        leader = _mapping(reply.get("leaderInfo") or {}).get("leader")
        version = _mapping(self._get(endpoint, "/version")[1]).get("etcdserver")
        return _Self(member_id, _text(leader) or None, _text(version) or None)

    def _ask_reports(self, reports: Asked[_Report], endpoint: Endpoint) -> None:
        reports.ask(f"self {endpoint.url}", lambda: self._read_self(endpoint))
        reports.ask(f"health {endpoint.url}", lambda: read_verdict(self._http, endpoint))
        reports.ask(f"metrics {endpoint.url}", lambda: read_metrics(self._http, endpoint))


def _flatten(top: Mapping[str, Any]) -> dict[str, DcsKey]:
    """All keys below a directory node, without recursion. Raises `DcsFault`."""
    found: dict[str, DcsKey] = {}
    level: list[Any] = [top]
    while level:
        node = _mapping(level.pop())
        if node.get("dir"):
            nodes = node.get("nodes", [])
            if not isinstance(nodes, list):
                raise DcsFault("the answer is not of etcd's v2 shape (nodes is not a list)")
            level += nodes
            continue
        key, value, index, ttl = (node.get(name) for name in ("key", "value", "modifiedIndex", "ttl"))
        if not isinstance(key, str) or not isinstance(value, str) or type(index) is not int:
            raise DcsFault("the answer is not of etcd's v2 shape (a key without key, value or modifiedIndex)")
        found[key] = DcsKey(key, value, index, None, ttl if type(ttl) is int else None)
    return found


def _listed(item: Mapping[str, Any]) -> _Listed:
    urls = item.get("clientURLs") or []
    if not isinstance(urls, list):
        raise DcsFault("the answer is not of etcd's v2 shape (clientURLs is not a list)")
    return _Listed(_text(item.get("id")), _text(item.get("name")), tuple(_text(url) for url in urls))


def _describe(member: _Listed, endpoints: list[Endpoint], reports: Asked[_Report]) -> DcsMember:
    if not member.name:
        fault = "it is listed as a member but never started"
        return DcsMember("", member.member_id, member.client_urls, started=False, healthy=False, fault=fault)
    own = reachable_endpoints(member.client_urls)
    place, report = next(
        (
            (endpoint, said)
            for endpoint in [*own, *endpoints]
            if isinstance(said := reports.answers.get(f"self {endpoint.url}"), _Self)
            and said.member_id == member.member_id
        ),
        (own[0] if own else None, None),
    )
    if report is None or place is None:
        fault = "its client URLs lead nowhere from here, and no endpoint is it"
        if place is not None:
            fault = f"{place.url}: {reports.faults.get(f'self {place.url}', 'another member answers there')}"
        return DcsMember(member.name, member.member_id, member.client_urls, healthy=False, fault=fault)
    verdict = reports.answers.get(f"health {place.url}")
    metrics = reports.answers.get(f"metrics {place.url}")
    samples = metrics if isinstance(metrics, Metrics) else Metrics()
    said_fault = verdict.fault if isinstance(verdict, Verdict) else "/health: no answer in time"
    fault_text = "it sees no leader" if report.leader_id is None or samples.has_leader is False else said_fault
    return DcsMember(
        name=member.name,
        member_id=member.member_id,
        client_urls=member.client_urls,
        healthy=fault_text is None,
        fault=fault_text,
        version=report.version,
        leader_id=report.leader_id,
        db_size_bytes=samples.db_size_bytes,
        quota_bytes=samples.quota_bytes,
    )


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise DcsFault("the answer is not of etcd's v2 shape (no JSON object)")
    return value


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
