"""Asks a lab's supervisord over its Unix socket. API: supervisor 4 docs, api.rst."""

from __future__ import annotations

import http.client
import xmlrpc.client
from dataclasses import dataclass
from typing import Any

from pgops.errors import PgopsError
from pgops.services.supervisord_socket import SocketTransport
from pgops_lab.lab import Lab

ALREADY_STARTED, NOT_RUNNING = 60, 70
"""Fault codes. Source: supervisor/xmlrpc.py, class Faults."""


class SupervisordDown(PgopsError):
    """The lab's supervisord does not answer: it was stopped, was killed, or the machine was rebooted."""


@dataclass(frozen=True)
class Program:
    """One program. `state` is supervisor's word (`RUNNING`, `STOPPED`, `FATAL`, ...); `pid` None: no process."""

    name: str
    state: str
    pid: int | None
    uptime_s: int | None
    said: str


def programs(lab: Lab) -> tuple[Program, ...]:
    """Every program as supervisord sees it. Raises `SupervisordDown`."""
    return tuple(_program(item) for item in _call(lab, "getAllProcessInfo"))


def program(lab: Lab, name: str) -> Program:
    """One program as supervisord sees it. Raises `SupervisordDown`."""
    return _program(_call(lab, "getProcessInfo", name))


def start(lab: Lab, name: str, *, wait: bool = False) -> None:
    """Start a program; one that runs is left alone. With `wait`, `PgopsError` when it ends within its first second."""
    try:
        _call(lab, "startProcess", name, wait)
    except xmlrpc.client.Fault as fault:
        if fault.faultCode != ALREADY_STARTED:
            raise PgopsError(f"{name} cannot be started", why=fault.faultString, where=str(lab.log_dir)) from None


def stop(lab: Lab, name: str) -> None:
    """Stop a program and wait until it has ended (supervisord kills it after 60 s); one that is stopped stays so."""
    try:
        _call(lab, "stopProcess", name, True, timeout_s=75)
    except xmlrpc.client.Fault as fault:
        if fault.faultCode != NOT_RUNNING:
            raise PgopsError(f"{name} cannot be stopped", why=fault.faultString, where=str(lab.log_dir)) from None


def is_up(lab: Lab) -> bool:
    """Whether supervisord answers."""
    try:
        return bool(_call(lab, "getState", timeout_s=3)["statename"] == "RUNNING")
    except SupervisordDown:
        return False


def _call(lab: Lab, method: str, *arguments: object, timeout_s: float = 15) -> Any:
    proxy = xmlrpc.client.ServerProxy("http://localhost", transport=SocketTransport(str(lab.socket), timeout_s))
    try:
        return getattr(proxy.supervisor, method)(*arguments)
    except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
        raise SupervisordDown(
            f"supervisord of the lab {lab.name} does not answer",
            where=str(lab.socket),
            why=str(error),
            next_step=f"pgops lab up --name {lab.name}",
        ) from None


def _program(item: dict[str, Any]) -> Program:
    running = item["pid"] != 0
    return Program(
        name=item["name"],
        state=item["statename"],
        pid=item["pid"] if running else None,
        uptime_s=max(0, item["now"] - item["start"]) if running else None,
        said=item["spawnerr"] or item["description"],
    )
