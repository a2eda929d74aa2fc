"""supervisor: the states of programs, from supervisord itself.

On this machine its socket is asked directly, since `supervisorctl` takes a third of a second to start; where that is not
ours to open, and on other hosts, `supervisorctl` is run. Source: supervisor docs, XML-RPC API; supervisorctl.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pgops.config.model import ServiceConfig
from pgops.hosts.host import Host, HostFault
from pgops.hosts.local import LocalHost
from pgops.render.text import printable
from pgops.services import ServiceState

DEFAULT_CONFIG = "/etc/supervisor/supervisord.conf"

_LINE = re.compile(r"^(?P<name>\S+)\s+(?P<state>[A-Z]+)\b(?:\s+pid (?P<pid>\d+),)?")
_STATUS_CODES = (0, 3)
"""supervisorctl ends with 3 when a program is not running."""


class SupervisorServices:
    """Reads the states of programs; `group:name` names one in a group."""

    def __init__(self, config: ServiceConfig) -> None:
        self._file = config.manager_config or DEFAULT_CONFIG

    def states(self, host: Host, names: Sequence[tuple[str, str]], *, timeout_s: float) -> tuple[ServiceState, ...]:
        """See `pgops.services.ServiceManager`. A program that does not exist has the state `not-found`."""
        if not names:
            return ()
        if isinstance(host, LocalHost):
            from pgops.services.supervisord_socket import NotOurs, ask_processes

            try:
                return _pick(ask_processes(self._file, timeout_s=timeout_s), names)
            except NotOurs:
                pass  # another user's supervisord: as that user then
        argv = ["supervisorctl", "-c", self._file, "status"]
        answer = host.run(argv, become=True, timeout_s=timeout_s)
        if answer.exit_code not in _STATUS_CODES or answer.truncated:
            raise HostFault(f"supervisorctl: {printable(answer.fault)}")
        return _pick(parse_status(answer.stdout), names)


def parse_status(output: str) -> dict[str, tuple[str, int | None]]:
    """The output of `supervisorctl status`: program -> (state, pid)."""
    found = {}
    for line in output.splitlines():
        match = _LINE.match(line)
        if match:
            found[match["name"]] = (match["state"], int(match["pid"]) if match["pid"] else None)
    return found


def _pick(
    processes: Mapping[str, tuple[str, int | None]], names: Sequence[tuple[str, str]]
) -> tuple[ServiceState, ...]:
    states = []
    for role, unit in names:
        state, pid = processes.get(unit, ("not-found", None))
        running = state in ("RUNNING", "STARTING", "STOPPING")
        states.append(ServiceState(role, unit, running=running, state=state, pid=pid if running else None))
    return tuple(states)
