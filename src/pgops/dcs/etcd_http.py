"""What every etcd says over plain HTTP, whichever API is used for the keys: its health verdict and its metrics.

Sources: etcd 3.4 to 3.6, server/etcdserver/api/etcdhttp/health.go; op-guide/monitoring.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pgops.clients.http import HttpClient, HttpFault, parse_json
from pgops.dcs.endpoint import Endpoint
from pgops.render.text import printable

_SAMPLE = re.compile(
    rb"^(etcd_server_quota_backend_bytes|etcd_server_has_leader|etcd_mvcc_db_total_size_in_bytes) (\S+)$", re.MULTILINE
)


@dataclass(frozen=True)
class Verdict:
    """GET /health of one member. `healthy` None: this address does not serve it (`listen-metrics-urls` moved it)."""

    healthy: bool | None
    fault: str | None


@dataclass(frozen=True)
class Metrics:
    """Some of GET /metrics; None where the member does not tell."""

    quota_bytes: int | None = None
    db_size_bytes: int | None = None
    has_leader: bool | None = None


def read_verdict(client: HttpClient, endpoint: Endpoint) -> Verdict:
    """The member's own verdict: etcd asks itself for a linearizable read, so it needs a quorum. Never raises."""
    try:
        answer = client.get(f"{endpoint.url}/health", limit_bytes=65536)
    except HttpFault as fault:
        return Verdict(False, f"/health: {fault}")
    if answer.status == 404:
        return Verdict(None, None)
    try:
        reply = parse_json(answer.body)
    except ValueError:
        return Verdict(False, f"/health: HTTP {answer.status} without etcd's JSON")
    said = reply if isinstance(reply, dict) else {}
    if answer.status == 200 and str(said.get("health")).lower() == "true":
        return Verdict(True, None)
    reason = printable(str(said.get("reason") or ""))[:200]
    return Verdict(False, f"it says of itself that it is not healthy{f' ({reason})' if reason else ''}")


def read_metrics(client: HttpClient, endpoint: Endpoint) -> Metrics:
    """The samples that the other APIs do not tell. Never raises: what is not told is None."""
    try:
        answer = client.get(f"{endpoint.url}/metrics")
    except HttpFault:
        return Metrics()
    samples = {name.decode(): _number(value) for name, value in _SAMPLE.findall(answer.body)}
    leader = samples.get("etcd_server_has_leader")
    return Metrics(
        quota_bytes=samples.get("etcd_server_quota_backend_bytes"),
        db_size_bytes=samples.get("etcd_mvcc_db_total_size_in_bytes"),
        has_leader=None if leader is None else leader == 1,
    )


def _number(text: bytes) -> int | None:
    """Prometheus writes 2.147483648e+09."""
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        return None
