"""A report as plain records for machines: the form of `-f json` and `-f yaml`, described by schema.json.

Units stand in the keys; null is "unknown".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pgops.checks import Verdict
from pgops.observe.lsn import format_lsn
from pgops.observe.snapshot import Node, Snapshot
from pgops.readings import known, within
from pgops_health.checks.replication import end_of_wal, positions, primary
from pgops_health.report import Judged, Report, exit_code, worst_verdict

SCHEMA_VERSION = 1


def build_document(reports: Sequence[Report]) -> dict[str, Any]:
    """The whole document."""
    from pgops import __version__

    return {
        "schema_version": SCHEMA_VERSION,
        "pgops_version": __version__,
        "verdict": worst_verdict(reports).value,
        "exit_code": exit_code(reports),
        "clusters": [_cluster(report) for report in reports],
    }


def _cluster(report: Report) -> dict[str, Any]:
    snapshot = report.snapshot
    return {
        "name": snapshot.cluster.name,
        "scope": snapshot.cluster.scope,
        "taken_at": snapshot.taken_at.isoformat(timespec="milliseconds"),
        "verdict": report.verdict.value,
        "lock_holder": snapshot.leader,
        "members": [member_record(snapshot, node) for node in snapshot.nodes],
        "counts": {verdict.value: len(report.of(verdict)) for verdict in Verdict},
        "findings": [_finding(item) for item in report.judged],
    }


def member_record(snapshot: Snapshot, node: Node) -> dict[str, Any]:
    """One member as it was seen; what could not be seen is null."""
    rest, sql = known(node.rest), known(node.sql)
    received, replayed = positions(node)
    end = end_of_wal(node)
    reached = [value for value in (received, replayed, end) if value is not None]
    takes_writes = node.is_primary
    return {
        "name": node.name,
        "sql_address": node.sql_address,
        "takes_writes": takes_writes,
        "holds_lock": None if known(snapshot.keys) is None else node.name == snapshot.leader,
        "patroni_role": rest.role if rest else None,
        "patroni_state": rest.state if rest else None,
        "patroni_version": rest.patroni_version if rest else None,
        "replication_state": _replication_state(node),
        "timeline": sql.timeline if sql else rest.timeline if rest else None,
        "wal_position": format_lsn(max(reached)) if reached else None,
        "receive_lag_bytes": _lag(snapshot, node, received),
        "replay_lag_bytes": _lag(snapshot, node, replayed),
    }


def _replication_state(node: Node) -> str | None:
    rest, receiver = known(node.rest), known(within(node.sql, lambda sql: sql.receiver))
    return receiver.status if receiver else rest.replication_state if rest else None


def _lag(snapshot: Snapshot, node: Node, reached: int | None) -> int | None:
    """Bytes behind the primary that is measured against; null for a primary and where either end is unknown."""
    leader = primary(snapshot)
    if leader is None or node.is_primary is not False or reached is None:
        return None
    end = end_of_wal(leader)
    return None if end is None else max(0, end - reached)


def _finding(item: Judged) -> dict[str, Any]:
    finding = item.finding
    return {
        "check": item.check,
        "verdict": finding.verdict.value,
        "subject": finding.subject or None,
        "text": finding.text,
        "next_step": finding.next_step,
        "numbers": dict(finding.numbers),
    }
