"""A pgops.yml, schema version 1: read, checked as a whole, and turned into values."""

from __future__ import annotations

from collections.abc import Mapping

from pgops.config.cluster_section import read_cluster
from pgops.config.file_text import FileText
from pgops.config.local_files import LocalFiles
from pgops.config.model import ClusterConfig, Config
from pgops.config.nodes import Faults, Node, Scalar, Table, is_null, join_path, merge
from pgops.config.permissions import refuse_permissions
from pgops.config.section import Section
from pgops.config.words import refuse_name
from pgops.errors import ConfigError
from pgops.render.text import printable

SCHEMA_VERSION = 1
_MOST_CLUSTERS = 300


def read_pgops(table: Table, file: FileText, environ: Mapping[str, str], faults: Faults) -> Config:
    """The configuration that a pgops.yml holds. Raises `ConfigError` that tells every fault of the file.

    Credentials in a file that others may read are refused before anything else is looked at.
    """
    source = printable(file.path)
    refuse_permissions(table, file)
    _refuse_newer(table)
    top = Section(table, faults)
    if top.node("version") is None:
        faults.add(table.place, "version", f"missing; write version: {SCHEMA_VERSION}")
    files = LocalFiles(file.path, environ)
    log_file = files.path(top, "log_file")
    defaults = top.section("defaults")
    clusters = top.section("clusters")
    top.close()
    warnings: list[str] = []
    read = _read_clusters(clusters, defaults, files, warnings) if clusters else ()
    if clusters is None and is_null(table.entries.get("clusters")):
        faults.add(table.place, "clusters", "missing; name at least one cluster under clusters:")
    faults.raise_any(source)
    return Config(read, source, tuple(dict.fromkeys(warnings)), log_file)


def _refuse_newer(table: Table) -> None:
    node = table.entries.get("version")
    if node is None or is_null(node):
        return
    version = int(node.text) if isinstance(node, Scalar) and node.kind == "int" and node.text.isdecimal() else 0
    if version > SCHEMA_VERSION:
        raise ConfigError(
            f"this pgops.yml is written for schema version {version}; this pgops knows version {SCHEMA_VERSION}",
            where=str(node.place),
            next_step="install a newer pgops, or rewrite the file for this version",
        )
    if version < SCHEMA_VERSION:
        raise ConfigError(
            "the configuration names no schema version that ever was",
            where=str(node.place),
            why="version: must be a whole number",
            next_step=f"write version: {SCHEMA_VERSION}",
        )


def _read_clusters(
    clusters: Section, defaults: Section | None, files: LocalFiles, warnings: list[str]
) -> tuple[ClusterConfig, ...]:
    faults, table = clusters.faults, clusters.table
    if not table.entries:
        faults.at(table, "name at least one cluster")
    if len(table.entries) > _MOST_CLUSTERS:
        faults.at(table, f"more than {_MOST_CLUSTERS} clusters; split the file")
        return ()
    read = []
    for name, node in table.entries.items():
        body = _body(name, node, table, faults)
        if body is None:
            continue
        if defaults is not None:
            body = merge(defaults.table, body)
        cluster = read_cluster(name, Section(body, faults), files, warnings)
        if cluster is not None:
            read.append(cluster)
    return tuple(read)


def _body(name: str, node: Node, clusters: Table, faults: Faults) -> Table | None:
    """The mapping of one cluster; a cluster without any is all defaults."""
    place, path = clusters.key_places[name], join_path(clusters.path, name)
    reason = refuse_name(name)
    if reason is not None:
        faults.add(place, path, reason)
        return None
    if is_null(node):
        return Table({}, {}, place, path)
    if not isinstance(node, Table):
        faults.at(node, "expected a mapping")
        return None
    return Table(node.entries, node.key_places, place, path)
