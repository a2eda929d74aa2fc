"""Where labs live on this machine, and who they run as."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pgops.errors import ConfigError, Refused

DEFAULT_NAME = "demo"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9_./+@-]*")

LONGEST_SOCKET_PATH = 107
"""Bytes of a Unix socket's path. Source: unix(7), sun_path is 108 bytes with its closing NUL."""


def check_name(name: str) -> str:
    """`name` when it may name a lab (and so a Patroni scope and a directory), else `ConfigError`."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            "this cannot be a lab's name",
            where=name,
            why="a name is a small letter, then up to 30 small letters, digits and hyphens",
            next_step="pgops lab up --name demo",
        )
    return name


def home() -> Path:
    """The lab home: PGOPS_LAB_HOME, else /var/lib/pgops-lab for root, else ~/.local/share/pgops/lab.

    Raises `ConfigError` for a path that the programs' configuration files could not hold unquoted.
    """
    given = os.environ.get("PGOPS_LAB_HOME")
    if given:
        path = given
    elif os.geteuid() == 0:
        path = "/var/lib/pgops-lab"
    else:
        path = str(Path.home() / ".local/share/pgops/lab")
    if not _PLAIN_PATH.fullmatch(path) or ".." in Path(path).parts:
        raise ConfigError(
            "this cannot be the lab home",
            where=path,
            why="it must be an absolute path of letters, digits and _ . / + @ -",
            next_step="set PGOPS_LAB_HOME to another directory",
        )
    return Path(path)


def lab_dir(name: str) -> Path:
    """The directory of the lab `name`, whether it exists or not."""
    return home() / "labs" / check_name(name)


def environment_dir(patroni: str) -> Path:
    """The shared Python environment with this Patroni: a symbolic link to the one in use."""
    return home() / "envs" / f"patroni-{patroni}"


def lab_user() -> str | None:
    """The operating-system user of a lab's processes: `postgres` under root, else None: oneself."""
    return "postgres" if os.geteuid() == 0 else None


def check_socket_room(directory: Path) -> None:
    """Refuse a lab directory so deep that PostgreSQL could not make its socket in it."""
    longest = directory / "n1" / "run" / ".s.PGSQL.5432.lock"
    if len(os.fsencode(longest)) > LONGEST_SOCKET_PATH:
        raise Refused(
            "the lab's directory has too long a path for a Unix socket",
            where=str(directory),
            why=f"{longest} is longer than {LONGEST_SOCKET_PATH} bytes",
            next_step="choose a shorter --name, or a shorter PGOPS_LAB_HOME",
        )
