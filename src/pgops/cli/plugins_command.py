"""`pgops plugins list`."""

from __future__ import annotations

import click

from pgops import plugins
from pgops.render.text import printable


@click.group("plugins")
def plugins_group() -> None:
    """Which plugins there are, and which are broken."""


@plugins_group.command("list")
def list_plugins() -> None:
    """List every plugin: name, version, origin, what it gives, and why a broken one is broken."""
    from pgops.render.table import render_table

    rows = [
        [
            printable(cell)
            for cell in (item.name, item.version, item.origin, f"broken: {item.fault}" if item.fault else _gifts(item))
        ]
        for item in plugins.discover()
    ]
    click.echo(render_table(["name", "version", "origin", "gives"], rows))


def _gifts(found: plugins.Found) -> str:
    plugin = found.plugin
    if plugin is None:
        return ""
    parts = []
    if plugin.commands:
        parts.append("commands: " + ", ".join(command.name for command in plugin.commands))
    if plugin.checks is not None:
        parts.append(_count_checks(plugin.checks))
    if plugin.procedures:
        parts.append("procedures: " + ", ".join(sorted(plugin.procedures)))
    if plugin.dcs_drivers:
        parts.append("DCS drivers: " + ", ".join(sorted(plugin.dcs_drivers)))
    if plugin.service_managers:
        parts.append("service managers: " + ", ".join(sorted(plugin.service_managers)))
    return "; ".join(parts) or "nothing"


def _count_checks(target: object) -> str:
    try:
        checks = plugins.resolve(target)
        return f"{len(checks)} checks"  # type: ignore[arg-type] # a plugin's own object; len raises when it is wrong
    except Exception as error:  # shown, not raised: this list is where one looks for broken plugins
        return f"checks (broken: {type(error).__name__}: {error})"
