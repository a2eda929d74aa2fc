"""The machines: leftover signal files, disks, services, clocks, and where the load balancer really leads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pgops.checks import Check, Finding, critical, ok, skipped, unknown, unread, warning
from pgops.clients.json_text import parse_json
from pgops.observe.facts import DiskUsage
from pgops.observe.fields import ShapeFault
from pgops.observe.records import parse_hold
from pgops.observe.snapshot import Node, ProxyTarget, ProxyView, Snapshot, View
from pgops.readings import known, reason
from pgops.render.units import format_bytes, format_duration
from pgops.services import ServiceState
from pgops_health.checks.commands import read_log


def find_signals(snapshot: Snapshot) -> Iterator[Finding]:
    """No signal file lies in wait for the next restart. Source: PostgreSQL docs, runtime-config-wal, recovery.signal."""
    for node in snapshot.nodes:
        files = known(node.files)
        if files is None:
            yield unread("its data directory could not be listed", node.files, node.name)
        elif node.is_primary and files.signals:
            yield critical(
                f"{' and '.join(files.signals)} lies in a primary's data directory: its next restart goes into recovery "
                "and changes the timeline",
                node.name,
                next_step="find out who left it, then remove it before anything restarts that server",
            )
        elif "recovery.signal" in files.names:
            yield warning(
                "recovery.signal lies beside a replica's data: it may end recovery and promote itself at its next restart",
                node.name,
                next_step="find out who left it, then remove it; a replica has standby.signal alone",
            )
        else:
            yield ok("no leftover signal file", node.name)


def find_disks(snapshot: Snapshot) -> Iterator[Finding]:
    """The file systems of data, WAL and tablespaces have room, in bytes and in inodes."""
    for node in snapshot.nodes:
        disks = known(node.disks)
        if disks is None:
            yield unread("its disks could not be read", node.disks, node.name)
            continue
        for disk in disks:
            yield _judge(snapshot, node, disk)


def _judge(snapshot: Snapshot, node: Node, disk: DiskUsage) -> Finding:
    limits = snapshot.cluster.thresholds
    inodes = disk.inodes_used_percent
    worst = max(disk.used_percent, inodes or 0.0)
    text = f"{disk.mount}: {disk.used_percent:.0f} % used, {format_bytes(disk.free_bytes)} free"
    if inodes is not None and inodes > disk.used_percent:
        text += f", {inodes:.0f} % of inodes used"
    numbers: dict[str, Any] = {
        "mount": disk.mount,
        "used_percent": disk.used_percent,
        "free_bytes": disk.free_bytes,
        "inodes_used_percent": inodes,
    }
    step = f"what grows under {disk.paths[0]}? pgops health --check archiving --check slots; never delete in pg_wal by hand"
    if worst >= limits.disk_critical_percent:
        return critical(f"{text} (limit {limits.disk_critical_percent:.0f} %)", node.name, next_step=step, **numbers)
    if worst >= limits.disk_warning_percent:
        return warning(f"{text} (limit {limits.disk_warning_percent:.0f} %)", node.name, next_step=step, **numbers)
    return ok(text, node.name, **numbers)


def find_services(snapshot: Snapshot) -> Iterator[Finding]:
    """The services of each member run, start at boot, and are not held."""
    for node in snapshot.nodes:
        services = known(node.services)
        if services is None:
            yield unread("its services could not be read", node.services, node.name)
            continue
        well = []
        for service in services:
            if service.held:
                yield _held(snapshot, node, service)
            elif service.role == "stock":
                if service.running or service.enabled:
                    yield warning(
                        f"{service.unit} of the distribution is {'running' if service.running else 'enabled'}: at the next "
                        "boot it may take Patroni's data directory or port",
                        node.name,
                        next_step=f"systemctl disable --now {service.unit}, once you are sure that it is not Patroni's",
                    )
            elif not service.running:
                yield critical(
                    f"{service.unit} is {service.state}",
                    node.name,
                    next_step=read_log(snapshot, service.role, node.name),
                )
            elif service.enabled is False:
                yield warning(
                    f"{service.unit} runs but does not start at boot",
                    node.name,
                    next_step=f"systemctl enable {service.unit}",
                )
            else:
                well.append(service.unit)
        if well:
            yield ok(f"{', '.join(well)} run{'s' if len(well) == 1 else ''}", node.name)


def _held(snapshot: Snapshot, node: Node, service: ServiceState) -> Finding:
    """Who holds a service and why, as far as the hold file tells."""
    text, step = f"{service.unit} is held, so a start is refused", f"pgops node release {node.name}"
    step += f" --cluster {snapshot.cluster.name}, when the work is done"
    if service.hold_text is None:
        return warning(f"{text}; by whom and why could not be read", node.name, next_step=step)
    try:
        record = parse_hold(parse_json(service.hold_text.encode()))
    except (ShapeFault, ValueError) as fault:
        why = str(fault) if isinstance(fault, ShapeFault) else "its hold file is not JSON"
        return warning(f"{text}; by whom and why is not known ({why})", node.name, next_step=step)
    age_s = (snapshot.taken_at - record.since).total_seconds()
    text += f", for {format_duration(age_s)} by {record.owner or 'unknown'}"
    text += f": {record.reason}" if record.reason else ""
    return warning(text, node.name, next_step=step, held_s=round(age_s, 1))


def find_clocks(snapshot: Snapshot) -> Iterator[Finding]:
    """The servers' clocks agree with each other; what they are against ours matters for times given to a restore."""
    limit_s = snapshot.cluster.thresholds.clock_skew_warning_s
    skews = {node.name: sql.clock_skew_s for node in snapshot.nodes if (sql := known(node.sql))}
    if not skews:
        yield unknown("no server told its time")
        return
    spread_s = max(skews.values()) - min(skews.values())
    worst = max(skews, key=lambda name: abs(skews[name]))
    if spread_s >= limit_s:
        each = ", ".join(f"{name} {skew:+.1f} s" for name, skew in skews.items())
        yield warning(
            f"clocks differ by {spread_s:.1f} s (limit {limit_s:.1f} s; against this machine: {each})",
            next_step="chronyc tracking, or timedatectl, on each host",
            clock_spread_s=round(spread_s, 3),
        )
    elif abs(skews[worst]) >= limit_s:
        text = f"this machine's clock is {format_duration(abs(skews[worst]))} away from the servers' (limit {limit_s:.1f} s)"
        yield warning(text, next_step="chronyc tracking here", clock_skew_s=round(skews[worst], 3))
    else:
        yield ok(f"clocks agree within {max(spread_s, abs(skews[worst])):.1f} s", clock_spread_s=round(spread_s, 3))


