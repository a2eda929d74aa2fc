"""Plugins as an operator or a package manager leaves them on a machine."""

from __future__ import annotations

from pathlib import Path

PLUGIN = """
from pgops.plugin import Command, Plugin
import click

@click.command("{name}")
def command():
    click.echo("hello from {name}")

plugin = Plugin(name="{name}", commands=(Command("{name}", command, "Says hello from {name}."),))
"""


def plugin_text(name: str) -> str:
    """A working plugin of one file with one command of the same name."""
    return PLUGIN.format(name=name)


def site_directory(parent: Path) -> Path:
    """An empty directory of single-file plugins that only its owner may write."""
    directory = parent / "plugins"
    directory.mkdir(mode=0o755)
    directory.chmod(0o755)
    return directory


def write_plugin(directory: Path, file: str, text: str, mode: int = 0o644) -> Path:
    """One plugin file with exactly this mode."""
    path = directory / file
    path.write_text(text)
    path.chmod(mode)
    return path


def install(directory: Path, distribution: str, entries: dict[str, str], modules: dict[str, str]) -> None:
    """What pip leaves of a package: its modules, and a dist-info with entry points."""
    info = directory / f"{distribution}-1.2.dist-info"
    info.mkdir(parents=True)
    lines = ["[console_scripts]", f"{distribution} = {distribution}:main", "", "[pgops.plugins]"]
    lines += [f"{name} = {target}" for name, target in entries.items()]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    for name, text in modules.items():
        (directory / f"{name}.py").write_text(text)
