"""Hostile names, and worlds in which everything that has a name has such a one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from pgops.config.model import ProxyConfig, ServiceConfig
from pgops.dcs import DcsHealth
from pgops.observe.facts import (
    Activity,
    Archiver,
    DataDirFiles,
    DiskUsage,
    RepositoryStatus,
    Slot,
    WalIdentity,
    WalReceiver,
    WalSender,
)
from pgops.observe.record_facts import LockRecord, PauseRecord, RunRecord
from pgops.observe.records import HoldRecord, hold_value
from pgops.observe.snapshot import Node, ProxyServer, ProxyTarget, ProxyView, Snapshot, SyncKey
from pgops.readings import Known, Unknown
from pgops.services import ServiceState
from unit.checks import worlds as w

NAMES = (
    "; touch pwned",
    "$(touch pwned)",
    "-oProxyCommand=touch pwned",
    "a\nCRITICAL faked line",
    "a\r\x0bCRITICAL\x0c\x85\u2028faked",
    "\x1b[31mred\x1b]0;title\x07\x9b2J",
    "\u202egpj.exe\u2066\u200f",
    'tab\there | \'x\'=1;;; "quoted" \\ {label="x"} \\n',
    "\ud800",
    "null",
    "",
    "x" * 10_000,
)


def named(name: str, *, broken: bool) -> Snapshot:
    """Every name is `name`; `broken` leaves only the reasons, which are `name` as well."""
    world = w.healthy()
    cluster = replace(
        world.cluster,
        name=name,
        scope=name,
        stanza=name or "x",
        services=ServiceConfig(names=(("patroni", name), ("etcd", name))),
        proxies=(ProxyConfig(name, name, name),),
    )
    nodes = tuple(_node(node, name, broken) for node in world.nodes)
    members = tuple(w.dcs_member(name, member_id=name, version=version) for version in ("1", name))
    odd = tuple(replace(member, healthy=False, fault=name) for member in members)
    server = ProxyServer(name, name, name, "no check")
    target = Known(ProxyTarget(9.0, in_recovery=broken, address=name))
    view = ProxyView(name, 5000, Unknown(name) if broken else Known((server,)), target, reachable=True)
    keys = w.keys(
        leader=name,
        initialize=name,
        failover={"leader": name, "member": name, "scheduled_at": name},
        sync=SyncKey(name, (name,)),
        pause_record=PauseRecord(name, name, w.NOW, w.NOW),
        config={"pause": True, "synchronous_mode": True, name: name},
        faults=(name,),
        records_fault=name if broken else None,
        run_record=_run(name),
        locks=(LockRecord(name, None if broken else name, name, name, 7, name, w.NOW),),
        unread_records={name: name, "run": name, f"lock/{name}": name} if name == NAMES[0] else {},
    )
    return replace(
        world,
        cluster=cluster,
        nodes=nodes,
        keys=Known(keys),
        dcs=Known(DcsHealth(name, odd if broken else members, Known(((name, name), ("?", "NOSPACE"))))),
        proxies=(view,),
        repository=Known(WalIdentity({name: name}, {name: name})),
        warnings=(name,),
    )


def _run(name: str) -> RunRecord:
    """An id is checked when it is read; everything else is anybody's text."""
    state: Literal["running", "stopped"] = "running" if len(name) % 2 else "stopped"
    return RunRecord("1-a", name, name, name, name, 7, w.NOW, state, name, 2, 3, name, name, 9, name)


def _services(name: str) -> tuple[ServiceState, ...]:
    return (
        ServiceState(name, name, False, name),
        ServiceState("stock", name, True, name),
        ServiceState("held", name, True, name, held=True, hold_text=hold_value(HoldRecord(name, name, w.NOW))),
        ServiceState("held", name, True, name, held=True, hold_text=name),
    )


def _node(node: Node, name: str, broken: bool) -> Node:
    leader = node.name == "n1"
    wrong = {
        "slots": Known((Slot(name, name, False, "lost", None), Slot(name, name, True, name, 2**62))),
        "senders": Known((WalSender(name, name, name, "sync", 1, 1, 1, None),)),
        "receiver": Known(None if leader else WalReceiver(name if broken else "streaming", 2, None, name)),
        "archiver": Known(Archiver(9, name, None, 3, name, w.NOW, Unknown(name))),
        "activity": Known(Activity(9e9, name, 3, 9e9)),
        "settings": Known(
            {
                "archive_mode": w.setting("off", f"/{name}"),
                "archive_command": w.setting(name),
                "synchronous_standby_names": w.setting(name),
            }
        ),
        "system_identifier": name,
    }
    rest = w.rest_status(
        leader=leader,
        state=name if broken else "running",
        scope=name,
        patroni_version=name,
        pending_restart=True,
        pending_restart_reasons=((name, name, name),),
        tags={name: name},
        replication_state=name,
        senders=((name, name),),
    )
    stanza = w.stanza(
        w.backup(label=name, error=True),
        w.backup(label=name, error=broken, kind=name),
        code=99,
        message=name,
        repositories=(RepositoryStatus(1, 99, name),),
        archive_max=name,
        archive_id=name,
    )
    changes: dict[str, Any] = {
        "name": name if leader else f"{node.name}{name}",
        "sql_address": name,
        "rest_url": name,
        "rest": Known(rest),
        "sql": Known(w.sql_facts(leader=leader, **wrong)),
        "files": Known(DataDirFiles(frozenset({f"{name}.signal", "recovery.signal"}), 999, (name,), (name,))),
        "disks": Known((DiskUsage(name, (name,), 1, 1, 99.0, None),)),
        "services": Known(_services(name)),
        "stanza": Known(stanza),
        "identity": Known(WalIdentity({name: node.name}, {name: node.name})),
    }
    if broken and not leader:
        changes |= dict.fromkeys(("sql", "files", "disks", "services", "stanza", "identity"), Unknown(name))
    return replace(node, **changes)
