"""The member that a Patroni configuration belongs to, when that is on this very machine."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import PurePath

from pgops.config.endpoints import Address, BadAddress, parse_host_port
from pgops.config.file_text import name_user
from pgops.config.model import HostConfig, ServiceConfig
from pgops.config.nodes import Faults, Table, descend
from pgops.config.plain import word_at
from pgops.config.words import refuse_key_name, refuse_path

_REST_PORT, _SQL_PORT = 8008, 5432
_EVERYWHERE = ("*", "0.0.0.0", "::", "")  # noqa: S104 - recognised, not bound
_DEBIAN_DIRECTORY = PurePath("/etc/patroni")
_DEBIAN_DEFAULTS = ("config", "patroni")


def read_member(table: Table, path: str | None, pgbackrest_config: str | None, faults: Faults) -> HostConfig | None:
    """This machine's member, or None: the file is patronictl's own, or was copied here from elsewhere."""
    node = descend(table, "name") or descend(table, "postgresql", "name")
    name = word_at(table, "name") or word_at(table, "postgresql", "name")
    data_dir = word_at(table, "postgresql", "data_dir")
    if node is None or not name or not data_dir:
        return None
    reason = refuse_key_name(name)
    if reason:
        faults.at(node, reason)
        return None
    if refuse_path(data_dir):
        data_dir_node = descend(table, "postgresql", "data_dir")
        if data_dir_node is not None:
            faults.at(data_dir_node, "must be an absolute path")
        return None
    sql, rest = _address(table, "postgresql", _SQL_PORT, faults), _address(table, "restapi", _REST_PORT, faults)
    if not _is_here(data_dir, sql):
        return None
    scheme = "https" if word_at(table, "restapi", "certfile") else "http"
    bin_dir = word_at(table, "postgresql", "bin_dir")
    return HostConfig(
        name,
        become=_owner(data_dir),
        rest_url=rest.url(scheme) if rest else None,
        sql_host=sql.host if sql else None,
        sql_port=sql.port if sql else None,
        data_dir=data_dir,
        bin_dir=bin_dir if bin_dir and not refuse_path(bin_dir) else None,
        patroni_config=path,
        pgbackrest_config=pgbackrest_config,
    )


def name_services(path: str | None) -> ServiceConfig:
    """The systemd units. Debian's `patroni@NAME` runs with /etc/patroni/NAME.yml, `patroni` with config.yml."""
    services = ServiceConfig()
    place = PurePath(path) if path else None
    if place is None or place.parent != _DEBIAN_DIRECTORY or place.stem in _DEBIAN_DEFAULTS or place.suffix != ".yml":
        return services
    names = tuple((role, f"patroni@{place.stem}" if role == "patroni" else unit) for role, unit in services.names)
    return replace(services, names=names)


def _address(table: Table, section: str, port: int, faults: Faults) -> Address | None:
    """`connect_address`, else the first address of `listen` that is not all of them."""
    node = descend(table, section, "connect_address")
    text = word_at(table, section, "connect_address") or ""
    if node is None:
        listen = word_at(table, section, "listen") or ""
        hosts, _, given = listen.rpartition(":") if ":" in listen else (listen, "", "")
        first = hosts.split(",")[0].strip().strip("[]")
        if first in _EVERYWHERE:
            return None
        node = descend(table, section, "listen")
        text = f"[{first}]" if ":" in first else first
        text = f"{text}:{given}" if given else text
    try:
        return parse_host_port(text, port)
    except BadAddress as error:
        if node is not None:
            faults.at(node, str(error))
        return None


def _is_here(data_dir: str, address: Address | None) -> bool:
    """The data directory is on this machine, or at least the member's address is."""
    try:
        os.lstat(data_dir)
        return True
    except PermissionError:
        return True
    except OSError:
        return address is not None and _is_own(address.host)


def _is_own(host: str) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.inet_pton(family, host)
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError:  # a name, or an address of another machine
        return False
    return True


def _owner(data_dir: str) -> str | None:
    """Whom to become for PostgreSQL's files: None when they are our own."""
    try:
        owner = os.stat(data_dir).st_uid  # noqa: PTH116 - a path from the file, as it stands
    except OSError:
        return None if name_user(os.geteuid()) == "postgres" else "postgres"
    return None if owner == os.geteuid() else name_user(owner)
