"""Makes the snapshot: all probes of all members at once, each with its timeout."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial

from pgops.config.model import ClusterConfig, HostConfig
from pgops.dcs import Dcs, DcsFault, DcsHealth, DcsKey
from pgops.dcs.forked import START_S
from pgops.dcs.forked_child import Loading
from pgops.errors import PgopsError
from pgops.hosts.host import Host
from pgops.observe.archive import read_archives
from pgops.observe.archived_timelines import read_archived_timelines
from pgops.observe.contested import read_barring
from pgops.observe.deep import read_deep
from pgops.observe.expiry import read_expiries
from pgops.observe.keys import parse_keys, record_prefix
from pgops.observe.parallel import Late, Running, Task, start
from pgops.observe.proxy import read_proxy
from pgops.observe.same_timeline import read_same_timeline
from pgops.observe.snapshot import NOT_ASKED, DcsKeys, Member, ProxyView, Snapshot, View
from pgops.plugins import find_driver
from pgops.readings import Known, Reading, Unknown

_ON_HOSTS = frozenset(
    {View.HOST, View.SERVICES, View.BACKUP, View.JOBS, View.SCHEDULE, View.BRANCH, View.COPIES, View.GUARD}
)


def observe(
    cluster: ClusterConfig,
    views: frozenset[View],
    warnings: tuple[str, ...] = (),
    *,
    dcs: Dcs | None = None,
    hosts: frozenset[str] | None = None,
    silent: frozenset[str] = frozenset(),
) -> Snapshot:
    """Read these views of the cluster. Never raises for what could not be read: that is unknown, with its reason.

    `dcs` is a connection that is open already; without one a process of its own asks. `hosts` names the hosts to log in
    to for the views that need it; None: every one. `silent` names members whose REST API gave no answer in time before:
    they are asked again, but not waited for as long.
    """
    taken_at = datetime.now(timezone.utc)
    started = time.monotonic()
    timeouts = cluster.timeouts
    network_deadline = started + timeouts.connect_s + timeouts.answer_s
    health_wanted = View.DCS in views
    dcs_task: Running[tuple[Reading[DcsKeys], Reading[DcsHealth]]]
    if dcs is None:
        dcs_task = start(partial(_read_dcs, cluster, health=health_wanted))
    else:
        dcs_task = Task(partial(_read_open_dcs, cluster, dcs, health=health_wanted))
    from pgops.clients.http import HttpClient  # after the fork: the child has no use for it
    from pgops.observe.member import MemberProbe

    client = HttpClient(
        cluster.rest.tls,
        cluster.rest.username,
        cluster.rest.password,
        connect_s=timeouts.connect_s,
        answer_s=timeouts.answer_s,
    )
    probes = {
        host.name: MemberProbe(
            cluster,
            host,
            views if hosts is None or host.name in hosts else views - _ON_HOSTS,
            client,
            silent=host.name in silent,
        )
        for host in cluster.hosts
    }
    for probe in probes.values():
        probe.start_host()
        probe.start_network(None)
    proxies = [Task(_proxy_reader(cluster, index)) for index in range(len(cluster.proxies)) if View.PROXY in views]

    try:
        # A driver bounds its calls itself; on a machine that starves, loading its libraries before takes long.
        keys, health = dcs_task.result(network_deadline + START_S)
    except Late:
        keys = health = Unknown("the DCS gave no answer in time")
    except Exception as error:  # a driver may be a stranger's
        keys = health = Unknown(f"a bug in the driver for {cluster.dcs.kind.value}: {error}")
    for member in keys.value.members if isinstance(keys, Known) else ():
        if member.name not in probes:
            probes[member.name] = MemberProbe(
                cluster, _unconfigured(member), views, client, configured=False, silent=member.name in silent
            )
        probes[member.name].start_network(member)
    for probe in probes.values():
        probe.start_by_host()
    # Members whose address only the DCS knows are asked after it: they get their own time.
    network_deadline = max(network_deadline, time.monotonic() + timeouts.connect_s + timeouts.answer_s)
    for probe in probes.values():
        probe.finish_network(network_deadline)
    for probe in probes.values():
        probe.read_flush_again(network_deadline)
    command_deadline = max(network_deadline, started + timeouts.command_s + timeouts.connect_s)
    nodes = tuple(probe.finish_host(command_deadline) for _, probe in sorted(probes.items()))
    views_read = _collect_views(proxies, cluster, network_deadline)
    snapshot = Snapshot(cluster, taken_at, views, nodes, keys, health, views_read, warnings=warnings)
    snapshot = _read_further(snapshot, {name: probe.host for name, probe in probes.items() if probe.host is not None})
    for probe in probes.values():
        probe.close()
    client.close()
    return snapshot


def _read_further(snapshot: Snapshot, hosts: Mapping[str, Host]) -> Snapshot:
    """What is read only once it is known what the members said."""
    if View.ARCHIVE in snapshot.views:
        snapshot = read_archives(snapshot, hosts)
    if View.EXPIRY in snapshot.views:
        snapshot = read_expiries(snapshot, hosts)
    if View.TIMELINES in snapshot.views:
        snapshot = read_archived_timelines(snapshot, hosts)
    if View.SAME_TIMELINE in snapshot.views:
        snapshot = read_barring(read_same_timeline(snapshot, hosts), hosts)
    return read_deep(snapshot, hosts) if View.DEEP in snapshot.views else snapshot


def _read_dcs(cluster: ClusterConfig, *, health: bool) -> tuple[Reading[DcsKeys], Reading[DcsHealth]]:
    """Patroni's keys, and the state of the DCS itself, at the same time."""
    try:
        driver = find_driver(cluster.dcs.kind.value, "dcs_drivers")
    except PgopsError as fault:
        return Unknown(str(fault)), Unknown(str(fault))
    dcs: Dcs = driver(cluster.dcs, timeout_s=cluster.timeouts.answer_s)  # type: ignore[operator] # a plugin's class
    if isinstance(dcs, Loading):
        dcs.load()
    return _read_open_dcs(cluster, dcs, health=health)


