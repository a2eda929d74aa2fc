"""Looks on the members' hosts for `pgops backup check`: what each keeps, and a WAL segment really pushed."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from pgops.config.model import ClusterConfig, HostConfig
from pgops.hosts.factory import open_host
from pgops.hosts.host import Host, HostFault
from pgops.observe.parallel import Late, Task
from pgops.observe.snapshot import Snapshot
from pgops.pgbackrest.commands import Stanza, check_argv
from pgops.pgbackrest.runner import PgbackrestFault, run_pgbackrest
from pgops.readings import Known, Reading, Unknown, reason
from pgops_backup.archiving import LEFT_OUT, Push, choose_pusher, parse_landed
from pgops_backup.retention import Rules, read_rules

T = TypeVar("T")

_SPARE_S = 20.0
"""What `pgbackrest check` may take beside its wait for the segment: it asks PostgreSQL first, up to its db-timeout."""


def look(snapshot: Snapshot, *, push: bool, wait_s: int) -> tuple[Reading[Push], dict[str, Reading[Rules]]]:
    """What a push came to (waiting so long for the segment), and what each member's configuration keeps, all at once."""
    cluster = snapshot.cluster
    assert cluster.stanza is not None  # noqa: S101 - the caller has looked
    timeout_s = cluster.timeouts.command_s
    rules = {
        host.name: Task(partial(_on_host, cluster, host, partial(read_rules, timeout_s=timeout_s)))
        for host in cluster.hosts
    }
    pushed: Reading[Push] = LEFT_OUT
    pusher = choose_pusher(snapshot) if push else None
    limit_s = wait_s + _SPARE_S
    if isinstance(pusher, Known):
        config = next(host for host in cluster.hosts if host.name == pusher.value)
        pushed = _on_host(cluster, config, partial(_try_push, wait_s=wait_s, timeout_s=limit_s))
    elif pusher is not None:
        pushed = Unknown(reason(pusher))
    deadline = time.monotonic() + timeout_s + cluster.timeouts.connect_s
    return pushed, {name: _result(task, deadline) for name, task in rules.items()}


def _on_host(cluster: ClusterConfig, config: HostConfig, work: Callable[[Host, Stanza], Reading[T]]) -> Reading[T]:
    host = open_host(config, cluster.timeouts)
    try:
        return work(host, Stanza(cluster.stanza or "", config.pgbackrest_config))
    finally:
        host.close()


def _try_push(host: Host, stanza: Stanza, *, wait_s: int, timeout_s: float) -> Reading[Push]:
    began = time.monotonic()
    try:
        told = run_pgbackrest(host, check_argv(stanza, archive_timeout_s=wait_s), timeout_s=timeout_s).stdout
    except PgbackrestFault as fault:
        return Known(Push(host.name, time.monotonic() - began, fault=str(fault), next_step=fault.next_step))
    except HostFault as fault:
        return Unknown(str(fault))
    return Known(Push(host.name, time.monotonic() - began, parse_landed(told)))


def _result(task: Task[Reading[Rules]], deadline: float) -> Reading[Rules]:
    try:
        return task.result(deadline)
    except Late:
        return Unknown("no answer in time")
