"""supervisor: the states of programs, from supervisord itself.

On this machine its socket is asked directly, since `supervisorctl` takes a third of a second to start; where that is not
ours to open, and on other hosts, `supervisorctl` is run. Source: supervisor docs, XML-RPC API; supervisorctl.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pgops.config.model import ServiceConfig
from pgops.hosts.host import Host, HostFault, Identity
from pgops.hosts.local import LocalHost
from pgops.hosts.process import CommandResult
from pgops.render.text import printable
from pgops.services import HoldFile, ServiceState

DEFAULT_CONFIG = "/etc/supervisor/supervisord.conf"

Processes = dict[str, tuple[str, int | None, int | None]]
"""Program -> (state, pid, when it ended last in seconds since the epoch)."""

_LINE = re.compile(r"^(?P<name>\S+)\s+(?P<state>[A-Z]+)\b(?:\s+pid (?P<pid>\d+),)?")
_STATUS_CODES = (0, 3)
"""supervisorctl ends with 3 when a program is not running."""


class SupervisorServices:
    """Reads the states of programs; `group:name` names one in a group.

    A program is held by a file of its name in the directory `hold` beside supervisord.conf, which its start script heeds.
    """

    def __init__(self, config: ServiceConfig) -> None:
        self._file = config.manager_config or DEFAULT_CONFIG
        self._control = config.control or "supervisorctl"

    def states(self, host: Host, names: Sequence[tuple[str, str]], *, timeout_s: float) -> tuple[ServiceState, ...]:
        """See `pgops.services.ServiceManager`. A program that does not exist has the state `not-found`."""
        if not names:
            return ()
        processes = self._ask_socket(timeout_s) if isinstance(host, LocalHost) else None
        if processes is None:
            processes = self._ask_supervisorctl(host, timeout_s)
        held = self._list_holds(host, timeout_s)
        told = tuple(_state(role, unit, processes, held) for role, unit in names)
        return tuple(replace(state, hold_text=self._read_hold(host, state, timeout_s)) for state in told)

    @property
    def hold_identity(self) -> Identity:
        """See `pgops.services.ServiceManager`: ourselves; a supervisord is its maker's own."""
        return Identity.LOGIN

    def hold_files(self, unit: str, text: str) -> tuple[HoldFile, ...]:
        """See `pgops.services.ServiceManager`: the one file that the start script looks for."""
        return (HoldFile(self._hold_path(unit), text),)

    def reload_argv(self) -> None:
        """See `pgops.services.ServiceManager`: none."""

    def start_argv(self, unit: str) -> tuple[str, ...]:
        """See `pgops.services.ServiceManager`."""
        return (self._control, "-c", self._file, "start", _checked(unit))

    def restart_argv(self, unit: str) -> tuple[str, ...]:
        """See `pgops.services.ServiceManager`."""
        return (self._control, "-c", self._file, "restart", _checked(unit))

    def assert_argv(self, unit: str) -> tuple[str, ...]:
        """See `pgops.services.ServiceManager`."""
        return ("test", "!", "-e", self._hold_path(unit))

    def pid_argv(self, unit: str) -> tuple[str, ...]:
        """See `pgops.services.ServiceManager`."""
        return (self._control, "-c", self._file, "pid", _checked(unit))

    def refused(self, result: CommandResult) -> bool:
        """See `pgops.services.ServiceManager`. Any program that ends at once looks like this to supervisor.

        Source: supervisor 4, supervisorctl.py, `_startresult`.
        """
        return result.exit_code not in (0, None) and (
            "ERROR (spawn error)" in result.stdout or "ERROR (abnormal" in result.stdout
        )

    def _hold_path(self, unit: str) -> str:
        return f"{self._file.rpartition('/')[0]}/hold/{_checked(unit)}"

    def _read_hold(self, host: Host, state: ServiceState, timeout_s: float) -> str | None:
        """What the hold file says; None when there is none, or it is not ours to read."""
        if not state.held:
            return None
        with suppress(HostFault):
            argv = ["head", "-c", "4096", "--", self._hold_path(state.unit)]
            answer = host.run(argv, identity=Identity.OWNER, timeout_s=timeout_s)
            return answer.stdout if answer.ok else None
        return None

    def _ask_socket(self, timeout_s: float) -> Processes | None:
        """None: the socket is not ours to open."""
        from pgops.services.supervisord_socket import NotOurs, ask_processes

        try:
            return ask_processes(self._file, timeout_s=timeout_s)
        except NotOurs:
            return None

    def _ask_supervisorctl(self, host: Host, timeout_s: float) -> Processes:
        answer = host.run([self._control, "-c", self._file, "status"], identity=Identity.OWNER, timeout_s=timeout_s)
        if answer.exit_code not in _STATUS_CODES or answer.truncated:
            raise HostFault(f"supervisorctl: {printable(answer.fault)}")
        return parse_status(answer.stdout)

    def _list_holds(self, host: Host, timeout_s: float) -> frozenset[str]:
        directory = f"{self._file.rpartition('/')[0]}/hold"
        if isinstance(host, LocalHost):
            with suppress(PermissionError):
                try:
                    return frozenset(path.name for path in Path(directory).iterdir())
                except (FileNotFoundError, NotADirectoryError):
                    return frozenset()
        argv = ["find", directory, "-maxdepth", "1", "-type", "f", "-printf", "%f\\n"]
        return frozenset(host.run(argv, identity=Identity.OWNER, timeout_s=timeout_s).stdout.splitlines())


def parse_status(output: str) -> Processes:
    """The output of `supervisorctl status`, which tells no time of an end that can be read for sure."""
    found: Processes = {}
    for line in output.splitlines():
        match = _LINE.match(line)
        if match:
            found[match["name"]] = (match["state"], int(match["pid"]) if match["pid"] else None, None)
    return found


def _checked(unit: str) -> str:
    """Raises `HostFault` for what would lead out of the hold directory."""
    if not unit or "/" in unit or unit.startswith((".", "-")):
        raise HostFault(f"services: {printable(unit)!r} is not a program's name")
    return unit


def _state(role: str, unit: str, processes: Processes, held: frozenset[str]) -> ServiceState:
    state, pid, ended = processes.get(unit, ("not-found", None, None))
    running = state in ("RUNNING", "STARTING", "STOPPING")
    there = unit in held
    return ServiceState(
        role,
        unit,
        running=running,
        state=state,
        pid=pid if running else None,
        held=there,
        # A program that ends at once, as a held one does, is tried a few times (BACKOFF), and only then given up.
        refused=f"given up at {ended}" if state == "FATAL" else None,
        hold_left=there,
        moving=state in ("STARTING", "STOPPING", "BACKOFF"),
    )
