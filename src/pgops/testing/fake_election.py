"""Who of a fake cluster may lead by the keys `status` and `sync`, and what a leader writes there.

Sources: Patroni, patroni/ha.py (is_lagging, is_healthiest_node; process_sync_replication_prepromote: a new leader names
itself alone first), patroni/dcs/__init__.py (Status, SyncState).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pgops.testing.fake_member import MIB, FakeMember

MAXIMUM_LAG_BYTES = MIB
"""Patroni's own default of `maximum_lag_on_failover`. Source: Patroni docs, dynamic_configuration.rst."""


def status_value(leader: FakeMember) -> str:
    """What a leader tells of its WAL at each turn."""
    return json.dumps({"optime": leader.position_bytes})


def sync_value(leader: FakeMember, members: Iterable[FakeMember], before: str | None) -> str | None:
    """What a leader says in synchronous mode: itself alone at first, then the one that confirms commits.

    None: it says nothing new. A standby that goes on streaming stays the one.
    """
    said = json.loads(before) if before else {}
    if said.get("leader") != leader.name:
        return json.dumps({"leader": leader.name, "sync_standby": None})
    streaming = [
        member.name
        for member in members
        if member.in_recovery
        and not member.own_branch
        and member.turns
        and member.postgres == "running"
        and member.timeline == leader.timeline
    ]
    standby = said.get("sync_standby")
    wanted = standby if standby in streaming else min(streaming, default=None)
    return None if wanted == standby else json.dumps({"leader": leader.name, "sync_standby": wanted})


def may_be_promoted(member: FakeMember, config: Mapping[str, Any], status: str | None, sync: str | None) -> bool:
    """Whether it is not too far behind the last leader and, in synchronous mode, has every commit that was confirmed."""
    led_to = json.loads(status)["optime"] if status else 0
    if led_to - member.position_bytes > config.get("maximum_lag_on_failover", MAXIMUM_LAG_BYTES):
        return False
    said = json.loads(sync) if sync and config.get("synchronous_mode") else {}
    return not said.get("leader") or member.name in (said["leader"], said["sync_standby"])
