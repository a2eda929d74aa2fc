"""pgBackRest's stanza and configuration file, as the commands in a Patroni configuration name them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgops.config.nodes import Items, Scalar, Table, descend
from pgops.config.plain import word_at
from pgops.config.words import refuse_key_name, refuse_path

_OPTION = r"--{}[=\s]\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"';|&]+))"


def find_stanza(table: Table) -> tuple[str | None, str | None]:
    """The stanza and the `--config` of the first pgBackRest command that names a stanza."""
    for command in _commands(table):
        if "pgbackrest" in command:
            stanza, config = _option("stanza", command), _option("config", command)
            if stanza and not refuse_key_name(stanza):
                return stanza, config if config and not refuse_path(config) else None
    return None, None


def _option(name: str, command: str) -> str | None:
    found = re.search(_OPTION.format(name), command)
    return next((group for group in found.groups() if group), None) if found else None


def _commands(table: Table) -> Iterator[str]:
    """Commands in effect first, then what the cluster was bootstrapped with."""
    for root in (descend(table, "postgresql"), descend(table, "bootstrap", "dcs", "postgresql")):
        for keys in (
            ("parameters", "archive_command"),
            ("parameters", "restore_command"),
            ("recovery_conf", "restore_command"),
        ):
            command = word_at(root, *keys)
            if command:
                yield command
    yield from _methods(descend(table, "postgresql"), "create_replica_methods", "create_replica_method")
    method = word_at(table, "bootstrap", "method")
    command = word_at(table, "bootstrap", method, "command") if method else None
    if command:
        yield command


def _methods(postgresql: object, *keys: str) -> Iterator[str]:
    for key in keys:
        names = descend(postgresql, key) if isinstance(postgresql, Table) else None
        for name in names.values if isinstance(names, Items) else ():
            command = word_at(postgresql, name.text, "command") if isinstance(name, Scalar) else None  # type: ignore[arg-type]
            if command:
                yield command
