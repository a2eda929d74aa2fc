"""All probes of one member. Network probes start when its address is known, host probes when its host is configured."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from pgops.clients.http import HttpClient
from pgops.clients.sql import SqlFault, SqlSession
from pgops.config.model import ClusterConfig, HostConfig
from pgops.errors import PgopsError
from pgops.hosts.factory import open_host
from pgops.hosts.host import Host, HostFault
from pgops.observe.branches import read_branch
from pgops.observe.copies import read_copies
from pgops.observe.facts import SqlFacts
from pgops.observe.guards import read_guard
from pgops.observe.host import read_control, read_disks, read_files
from pgops.observe.jobs import read_jobs
from pgops.observe.parallel import Late, Task
from pgops.observe.rest import read_code, read_status
from pgops.observe.salvages import read_salvages
from pgops.observe.schedules import read_schedules, schedule_paths
from pgops.observe.snapshot import NOT_ASKED, Member, Node, View
from pgops.observe.sql import read_flush_position, read_sql
from pgops.observe.stanza import read_stanza
from pgops.pgbackrest.commands import Stanza
from pgops.plugins import find_driver
from pgops.readings import Known, Reading, Skipped, Unknown, known, within
from pgops.services import ServiceState

T = TypeVar("T")

REST_PORT = 8008
"""Patroni's usual port. Source: Patroni docs, yaml_configuration.rst, restapi.listen."""

SILENT_ANSWER_S = 0.4
"""How long a member that gave no answer before is waited for, in seconds: one that came back answers in a tenth of it."""

_HOST_VIEWS = {
    "stanza": View.BACKUP,
    "services": View.SERVICES,
    "jobs": View.JOBS,
    "schedules": View.SCHEDULE,
    "branch": View.BRANCH,
    "copies": View.COPIES,
    "salvages": View.SALVAGE,
    "guard": View.GUARD,
}
"""The views of probes on a host that are none of HOST's."""

NO_HOST = Skipped("no host is configured for this member")


