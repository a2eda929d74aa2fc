"""One cluster of a pgops.yml."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from pgops.config.backup_section import read_backup
from pgops.config.connection_sections import read_dcs, read_rest, read_sql
from pgops.config.file_text import Unreadable
from pgops.config.host_section import read_hosts
from pgops.config.local_files import LocalFiles
from pgops.config.model import ClusterConfig, ProxyConfig, ServiceConfig, Thresholds, Timeouts
from pgops.config.section import Section
from pgops.config.words import (
    refuse_host,
    refuse_identifier,
    refuse_key_name,
    refuse_name,
    refuse_namespace,
    refuse_path,
    refuse_user,
)
from pgops.errors import ConfigError

_LONGEST_TIMEOUT_S = 3600.0
_ASCENDING = (
    ("lag_warning_bytes", "lag_critical_bytes"),
    ("disk_warning_percent", "disk_critical_percent"),
    ("backup_any_warning_s", "backup_any_critical_s"),
    ("ready_wal_warning_count", "ready_wal_critical_count"),
)


def read_cluster(name: str, section: Section, files: LocalFiles, warnings: list[str]) -> ClusterConfig | None:
    """The cluster `name`, or None where a fault leaves nothing to make it from."""
    under = _read_patroni(section, files, warnings)
    scope = section.text("scope", refuse_key_name) or (under.scope if under else name)
    if "scope" not in section.table.entries and under is None and refuse_key_name(name):
        section.faults.add(section.table.place, section.table.path, "the name cannot be a scope; say scope:")
    namespace = section.text("namespace", refuse_namespace)
    dcs = read_dcs(section.section("dcs"), under.dcs if under else None, files)
    if dcs is None and section.node("dcs") is None and section.node("patroni_config") is None:
        said = "missing; say kind and endpoints, or patroni_config:"
        section.faults.add(section.table.place, f"{section.table.path}.dcs", said)
    rest = read_rest(section.section("rest"), under.rest if under else None, files)
    sql = read_sql(section.section("sql"), under.sql if under else None, files)
    stanza = section.text("stanza", refuse_key_name)
    if not section.has("stanza") and under is not None:
        stanza = under.stanza
    become = section.text("become", refuse_user)
    inherited: dict[str, Any] = {"become": become} if section.has("become") else {}
    hosts = read_hosts(section.section("hosts"), under.hosts if under else (), inherited, files)
    services = _read_services(section.section("services"), under.services if under else ServiceConfig())
    proxies = _read_proxies(section.section("proxies"))
    backup = read_backup(section.section("backup"))
    thresholds = _read_thresholds(section.section("thresholds"))
    timeouts = _read_timeouts(section.section("timeouts"))
    unguarded = section.choice("unguarded_rewind", ("warn", "accept"))
    section.close()
    if dcs is None:
        return None
    return ClusterConfig(
        name=name,
        scope=scope,
        dcs=dcs,
        namespace=namespace if namespace is not None else under.namespace if under else "service",
        rest=rest,
        sql=sql,
        hosts=hosts,
        services=services,
        proxies=proxies,
        stanza=stanza,
        backup=backup,
        thresholds=thresholds,
        timeouts=timeouts,
        patroni_file=under.patroni_file if under else None,
        unguarded_rewind="accept" if unguarded == "accept" else "warn",
    )


def _read_patroni(section: Section, files: LocalFiles, warnings: list[str]) -> ClusterConfig | None:
    """What the cluster's `patroni_config` says. The environment's PATRONI_* do not count here.

    They belong to one Patroni, and a pgops.yml may name many. A file that this user may not read is only a warning when
    the DCS is said in pgops.yml itself.
    """
    path = files.path(section, "patroni_config")
    if path is None:
        return None
    from pgops.config.patroni_file import load_patroni

    try:
        cluster, told = load_patroni(path, {}, files.environ)
    except ConfigError as error:
        if isinstance(error, Unreadable) and section.node("dcs") is not None:
            warnings.append(f"{error.where} could not be read ({error.why}); only pgops.yml counts")
            return None
        node = section.table.entries["patroni_config"]
        section.faults.at(node, "; ".join(str(error).splitlines()))
        return None
    warnings += told
    return cluster


def _read_services(section: Section | None, under: ServiceConfig) -> ServiceConfig:
    if section is None:
        return under
    manager = section.text("manager", refuse_identifier) or under.manager
    config = section.text("config", refuse_path)
    control = section.text("control", refuse_path)
    names = dict(under.names)
    given = section.section("names")
    if given is not None:
        for role in given.table.entries:
            reason = refuse_identifier(role)
            if reason:
                given.faults.add(given.table.key_places[role], given.table.path, f"a role {reason}")
            unit = given.text(role, _refuse_unit)
            if unit is not None:
                names[role] = unit
            elif given.node(role) is None:
                names.pop(role, None)
    section.close()
    return replace(
        under,
        manager=manager,
        names=tuple(names.items()),
        manager_config=config or under.manager_config,
        control=control or under.control,
    )


def _refuse_unit(text: str) -> str | None:
    """A unit or program name, in which `{host}` stands for the member's name."""
    bare = text.replace("{host}", "x")
    return refuse_key_name(bare) or ("knows no other {placeholder} than {host}" if "{" in bare or "}" in bare else None)