def find_proxy(snapshot: Snapshot) -> Iterator[Finding]:
    """Each HAProxy sends writes to the lock holder and to nobody else."""
    if not snapshot.proxies:
        yield skipped("no proxy is configured")
    for proxy in snapshot.proxies:
        yield _behind(snapshot, proxy)
        servers = known(proxy.servers)
        if servers is None:
            yield unknown(reason(proxy.servers), proxy.name, next_step="check stats_url and its password in pgops.yml")
            continue
        unchecked = sorted({f"{s.backend}/{s.name}" for s in servers if s.status == "no check"})
        if unchecked:
            yield warning(
                f"{', '.join(unchecked)} {'is' if len(unchecked) == 1 else 'are'} not checked: "
                "traffic stays there whatever happens",
                proxy.name,
                next_step="option httpchk against Patroni's REST API, with check on every server",
            )


def _behind(snapshot: Snapshot, proxy: ProxyView) -> Finding:
    target = known(proxy.target)
    if target is None:
        if proxy.reachable is False:
            step = "is any server of the primary back end up? Its statistics page says why not"
            return critical(
                f"nobody answers behind its primary port ({reason(proxy.target)})", proxy.name, next_step=step
            )
        return unread("which server answers behind its primary port could not be asked", proxy.target, proxy.name)
    return _leads_to(snapshot, proxy, target)


def _leads_to(snapshot: Snapshot, proxy: ProxyView, target: ProxyTarget) -> Finding:
    answering = next((node for node in snapshot.nodes if _is(target, node)), None)
    who = answering.name if answering else target.address or "a server that is no known member"
    where = f"port {proxy.primary_port} leads to {who}"
    if target.in_recovery:
        step = "reload HAProxy with checks against GET /primary; clients' writes fail meanwhile"
        return critical(f"{where}, a replica", proxy.name, next_step=step)
    if snapshot.leader is None:
        return unknown(f"{where}; the lock holder is not known", proxy.name, because=reason(snapshot.keys) or None)
    holder = snapshot.node(snapshot.leader)
    if answering is None and holder is not None and known(holder.sql) is None:
        return unread(f"{where}; whether that is the lock holder {holder.name} is not known", holder.sql, proxy.name)
    if answering is None or answering.name != snapshot.leader:
        return critical(
            f"{where}, but {snapshot.leader} holds the lock: writes go elsewhere",
            proxy.name,
            next_step="take that server out of the back end now; then compare: pgops health --check primary",
        )
    return ok(f"{where}, the lock holder", proxy.name)


def _is(target: ProxyTarget, node: Node) -> bool:
    """Whether this member is the server behind the proxy."""
    sql = known(node.sql)
    return sql is not None and sql.started_at_s == target.started_at_s


_HOST = frozenset({View.HOST, View.SQL, View.REST})

CHECKS = (
    Check("signal-files", "no signal file waits for the next restart", _HOST, find_signals),
    Check("disk", "data, WAL and tablespaces have room", frozenset({View.HOST, View.SQL}), find_disks),
    Check("services", "services run, start at boot and are not held", frozenset({View.SERVICES}), find_services),
    Check("clock", "clocks agree", frozenset({View.SQL}), find_clocks),
    Check(
        "proxy", "the proxy sends writes to the lock holder", frozenset({View.PROXY, View.SQL, View.DCS}), find_proxy
    ),
)
