"""The hosts of a cluster in a pgops.yml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pgops.config.local_files import LocalFiles
from pgops.config.model import HostConfig, SshConfig
from pgops.config.nodes import Scalar, Table, is_null, join_path
from pgops.config.section import Section
from pgops.config.words import refuse_host, refuse_key_name, refuse_path, refuse_ssh_destination, refuse_user

_REMOTE_PATHS = ("data_dir", "bin_dir", "patroni_config", "pgbackrest_config", "state_dir", "scratch_dir")


def read_hosts(
    section: Section | None, under: tuple[HostConfig, ...], inherited: Mapping[str, Any], files: LocalFiles
) -> tuple[HostConfig, ...]:
    """The hosts as configured, laid upon those that a Patroni configuration gave (`under`).

    `inherited` holds the cluster's `become`, where it says any.
    """
    hosts = {host.name: replace(host, **inherited) for host in under}
    for name, node in section.table.entries.items() if section else ():
        assert section is not None  # noqa: S101 - nothing to iterate over otherwise
        place, path = section.table.key_places[name], join_path(section.table.path, name)
        reason = refuse_key_name(name)
        if reason:
            section.faults.add(place, path, reason)
            continue
        known = hosts.get(name, HostConfig(name, **inherited))
        if is_null(node):
            section.node(name)
            hosts[name] = known
        elif isinstance(node, Table):
            section.node(name)
            hosts[name] = _read_host(Section(node, section.faults), known, files)
        else:
            section.faults.at(node, "expected a mapping")
    return tuple(hosts.values())


def _read_host(section: Section, known: HostConfig, files: LocalFiles) -> HostConfig:
    given: dict[str, Any] = {
        "ssh": _read_ssh(section, files),
        "rest_url": section.url("rest_url"),
        "sql_host": section.text("sql_host", _refuse_sql_host),
        "sql_port": section.port("sql_port"),
    }
    given |= {key: section.text(key, refuse_path) for key in _REMOTE_PATHS}
    changes = {key: value for key, value in given.items() if value is not None}
    become = section.text("become", refuse_user)
    if section.has("become"):
        changes["become"] = become
    section.close()
    return replace(known, **changes)


def _refuse_sql_host(text: str) -> str | None:
    """A host, or the directory of a Unix socket."""
    return refuse_path(text) if text.startswith("/") else refuse_host(text)


def _read_ssh(section: Section, files: LocalFiles) -> SshConfig | None:
    node = section.node("ssh")
    if node is None:
        return None
    if isinstance(node, Scalar):
        destination = section.text("ssh", refuse_ssh_destination)
        return SshConfig(destination) if destination else None
    ssh = section.section("ssh")
    if ssh is None:
        return None
    destination, user = ssh.text("destination", refuse_ssh_destination), ssh.text("user", refuse_user)
    port, config_file = ssh.port("port"), files.path(ssh, "config_file")
    if ssh.node("destination") is None:
        ssh.faults.at(ssh.table, "destination is missing")
    ssh.close()
    return SshConfig(destination, user, port, config_file) if destination else None
