"""etcd by its v3 API (gRPC), which Patroni calls `etcd3`."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from pgops.clients.http import HttpClient
from pgops.config.model import DcsConfig
from pgops.dcs import Compare, DcsFault, DcsHealth, DcsKey, DcsMember, Delete, Put, Transaction
from pgops.dcs.endpoint import Endpoint, parse_endpoint, reachable_endpoints
from pgops.dcs.etcd3_channel import Channel, ListedMember, MemberStatus, load_library
from pgops.dcs.etcd3_write import FIRST_SHARE, Writes
from pgops.dcs.etcd_http import Metrics, Verdict, read_metrics, read_verdict
from pgops.dcs.race import Asked, first_answer
from pgops.readings import Known, Reading, Unknown

_Report = MemberStatus | Verdict | Metrics


@dataclass(frozen=True)
class _Roll:
    """The member list and who gave it."""

    answered_by: str
    members: tuple[ListedMember, ...]


class Etcd3Dcs:
    """One channel per endpoint, opened at first use and shared by all calls."""

    def __init__(self, config: DcsConfig, *, timeout_s: float) -> None:
        self._config = config
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._channels: dict[Endpoint, Channel] = {}
        self._http = HttpClient(config.tls, connect_s=timeout_s, answer_s=timeout_s)
        self._writes = Writes(self._endpoint_channels, timeout_s)

    def read_prefix(self, prefix: str) -> dict[str, DcsKey]:
        """See `pgops.dcs.Dcs`: linearizable, from the first endpoint that answers."""
        if not prefix.endswith("/"):
            raise ValueError("a prefix ends with a slash")
        channels = self._endpoint_channels()
        deadline = time.monotonic() + self._timeout_s
        questions = {url: lambda channel=channel: channel.read_prefix(prefix) for url, channel in channels.items()}
        keys: dict[str, DcsKey] = first_answer(questions, deadline)[1]
        return keys

    def read_keys(self, keys: Sequence[str]) -> dict[str, DcsKey]:
        """See `pgops.dcs.Dcs`: linearizable, from the member that answered last, else from the first that does."""
        deadline = time.monotonic() + self._timeout_s
        channels = self._endpoint_channels()
        chosen = self._writes.chosen()
        if chosen in channels:
            try:
                return channels[chosen].read_keys(keys, self._timeout_s * FIRST_SHARE)
            except DcsFault:
                self._writes.forget(chosen)
        questions = {url: lambda channel=channel: channel.read_keys(keys) for url, channel in channels.items()}
        found: dict[str, DcsKey] = first_answer(questions, deadline)[1]
        return found

    def transact(self, compares: Sequence[Compare], changes: Sequence[Put | Delete]) -> Transaction:
        """See `pgops.dcs.Dcs`: one transaction of etcd's, sent once."""
        return self._writes.send(lambda channel, limit_s: channel.transact(compares, changes, limit_s))

    def grant_lease(self, ttl_s: int) -> int:
        """See `pgops.dcs.Dcs`. The id is ours: asked for again, it is still one lease."""
        return self._writes.grant_lease(ttl_s)

    def keep_lease(self, lease: int) -> int:
        """See `pgops.dcs.Dcs`. A member that does not answer is left for another while there is time."""
        return self._writes.repeat(lambda channel, limit_s: channel.keep_lease(lease, limit_s))

    def revoke_lease(self, lease: int) -> None:
        """See `pgops.dcs.Dcs`."""
        self._writes.revoke_lease(lease)

    def load(self) -> None:
        """Load the library, and ask nobody."""
        load_library()

    def warm_up(self) -> None:
        """Load the library and find a member for the first write. What fails here fails, and says so, at that write."""
        with suppress(DcsFault):
            self._writes.choose()

    def health(self) -> DcsHealth:
        """See `pgops.dcs.Dcs`. Every endpoint and every listed member is asked at once, all within one timeout."""
        deadline = time.monotonic() + self._timeout_s
        endpoints = self._endpoints()
        reports: Asked[_Report] = Asked()
        for endpoint in endpoints:
            self._ask_reports(reports, endpoint)
        lists = {endpoint.url: self._channel(endpoint).list_members for endpoint in endpoints}
        roll = _Roll(*first_answer(lists, deadline))
        alarms: Asked[tuple[tuple[int, str], ...]] = Asked()
        alarms.ask("alarms", self._channel(parse_endpoint(roll.answered_by)).read_alarms)
        for member in roll.members:
            for endpoint in reachable_endpoints(member.client_urls)[:1]:
                self._ask_reports(reports, endpoint)
        reports.await_all(deadline)
        alarms.await_all(deadline)
        alarm_list = _name_alarms(alarms)
        members = [_describe(member, endpoints, reports, alarm_list) for member in roll.members]
        members.sort(key=lambda member: (member.name, member.member_id))
        return DcsHealth(roll.answered_by, tuple(members), alarm_list)

    def close(self) -> None:
        """Close the channels."""
        with self._lock:
            for channel in self._channels.values():
                channel.close()
            self._channels.clear()
        self._http.close()

    def _endpoints(self) -> list[Endpoint]:
        if not self._config.endpoints:
            raise DcsFault("no etcd endpoint is configured; set dcs.endpoints")
        return list(dict.fromkeys(parse_endpoint(url) for url in self._config.endpoints))

    def _channel(self, endpoint: Endpoint) -> Channel:
        with self._lock:
            if endpoint not in self._channels:
                # A URL that only the member list names gets no password of ours.
                login = endpoint in self._endpoints()
                self._channels[endpoint] = Channel(endpoint, self._config, self._timeout_s, login=login)
            return self._channels[endpoint]

    def _endpoint_channels(self) -> dict[str, Channel]:
        return {endpoint.url: self._channel(endpoint) for endpoint in self._endpoints()}

    def _ask_reports(self, reports: Asked[_Report], endpoint: Endpoint) -> None:
        reports.ask(f"status {endpoint.url}", self._channel(endpoint).read_status)
        reports.ask(f"health {endpoint.url}", lambda: read_verdict(self._http, endpoint))
        reports.ask(f"metrics {endpoint.url}", lambda: read_metrics(self._http, endpoint))


