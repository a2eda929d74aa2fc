"""Patroni's REST API of one member, asked itself. Only GET; none of it needs a password.

Source: Patroni docs, rest_api.rst. A health endpoint answers with its full JSON body and 503 where it says no, so only
the status code of /primary and /liveness is a verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pgops.clients.http import HttpClient, HttpFault, parse_json
from pgops.observe.facts import RestStatus
from pgops.observe.fields import ShapeFault, as_list, as_mapping, flag, integer, position, text
from pgops.readings import Known, Reading, Unknown


def parse_status(reply: object) -> RestStatus:
    """The JSON of GET /patroni. Raises `ShapeFault`."""
    top = as_mapping(reply, "the reply of /patroni")
    if "state" not in top and "role" not in top:
        raise ShapeFault("the reply of /patroni has neither state nor role; is this Patroni's REST API?")
    xlog = as_mapping(top.get("xlog") or {}, "xlog")
    patroni = as_mapping(top.get("patroni") or {}, "patroni")
    role = text(top, "role")
    reasons = as_mapping(top.get("pending_restart_reason") or {}, "pending_restart_reason")
    return RestStatus(
        state=text(top, "state"),
        role="primary" if role == "master" else role,
        timeline=integer(top, "timeline"),
        server_version=integer(top, "server_version"),
        location_bytes=position(xlog, "location"),
        received_bytes=position(xlog, "received_location"),
        replayed_bytes=position(xlog, "replayed_location"),
        replay_paused=flag(xlog, "paused"),
        replication_state=text(top, "replication_state"),
        dcs_last_seen_s=integer(top, "dcs_last_seen"),
        cluster_unlocked=flag(top, "cluster_unlocked"),
        failsafe_active=flag(top, "failsafe_mode_is_active"),
        pause=flag(top, "pause"),
        pending_restart=flag(top, "pending_restart"),
        pending_restart_reasons=tuple(
            (name, str(change.get("old_value")), str(change.get("new_value")))
            for name, change in reasons.items()
            if isinstance(change, dict)
        ),
        watchdog_failed=flag(top, "watchdog_failed"),
        system_identifier=text(top, "database_system_identifier"),
        patroni_version=text(patroni, "version"),
        scope=text(patroni, "scope"),
        tags=as_mapping(top.get("tags") or {}, "tags"),
        senders=_senders(top),
    )


def _senders(top: Mapping[str, Any]) -> tuple[tuple[str, str], ...] | None:
    """The member's `replication`; a primary without WAL senders leaves the key out, which is an empty list."""
    if top.get("role") not in ("primary", "master", "standby_leader"):
        return None
    rows = [as_mapping(row, "replication") for row in as_list(top.get("replication"), "replication")]
    return tuple((text(row, "application_name") or "", text(row, "state") or "") for row in rows)


def read_status(client: HttpClient, base_url: str, answer_s: float | None = None) -> Reading[RestStatus]:
    """GET /patroni of the member at `base_url`, within `answer_s` seconds; None: within the client's own limit."""
    try:
        answer = client.get(f"{base_url}/patroni", answer_s=answer_s)
    except HttpFault as fault:
        return Unknown(f"REST API: {fault}")
    try:
        return Known(parse_status(parse_json(answer.body)))
    except (ShapeFault, ValueError) as fault:
        status = "" if answer.status == 200 else f"HTTP {answer.status}, "
        return Unknown(f"REST API: {status}{fault}")


def read_code(client: HttpClient, base_url: str, endpoint: str, answer_s: float | None = None) -> Reading[int]:
    """The HTTP status of GET /`endpoint`; `answer_s` as for `read_status`."""
    try:
        return Known(client.get(f"{base_url}/{endpoint}", answer_s=answer_s).status)
    except HttpFault as fault:
        return Unknown(f"REST API: {fault}")
