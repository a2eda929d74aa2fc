"""Processes of this machine: which belong to a lab, and who listens where. The only module that imports psutil."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgops.errors import PgopsError
from pgops_lab.lab import Lab

PROGRAMS = (
    "etcd",
    "haproxy",
    "initdb",
    "patroni",
    "pg_basebackup",
    "pg_ctl",
    "pg_rewind",
    "pgbackrest",
    "postgres",
    "python",
    "sh",
    "supervisord",
)
"""What a lab runs. Anything else that works in the lab's directory (a shell, a pager) is somebody's and is left alone."""


@dataclass(frozen=True)
class Process:
    """One process of a lab."""

    pid: int
    name: str
    words: tuple[str, ...]
    stopped: bool


def of_lab(lab: Lab) -> tuple[Process, ...]:
    """Every process of the lab's user that works under the lab's directory or was started with a file of it."""
    psutil = _psutil()
    uid = _uid(lab)
    found = []
    for process in psutil.process_iter(["pid", "name", "cmdline", "cwd", "uids", "status"]):
        seen = process.info
        if seen["uids"] is None or seen["uids"].real != uid or seen["pid"] == os.getpid():
            continue
        name, words = str(seen["name"] or ""), tuple(seen["cmdline"] or ())
        if name.startswith(PROGRAMS) and _is_under(lab.directory, [seen["cwd"] or "", *words]):
            found.append(Process(seen["pid"], name, words, seen["status"] == psutil.STATUS_STOPPED))
    return tuple(found)


def listener(address: str, port: int) -> str:
    """Who listens on this address and port, for a person."""
    psutil = _psutil()
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        connections = []
    for connection in connections:
        local = connection.laddr
        if connection.status == psutil.CONN_LISTEN and local.port == port and local.ip in (address, "0.0.0.0", "::"):  # noqa: S104 - compared, not bound
            if connection.pid is None:
                break
            return f"process {connection.pid} ({_describe(connection.pid)}), which listens on {local.ip}"
    return "a process of another user; as root this says which"


def _describe(pid: int) -> str:
    psutil = _psutil()
    try:
        return " ".join(psutil.Process(pid).cmdline())[:120] or psutil.Process(pid).name()
    except psutil.Error:
        return "ended meanwhile"


def _is_under(directory: Path, words: list[str]) -> bool:
    """Whether a path in `words` is the lab's directory or lies in it; another lab's longer name does not match."""
    inside = f"{directory}/"
    return any(word == str(directory) or word.startswith(inside) or f"={inside}" in word for word in words)


def _uid(lab: Lab) -> int:
    if lab.user is None:
        return os.geteuid()
    import pwd

    return pwd.getpwnam(lab.user).pw_uid


def _psutil() -> Any:
    try:
        import psutil
    except ImportError:
        raise PgopsError(
            "the practice cluster needs the Python package psutil", next_step="pip install 'pgops[lab]'"
        ) from None
    return psutil


def is_alive(pid: int) -> bool:
    """Whether this process is there and not a zombie."""
    psutil = _psutil()
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def children(pid: int) -> tuple[int, ...]:
    """The processes below this one."""
    psutil = _psutil()
    try:
        return tuple(child.pid for child in psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return ()