def _name_alarms(asked: Asked[tuple[tuple[int, str], ...]]) -> Reading[tuple[tuple[str, str], ...]]:
    if "alarms" not in asked.answers:
        return Unknown(f"etcd's alarms: {asked.faults['alarms']}")
    return Known(tuple((f"{member_id:x}", name) for member_id, name in asked.answers["alarms"]))


def _find_endpoint(member: ListedMember, endpoints: list[Endpoint], reports: Asked[_Report]) -> Endpoint | None:
    """Where this member was asked: where its own id answered, else at its own URL."""
    own = reachable_endpoints(member.client_urls)
    for endpoint in [*own, *endpoints]:
        status = reports.answers.get(f"status {endpoint.url}")
        if isinstance(status, MemberStatus) and status.member_id == member.member_id:
            return endpoint
    return own[0] if own else None


def _describe(
    member: ListedMember,
    endpoints: list[Endpoint],
    reports: Asked[_Report],
    alarms: Reading[tuple[tuple[str, str], ...]],
) -> DcsMember:
    member_id = f"{member.member_id:x}"
    if not member.name:
        fault = "it is listed as a member but never started"
        return DcsMember("", member_id, member.client_urls, started=False, healthy=False, fault=fault)
    endpoint = _find_endpoint(member, endpoints, reports)
    if endpoint is None:
        fault = (
            f"its client URLs ({', '.join(member.client_urls) or 'none'}) lead nowhere from here, and no endpoint is it"
        )
        return DcsMember(member.name, member_id, member.client_urls, healthy=False, fault=fault)
    status = reports.answers.get(f"status {endpoint.url}")
    if not isinstance(status, MemberStatus):
        fault = f"{endpoint.url}: {reports.faults.get(f'status {endpoint.url}', 'no answer')}"
        return DcsMember(member.name, member_id, member.client_urls, healthy=False, fault=fault)
    if status.member_id != member.member_id:
        fault = f"another member ({status.member_id:x}) answers at {endpoint.url}"
        return DcsMember(member.name, member_id, member.client_urls, healthy=False, fault=fault)
    verdict = reports.answers.get(f"health {endpoint.url}")
    metrics = reports.answers.get(f"metrics {endpoint.url}")
    complaint = _find_complaint(status, verdict)
    return DcsMember(
        name=member.name,
        member_id=member_id,
        client_urls=member.client_urls,
        healthy=complaint is None,
        fault=complaint,
        version=status.version,
        leader_id=f"{status.leader_id:x}" if status.leader_id else None,
        raft_term=status.raft_term,
        raft_index=status.raft_index,
        raft_applied_index=status.raft_applied_index,
        db_size_bytes=status.db_size_bytes,
        quota_bytes=status.quota_bytes or (metrics.quota_bytes if isinstance(metrics, Metrics) else None),
        alarms=tuple(name for owner, name in alarms.value if owner == member_id) if isinstance(alarms, Known) else (),
    )


def _find_complaint(status: MemberStatus, verdict: object) -> str | None:
    """The clearest of what the member complains of."""
    if not status.leader_id:
        return "it sees no leader"
    if status.errors:
        return "; ".join(status.errors)[:300]
    return verdict.fault if isinstance(verdict, Verdict) else "/health: no answer in time"
