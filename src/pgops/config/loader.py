"""Finds the configuration, tells a pgops.yml from Patroni's own, and reads it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pgops.config.file_text import FileText, is_directory, read_file
from pgops.config.model import Config
from pgops.config.nodes import Faults, Node, Place, Table
from pgops.config.pgops_file import read_pgops
from pgops.config.search import find
from pgops.config.yaml_source import parse
from pgops.errors import ConfigError
from pgops.render.text import printable

_EXAMPLE = "a pgops.yml begins with version: 1, a Patroni configuration has scope:"

_PATRONI_KEYS = {"restapi", "postgresql", "bootstrap", "etcd", "etcd3", "consul", "zookeeper", "kubernetes", "raft"}
"""A file of patronictl's own may leave the scope to its command line: Patroni's all the same, and told so."""


def load(path: str | None, *, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration. `path` is what `-c/--config` says; None searches the usual places.

    Where the file is Patroni's, PATRONI_* variables are laid upon it as Patroni does; a pgops.yml they do not touch.
    Raises `ConfigError`, which tells all faults at once and never shows a configured value.
    """
    found = find(path, environ)
    if found is None:
        return _from_environment(environ)
    if is_directory(found):
        return _from_patroni(found, environ)
    file = read_file(found)
    repeated = Faults()
    table = _table(file, repeated)
    keys = set(table.entries)
    if keys & {"clusters", "version"} and "scope" not in keys:
        return read_pgops(table, file, environ, repeated)
    if "scope" in keys or keys & _PATRONI_KEYS:
        if "clusters" in keys:
            raise _neither(file, "it has clusters: as a pgops.yml and scope: as a Patroni configuration")
        from pgops.config.patroni_file import read_patroni

        cluster, warnings = read_patroni([(file, table)], found, environ, environ)
        return Config((cluster,), printable(found), tuple(warnings))
    raise _neither(file, "it has neither version: and clusters: nor scope:")


def _from_patroni(path: str, environ: Mapping[str, str]) -> Config:
    from pgops.config.patroni_file import load_patroni

    cluster, warnings = load_patroni(path, environ, environ)
    return Config((cluster,), printable(path), tuple(warnings))


def _from_environment(environ: Mapping[str, str]) -> Config:
    """Patroni without a file, as in many containers: PATRONI_CONFIGURATION, else the single variables."""
    from pgops.config.patroni_environment import read_configuration_variable
    from pgops.config.patroni_file import read_patroni

    faults = Faults()
    node = read_configuration_variable(environ, faults)
    faults.raise_any("PATRONI_CONFIGURATION")
    source = "PATRONI_CONFIGURATION" if node is not None else "PATRONI_* variables"
    if node is not None and not isinstance(node, Table):
        raise ConfigError("a Patroni configuration is a mapping", where=source)
    table = node if isinstance(node, Table) else Table({}, {}, Place(source, 0), "")
    no_file = FileText(source, b"", 0, 0)
    # Patroni takes the one or the other
    variables: Mapping[str, str] = {} if node is not None else environ
    cluster, warnings = read_patroni([(no_file, table)], None, variables, environ)
    return Config((cluster,), source, tuple(warnings))


def _table(file: FileText, repeated: Faults) -> Table:
    faults, source = Faults(), printable(file.path)
    node: Node | None = parse(file.content, source, faults, repeated)
    faults.raise_any(source)
    if node is None or not isinstance(node, Table):
        raise _neither(file, "it is empty" if node is None else "it is no mapping")
    return node


def _neither(file: FileText, why: str) -> ConfigError:
    return ConfigError(
        "neither a pgops.yml nor a Patroni configuration", where=printable(file.path), why=why, next_step=_EXAMPLE
    )
