"""The real cluster: looks through `observe`, acts over REST, SQL, the DCS and the hosts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

from pgops.clients.http import HttpClient, HttpFault
from pgops.config.model import ClusterConfig, HostConfig
from pgops.dcs import Dcs, Put
from pgops.engine.evidence import keys_file
from pgops.engine.key_changes import change_keys
from pgops.engine.lock import Lock
from pgops.engine.on_hosts import carry, perform_on_host
from pgops.engine.stopping import Clock
from pgops.engine.world import ActionFault
from pgops.hosts.factory import open_host
from pgops.hosts.host import Host
from pgops.observe.gather import observe
from pgops.observe.snapshot import Node, Snapshot, View
from pgops.plan.actions import Action, CallRest, CarryFolder, ChangeKeys, RunSql, SaveKeys
from pgops.readings import Known, Unknown
from pgops.render.text import printable


class RealEyes:
    """Looks, and can do nothing else: what a dry run is given."""

    def __init__(self, cluster: ClusterConfig, dcs: Dcs, warnings: tuple[str, ...] = ()) -> None:
        self.cluster = cluster
        self._warnings = warnings
        self._dcs = dcs
        self._silent: frozenset[str] = frozenset()

    def observe(self, views: frozenset[View], hosts: frozenset[str] | None) -> Snapshot:
        """See `pgops.engine.world.World`."""
        seen = observe(self.cluster, views, self._warnings, dcs=self._dcs, hosts=hosts, silent=self._silent)
        if View.REST in views:
            # A member that was given its full time once, and let it pass, must not cost it at every look.
            self._silent = frozenset(node.name for node in seen.nodes if isinstance(node.rest, Unknown))
        return seen

    def close(self) -> None:
        """Close the connections."""
        self._dcs.close()


class RealWorld(RealEyes):
    """Acts as well. One connection to the DCS and one to each host serve the whole run; closing it closes the DCS."""

    def __init__(self, cluster: ClusterConfig, dcs: Dcs, warnings: tuple[str, ...] = ()) -> None:
        super().__init__(cluster, dcs, warnings)
        self._hosts: dict[str, Host] = {}
        self.clock = Clock()

    @property
    def dcs(self) -> Dcs:
        """The DCS, for locks and records."""
        return self._dcs

    def perform(self, action: Action, lock: Lock, now: Snapshot, tied: Sequence[Put] = ()) -> None:
        """See `pgops.engine.world.World`."""
        if isinstance(action, ChangeKeys):
            change_keys(action, lock, tied)
        elif isinstance(action, CallRest):
            self._call_rest(action, now)
        elif isinstance(action, RunSql):
            self._run_sql(action, now)
        elif isinstance(action, CarryFolder):
            source, config = self._host(self._host_config(action.source)), self._host_config(action.host)
            carry(action, source, self._host(config), config, self.cluster, lock.token)
        else:
            config = self._host_config(action.host)
            if isinstance(action, SaveKeys):
                action = keys_file(action, self.cluster.prefix, self._dcs)
            perform_on_host(action, self._host(config), config, self.cluster, lock.token)

    def close(self) -> None:
        """Close the connections."""
        for host in self._hosts.values():
            host.close()
        super().close()

    def _call_rest(self, action: CallRest, now: Snapshot) -> None:
        """Ask the member, or the first live one; another one only where it is certain that the first got nothing."""
        import json

        nodes = [node for node in _rest_order(now) if action.member in (None, node.name)]
        if not nodes:
            raise ActionFault("no member's REST API is known to answer", happened=False)
        timeouts = self.cluster.timeouts
        config = self.cluster.rest
        client = HttpClient(
            config.tls, config.username, config.password, connect_s=timeouts.connect_s, answer_s=action.timeout_s
        )
        body = None if action.body is None else json.dumps(action.body).encode()
        faults = []
        try:
            for node in nodes:
                url = f"{node.rest_url}{action.path}"
                try:
                    answer = client.send(action.method, url, body=body, auth=True)
                except HttpFault as fault:
                    faults.append(f"{node.name}: {fault}")
                    if fault.sent:
                        raise ActionFault(f"{action.method} {url}: {fault}") from None
                    continue
                if answer.status in action.accepts:
                    return
                _refuse_status(action, node, answer.status, answer.body)
        finally:
            client.close()
        raise ActionFault("; ".join(faults), happened=False)

    def _run_sql(self, action: RunSql, now: Snapshot) -> None:
        from pgops.clients.sql import SqlFault, SqlSession

        node = now.node(action.member)
        if node is None or node.sql_address is None:
            raise ActionFault(f"the address of {action.member}'s PostgreSQL is not known", happened=False)
        host, _, port = node.sql_address.rpartition(":")
        timeouts = replace(self.cluster.timeouts, answer_s=action.timeout_s)
        try:
            session = SqlSession(host, int(port), self.cluster.sql, timeouts, writes=True)
        except SqlFault as fault:
            raise ActionFault(f"SQL on {action.member}: {fault}", happened=False) from None
        try:
            session.execute(action.statement, action.parameters)
        except SqlFault as fault:
            sure = None if fault.kind == "unreachable" else False
            raise ActionFault(f"SQL on {action.member}: {fault}", happened=sure) from None
        finally:
            session.close()

    def _host(self, config: HostConfig) -> Host:
        if config.name not in self._hosts:
            self._hosts[config.name] = open_host(config, self.cluster.timeouts)
        return self._hosts[config.name]

    def _host_config(self, name: str) -> HostConfig:
        config = next((host for host in self.cluster.hosts if host.name == name), None)
        if config is None:
            raise ActionFault(f"no host {name} is configured", happened=False)
        return config


def _rest_order(now: Snapshot) -> list[Node]:
    """The members whose REST API answered a moment ago, the leader first."""
    live = [node for node in now.nodes if isinstance(node.rest, Known) and node.rest_url]
    return sorted(live, key=lambda node: (node.name != now.leader, node.name))


def _refuse_status(action: CallRest, node: Node, status: int, body: bytes) -> NoReturn:
    said = printable(body.decode("utf-8", "replace").strip())[:200]
    what = f"{action.method} {action.path} on {node.name}: HTTP {status}{f' ({said})' if said else ''}"
    if status in (401, 403):
        what += "; set rest.username and rest.password, and see restapi.allowlist of Patroni"
    # Patroni's own refusals come before it does anything; after a 5xx only a look can tell.
    raise ActionFault(what, happened=False if 400 <= status < 500 else None, answered=True)
