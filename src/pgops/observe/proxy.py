"""What an HAProxy in front says, and where its primary port really leads.

Source: HAProxy management guide, section 9.1, the CSV of the statistics page (`;csv`).
"""

from __future__ import annotations

import csv
import io

from pgops.clients.http import HttpClient, HttpFault
from pgops.clients.sql import SqlFault, SqlSession
from pgops.config.model import ProxyConfig, SqlConfig, Timeouts
from pgops.observe.snapshot import ProxyServer, ProxyTarget, ProxyView
from pgops.readings import Known, Reading, Skipped, Unknown

_SELF = """
SELECT extract(epoch FROM pg_postmaster_start_time())::float8, pg_is_in_recovery(),
       host(inet_server_addr()) || ':' || inet_server_port()
"""


def read_servers(client: HttpClient, proxy: ProxyConfig) -> Reading[tuple[ProxyServer, ...]]:
    """The servers of every back end, from the statistics page."""
    try:
        answer = client.get(f"{proxy.stats_url.rstrip('/')}/;csv", auth=proxy.username is not None)
    except HttpFault as fault:
        return Unknown(f"HAProxy statistics: {fault}")
    if answer.status != 200:
        return Unknown(f"HAProxy statistics: HTTP {answer.status}")
    try:
        return Known(parse_servers(answer.body.decode("utf-8", "replace")))
    except (ValueError, csv.Error):
        return Unknown("HAProxy statistics: the reply is not the CSV of a statistics page")


def parse_servers(text: str) -> tuple[ProxyServer, ...]:
    """The rows of type 2 (server) of HAProxy's CSV. Raises ValueError when it is something else."""
    if not text.startswith("# pxname,"):
        raise ValueError("not HAProxy's CSV")
    table = csv.DictReader(io.StringIO(text[2:]))
    if not {"pxname", "svname", "status", "type"} <= set(table.fieldnames or ()):
        raise ValueError("columns are missing")
    servers = []
    for row in table:
        if row.get("type") == "2" and row.get("pxname") and row.get("svname"):
            address = row.get("addr") or None
            servers.append(ProxyServer(row["pxname"] or "", row["svname"] or "", address, row.get("status") or ""))
    return tuple(servers)


def read_proxy(client: HttpClient, proxy: ProxyConfig, sql: SqlConfig, timeouts: Timeouts) -> ProxyView:
    """The servers, and the PostgreSQL that answers behind the primary port."""
    servers = read_servers(client, proxy)
    if proxy.primary_port is None:
        return ProxyView(proxy.name, None, servers, Skipped("no primary port is configured"))
    try:
        session = SqlSession(proxy.address, proxy.primary_port, sql, timeouts, pooled=True)
        try:
            target = ProxyTarget(*session.rows(_SELF)[0])
        finally:
            session.close()
    except SqlFault as fault:
        silent = Unknown(f"{proxy.address}:{proxy.primary_port}: {fault}")
        reachable = False if fault.kind == "unreachable" else None
        return ProxyView(proxy.name, proxy.primary_port, servers, silent, reachable)
    return ProxyView(proxy.name, proxy.primary_port, servers, Known(target), reachable=True)