def _read_proxies(section: Section | None) -> tuple[ProxyConfig, ...]:
    proxies = []
    for name in section.table.entries if section else ():
        assert section is not None  # noqa: S101 - nothing to iterate over otherwise
        reason = refuse_name(name)
        if reason:
            section.faults.add(section.table.key_places[name], section.table.path, reason)
        proxy = section.section(name)
        if proxy is None:
            if section.node(name) is None:
                section.faults.add(section.table.key_places[name], section.table.path, "a proxy needs stats_url")
            continue
        proxies.append(_read_proxy(name, proxy))
    return tuple(proxy for proxy in proxies if proxy is not None)


def _read_proxy(name: str, section: Section) -> ProxyConfig | None:
    stats_url, address = section.url("stats_url", with_path=True), section.text("address", refuse_host)
    ports: dict[str, int | None] = {}
    for key in ("primary_port", "replica_port"):
        port = section.port(key)
        if port is not None or (section.has(key) and section.node(key) is None):
            ports[key] = port
    username, password = section.text("username"), section.secret("password")
    for key in ("stats_url", "address"):
        if section.node(key) is None:
            section.faults.at(section.table, f"{key} is missing")
    section.close()
    if stats_url is None or address is None:
        return None
    return ProxyConfig(name, stats_url, address, username=username, password=password, **ports)


def _read_thresholds(section: Section | None) -> Thresholds:
    values: dict[str, Any] = {}
    if section is None:
        return Thresholds()
    for field in fields(Thresholds):
        key = field.name
        value: float | None
        if key.endswith("_bytes"):
            value = section.size(key)
        elif key.endswith("_s"):
            value = section.duration(key)
        elif key.endswith("_percent"):
            value = section.number(key, 1, 100)
        else:
            value = section.number(key, 0, 1_000_000, whole=True)
        if value is not None:
            values[key] = int(value) if isinstance(field.default, int) else float(value)
    thresholds = Thresholds(**values)
    for lower, upper in _ASCENDING:
        if (lower in values or upper in values) and getattr(thresholds, lower) >= getattr(thresholds, upper):
            node = section.table.entries[upper if upper in values else lower]
            other = "" if lower in values and upper in values else " (the other one is the default)"
            section.faults.at(node, f"{lower} must be less than {upper}{other}")
    section.close()
    return thresholds


def _read_timeouts(section: Section | None) -> Timeouts:
    if section is None:
        return Timeouts()
    values: dict[str, float] = {}
    for field in fields(Timeouts):
        value = section.duration(field.name)
        if value is not None and not 0.01 <= value <= _LONGEST_TIMEOUT_S:
            section.faults.at(section.table.entries[field.name], "must be from 10 ms to 1 hour")
        elif value is not None:
            values[field.name] = value
    section.close()
    return Timeouts(**values)