class MemberProbe:
    """Starts, awaits and collects the probes of one member."""

    def __init__(
        self,
        cluster: ClusterConfig,
        config: HostConfig,
        views: frozenset[View],
        client: HttpClient,
        *,
        configured: bool = True,
        silent: bool = False,
    ) -> None:
        self._cluster = cluster
        self._config = config
        self._views = views
        self._client = client
        self._answer_s = min(SILENT_ANSWER_S, cluster.timeouts.answer_s) if silent else None
        self._session: SqlSession | None = None
        self._network_started = threading.Event()
        self._tasks: dict[str, Task[Reading[object]]] = {}
        self._member: Member | None = None
        self._node = Node(config.name, configured, None, None, None)
        self.host: Host | None = open_host(config, cluster.timeouts) if configured else None

    def start_by_host(self) -> None:
        """Ask a member that has no key in the DCS at its host's own address and the standard ports.

        The key of a frozen Patroni expires: without this its PostgreSQL, which may still take writes, would go unseen.
        """
        missing = "sql" not in self._tasks or "rest" not in self._tasks
        address = self.host.address() if missing and self.host is not None else None
        if address:
            literal = f"[{address}]" if ":" in address else address
            self._config = replace(
                self._config,
                rest_url=self._config.rest_url or f"{self._scheme()}://{literal}:{REST_PORT}",
                sql_host=self._config.sql_host or address,
            )
            self.start_network(None)

    def _scheme(self) -> str:
        return "https" if self._cluster.rest.tls.ca_file or self._cluster.rest.tls.cert_file else "http"

    def start_network(self, member: Member | None) -> None:
        """Start REST and SQL probes as soon as their address is known: from the configuration, else the member's key."""
        if member is not None:
            self._node = replace(self._node, member=member)
        rest_url = self._config.rest_url or _rest_url(member)
        if rest_url and View.REST in self._views and "rest" not in self._tasks:
            self._node = replace(self._node, rest_url=rest_url)
            self._start("rest", lambda: read_status(self._client, rest_url, self._answer_s))
            self._start("primary_code", lambda: read_code(self._client, rest_url, "primary", self._answer_s))
            self._start("liveness_code", lambda: read_code(self._client, rest_url, "liveness", self._answer_s))
        address = _sql_address(self._config, member)
        if address and View.SQL in self._views and "sql" not in self._tasks:
            self._node = replace(self._node, sql_address=f"{address[0]}:{address[1]}")
            self._start("sql", lambda: self._read_sql(*address))
            self._network_started.set()

    def start_host(self) -> None:
        """Start the probes that run on the member's host."""
        host, timeout_s = self.host, self._cluster.timeouts.command_s
        if host is None:
            return
        bin_dir, stanza = self._config.bin_dir, self._cluster.stanza
        if View.HOST in self._views:
            self._start("control", self._on_data_dir(lambda d: read_control(host, d, bin_dir, timeout_s=timeout_s)))
            self._start("files", self._on_data_dir(lambda d: read_files(host, d, timeout_s=timeout_s)))
            self._start("disks", self._on_data_dir(lambda d: read_disks(host, self._paths(d), timeout_s=timeout_s)))
        if View.BACKUP in self._views and stanza:
            config = self._config.pgbackrest_config
            self._start("stanza", lambda: read_stanza(host, Stanza(stanza, config), timeout_s=timeout_s))
        if View.JOBS in self._views:
            self._start("jobs", lambda: read_jobs(host, self._config.state_dir, timeout_s=timeout_s))
        if View.BRANCH in self._views:
            self._start("branch", self._on_data_dir(lambda d: read_branch(host, d, bin_dir, timeout_s=timeout_s)))
        if View.COPIES in self._views:
            self._start("copies", self._on_data_dir(lambda d: read_copies(host, d, timeout_s=timeout_s)))
        if View.SALVAGE in self._views:
            self._start("salvages", self._on_data_dir(lambda d: read_salvages(host, d, timeout_s=timeout_s)))
        if View.GUARD in self._views:
            config = self._config.patroni_config
            self._start("guard", self._on_data_dir(lambda d: read_guard(host, d, config, timeout_s=timeout_s)))
        if View.SCHEDULE in self._views:
            paths = schedule_paths(self._cluster, host.name)
            self._start("schedules", lambda: read_schedules(host, paths, timeout_s=timeout_s))
        if View.SERVICES in self._views:
            self._start("services", lambda: self._read_services(host, timeout_s))

    def finish_network(self, deadline: float) -> None:
        """Await the network probes; what has not answered by then is unknown."""
        for name in ("rest", "primary_code", "liveness_code", "sql"):
            self._finish(name, deadline, self._absent(name))
        self._network_started.set()

    def read_flush_again(self, deadline: float) -> None:
        """Read a primary's flush LSN once more, after every replica was read.

        A replica's position read before its leader's cannot rightly be ahead of it; one that is, has diverged.
        """
        facts, session = known(self._node.sql), self._session
        rest, url = known(self._node.rest), self._node.rest_url
        if rest is not None and rest.role == "primary" and url and View.SQL not in self._views:
            with contextlib.suppress(Late):
                again = Task(lambda: read_status(self._client, url)).result(deadline)
                self._node = replace(self._node, rest=again if isinstance(again, Known) else self._node.rest)
        if facts is None or session is None or facts.in_recovery:
            return
        try:
            position = Task(lambda: read_flush_position(session)).result(max(deadline, time.monotonic() + 0.5))
            self._node = replace(self._node, sql=Known(replace(facts, flush_bytes=position)))
        except (SqlFault, Late) as fault:
            reason = str(fault) or "no answer to the second reading in time"
            self._node = replace(self._node, sql=Unknown(f"SQL: {reason}"))

    def finish_host(self, deadline: float) -> Node:
        """Await the host probes and give the member as it was seen."""
        for name in (
            "control",
            "files",
            "disks",
            "stanza",
            "services",
            "jobs",
            "schedules",
            "branch",
            "copies",
            "salvages",
            "guard",
        ):
            self._finish(name, deadline, self._absent(name))
        return self._node

    def close(self) -> None:
        """End what was kept open."""
        if self._session is not None:
            self._session.close()
        if self.host is not None:
            self.host.close()

    def _start(self, name: str, read: Callable[[], Reading[object]]) -> None:
        self._tasks[name] = Task(read)

    def _finish(self, name: str, deadline: float, absent: Reading[object]) -> None:
        task = self._tasks.get(name)
        try:
            reading = task.result(deadline) if task else absent
        except Late:
            reading = Unknown("no answer in time")
        except Exception as error:  # one faulty probe must not hide what the others saw
            reading = Unknown(f"a bug in this probe: {type(error).__name__}: {error}")
        self._node = replace(self._node, **{name: reading})  # type: ignore[arg-type] # the fields of Node, by name

    def _absent(self, name: str) -> Reading[object]:
        """Why a probe was never started."""
        views = {"rest": View.REST, "primary_code": View.REST, "liveness_code": View.REST, "sql": View.SQL}
        if name in views:
            if views[name] not in self._views:
                return NOT_ASKED
            return Unknown("its address is not known: it has no key in the DCS and none is configured")
        view = _HOST_VIEWS.get(name, View.HOST)
        if view not in self._views:
            return NOT_ASKED
        if name == "stanza" and self._cluster.stanza is None:
            return Skipped("no pgBackRest stanza is configured")
        return NO_HOST

    def _read_sql(self, address: str, port: int) -> Reading[SqlFacts]:
        try:
            self._session = SqlSession(address, port, self._cluster.sql, self._cluster.timeouts)
            return Known(read_sql(self._session))
        except SqlFault as fault:
            return Unknown(f"SQL: {fault}")

    def _read_services(self, host: Host, timeout_s: float) -> Reading[tuple[ServiceState, ...]]:
        config = self._cluster.services
        names = tuple((role, unit.replace("{host}", self._config.name)) for role, unit in config.names)
        try:
            driver = find_driver(config.manager, "service_managers")
            return Known(driver(config).states(host, names, timeout_s=timeout_s))  # type: ignore[operator] # a plugin's class
        except (HostFault, PgopsError) as fault:
            return Unknown(str(fault))

    def _on_data_dir(self, read: Callable[[str], Reading[T]]) -> Callable[[], Reading[T]]:
        """`read` with the data directory: the configured one, else what the server itself says over SQL."""

        def work() -> Reading[T]:
            if self._config.data_dir:
                return read(self._config.data_dir)
            settings = known(within(self._await_sql(), lambda sql: sql.settings))
            if not settings or "data_directory" not in settings:
                return Unknown(f"data directory unknown; set hosts.{self._config.name}.data_dir in pgops.yml")
            return read(settings["data_directory"].value)

        return work

    def _await_sql(self) -> Reading[SqlFacts]:
        """What the server says over SQL, as soon as it has said it."""
        wait_s = self._cluster.timeouts.connect_s + self._cluster.timeouts.answer_s
        self._network_started.wait(wait_s)
        task = self._tasks.get("sql")
        try:
            return task.result(time.monotonic() + wait_s) if task else NOT_ASKED  # type: ignore[return-value] # by its name
        except Late:
            return Unknown("no answer in time")

    def _paths(self, data_dir: str) -> list[str]:
        """What must have room: the data directory, WAL, the tablespaces that the server names, the places of pgops's own,
        and on a systemd host etcd's and pgBackRest's usual ones."""
        facts = known(self._await_sql())
        paths = [data_dir, f"{data_dir.rstrip('/')}/pg_wal", *(facts.tablespaces if facts else ())]
        paths += [path for path in (self._config.scratch_dir, self._config.state_dir) if path]
        if self._cluster.services.manager == "systemd":
            paths += ["/var/lib/etcd", "/var/lib/pgbackrest", "/var/spool/pgbackrest"]
        return paths


def _rest_url(member: Member | None) -> str | None:
    """The base of a member's `api_url`, which Patroni publishes with `/patroni` at its end."""
    if member is None or not member.api_url:
        return None
    return member.api_url.removesuffix("/patroni").rstrip("/")


def _sql_address(config: HostConfig, member: Member | None) -> tuple[str, int] | None:
    from urllib.parse import urlsplit

    try:
        url = urlsplit(member.conn_url or "") if member else None
        host, port = (url.hostname, url.port) if url else (None, None)
    except ValueError:
        host, port = None, None
    host = config.sql_host or host
    return (host, config.sql_port or port or 5432) if host else None