def _read_open_dcs(cluster: ClusterConfig, dcs: Dcs, *, health: bool) -> tuple[Reading[DcsKeys], Reading[DcsHealth]]:
    state = Task(partial(_read_dcs_health, dcs)) if health else None
    try:
        entries = dcs.read_prefix(cluster.prefix)
        keys: Reading[DcsKeys] = Known(_with_records(cluster, dcs, entries))
    except DcsFault as fault:
        keys = Unknown(str(fault))
    try:
        limit_s = cluster.timeouts.connect_s + cluster.timeouts.answer_s
        return keys, state.result(time.monotonic() + limit_s) if state else NOT_ASKED
    except Late:
        return keys, Unknown("the DCS's members gave no answer in time")


def _with_records(cluster: ClusterConfig, dcs: Dcs, entries: dict[str, DcsKey]) -> DcsKeys:
    """Patroni's keys beside pgops's own records, which a role may not be allowed to read."""
    try:
        return parse_keys(cluster.prefix, entries, dcs.read_prefix(record_prefix(cluster.prefix)))
    except DcsFault as fault:
        return replace(parse_keys(cluster.prefix, entries, {}), records_fault=str(fault))


def _read_dcs_health(dcs: Dcs) -> Reading[DcsHealth]:
    try:
        return Known(dcs.health())
    except DcsFault as fault:
        return Unknown(str(fault))


def _proxy_reader(cluster: ClusterConfig, index: int) -> Callable[[], ProxyView]:
    from pgops.clients.http import HttpClient

    proxy = cluster.proxies[index]

    def read() -> ProxyView:
        timeouts = cluster.timeouts
        client = HttpClient(
            cluster.rest.tls, proxy.username, proxy.password, connect_s=timeouts.connect_s, answer_s=timeouts.answer_s
        )
        try:
            return read_proxy(client, proxy, cluster.sql, timeouts)
        finally:
            client.close()

    return read


def _collect_views(tasks: list[Task[ProxyView]], cluster: ClusterConfig, deadline: float) -> tuple[ProxyView, ...]:
    found = []
    for proxy, task in zip(cluster.proxies, tasks, strict=False):  # no tasks at all where proxies were not asked for
        try:
            found.append(task.result(deadline))
        except Exception as error:  # one proxy must not hide what the others saw
            silent = Unknown("no answer in time" if isinstance(error, Late) else f"a bug in this probe: {error}")
            found.append(ProxyView(proxy.name, proxy.primary_port, silent, silent))
    return tuple(found)


def _unconfigured(member: Member) -> HostConfig:
    """A member that only the DCS names: it can be asked over the network, but not on its host."""
    return replace(HostConfig(member.name), become=None)
