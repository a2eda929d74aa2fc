"""Finds plugins: entry points of installed packages, and single files in /etc/pgops/plugins.

Entry points are read by scanning `*.dist-info/entry_points.txt`, which costs 2 ms where `importlib.metadata` costs 44.
A plugin that cannot be used is kept with the reason; it never takes the command line down.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from pgops import __version__, builtin
from pgops.errors import PgopsError
from pgops.plugin import API_VERSION, Command, Plugin, Target

GROUP = "pgops.plugins"
SITE_DIRECTORY = Path("/etc/pgops/plugins")
_OWN_DISTRIBUTION = "pgops"
_STANDARD_OUTPUT = threading.RLock()
"""Drivers are resolved by threads that observe side by side: one at a time may put another stream in its place."""


@dataclass(frozen=True)
class Found:
    """A plugin that was found. Exactly one of `plugin` and `fault` is set."""

    name: str
    version: str
    origin: str
    plugin: Plugin | None = None
    fault: str | None = None


_found: tuple[Found, ...] | None = None


def discover() -> tuple[Found, ...]:
    """Every plugin: what the suite itself gives, those of packages by name, single files. Read once per process."""
    global _found  # noqa: PLW0603 - the one cache of a process that lives for one command
    if _found is None:
        own = Found("core", __version__, "pgops", plugin=builtin.plugin)
        with _output_to_stderr():
            packaged = [_load_packaged(*entry) for entry in _entry_points()]
            single = [_load_file(path) for path in _site_files()]
        _found = _without_clashes([own, *sorted(packaged, key=_precedence), *single])
    return _found


def usable() -> list[Plugin]:
    """The plugins that work."""
    return [found.plugin for found in discover() if found.plugin is not None]


def resolve(target: Target) -> object:
    """The object that a target names. Raises whatever its module raises at import, SystemExit as an ImportError."""
    if not isinstance(target, str):
        return target
    module, _, attribute = target.partition(":")
    try:
        with _output_to_stderr():
            return getattr(import_module(module), attribute)
    except SystemExit as ended:
        raise ImportError(f"{module} ends the process when it is imported (SystemExit: {ended})") from ended


@contextmanager
def _output_to_stderr() -> Iterator[None]:
    """Standard output is for what was asked: what a plugin prints while it is loaded goes to standard error."""
    with _STANDARD_OUTPUT:
        output, sys.stdout = sys.stdout, sys.stderr
        try:
            yield
        finally:
            sys.stdout = output


def _precedence(found: Found) -> tuple[bool, str]:
    """The suite's own first, so that a stranger's plugin cannot take a command away from it; then by name."""
    return found.origin != _OWN_DISTRIBUTION, found.name


def _entry_points() -> list[tuple[str, str, str, str]]:
    """(name, target, version, distribution) of each entry point of our group.

    Of a distribution that is there twice the first on sys.path counts, as for its modules.
    """
    entries: dict[tuple[str, str], tuple[str, str, str, str]] = {}
    for directory in dict.fromkeys(sys.path):
        try:
            names = sorted(name for name in os.listdir(directory or ".") if name.endswith(".dist-info"))  # noqa: PTH208
        except OSError:
            continue
        for name in names:
            file = f"{directory or '.'}/{name}/entry_points.txt"
            distribution, _, version = name.removesuffix(".dist-info").partition("-")
            for entry, target in _read_group(file):
                entries.setdefault((distribution, entry), (entry, target, version, distribution))
    return list(entries.values())


def _read_group(file: str) -> list[tuple[str, str]]:
    """The lines of our group in one entry_points.txt (an INI file; values hold no interpolation)."""
    try:
        with open(file, encoding="utf-8") as handle:  # noqa: PTH123 - hundreds of files at every start
            text = handle.read()
    except (OSError, UnicodeDecodeError):
        return []
    if f"[{GROUP}]" not in text:
        return []
    pairs = []
    inside = False
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("["):
            inside = stripped == f"[{GROUP}]"
        elif inside and "=" in stripped and not stripped.startswith(("#", ";")):
            name, _, target = stripped.partition("=")
            pairs.append((name.strip(), target.partition("[")[0].strip()))
    return pairs


def _load_packaged(name: str, target: str, version: str, distribution: str) -> Found:
    try:
        return _examined(resolve(target), name, version, distribution)
    except Exception as error:  # a stranger's module may raise anything
        return Found(name, version, distribution, fault=_reason(error))


def _site_files() -> list[Path]:
    directory = Path(os.environ.get("PGOPS_PLUGIN_DIR") or SITE_DIRECTORY)
    try:
        return sorted(path for path in directory.iterdir() if path.suffix == ".py" and not path.name.startswith("_"))
    except OSError:
        return []


def _load_file(path: Path) -> Found:
    from importlib.util import module_from_spec, spec_from_file_location

    name = path.stem.replace("_", "-")
    refusal = _unsafe(path)
    if refusal:
        return Found(name, "-", str(path), fault=refusal)
    module_name = f"pgops_site_{path.stem}"
    try:
        spec = spec_from_file_location(module_name, path)
        if spec is None or spec.loader is None:
            return Found(name, "-", str(path), fault="is not a Python module")
        module = module_from_spec(spec)
        sys.modules[module_name] = module
        spec.loader.exec_module(module)
        version = str(getattr(module, "__version__", "-"))
        if not hasattr(module, "plugin"):
            return Found(name, version, str(path), fault="defines no object named plugin")
        return _examined(module.plugin, name, version, str(path))
    except (Exception, SystemExit) as error:  # a site's own file may raise anything
        return Found(name, "-", str(path), fault=_reason(error))


def _unsafe(path: Path) -> str | None:
    """Why this file must not be run: somebody else than root and ourselves could have written or exchanged it."""
    real = path.resolve()
    for place in dict.fromkeys((path, real, *path.absolute().parents, *real.parents)):
        try:
            status = place.stat()
        except OSError as error:
            return f"{place} cannot be read: {error.strerror}"
        if status.st_uid not in (0, os.geteuid()):
            return f"{place} is owned by uid {status.st_uid}; pgops runs plugins only of root or of its own user"
        # In a sticky directory (/tmp) others may write, but not exchange what is ours.
        sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and (not sticky or place in (path.parent, real.parent)):
            return f"{place} is writable by others; chmod go-w {place}"
    return None


def _examined(plugin: object, name: str, version: str, origin: str) -> Found:
    if not isinstance(plugin, Plugin):
        return Found(name, version, origin, fault=f"is not a pgops.plugin.Plugin but of type {type(plugin).__name__}")
    if plugin.api_version != API_VERSION:
        made_for = f"is made for plugin API {plugin.api_version}; this pgops has {API_VERSION}"
        return Found(name, version, origin, fault=made_for)
    if not isinstance(plugin.commands, tuple) or not all(isinstance(each, Command) for each in plugin.commands):
        return Found(name, version, origin, fault="its commands are not a tuple of pgops.plugin.Command")
    return Found(name, version, origin, plugin=plugin)


def _without_clashes(found: list[Found]) -> tuple[Found, ...]:
    """A plugin whose command name is already taken is put aside as broken, so that neither shadows the other."""
    taken: dict[str, str] = dict.fromkeys(("plugins", "apply", "runs"), "pgops")
    kept: list[Found] = []
    for item in found:
        clash = next((c.name for c in item.plugin.commands if c.name in taken), None) if item.plugin else None
        if clash is not None:
            kept.append(
                Found(item.name, item.version, item.origin, fault=f"command {clash} is {taken[clash]}'s already")
            )
            continue
        if item.plugin:
            taken.update({command.name: item.name for command in item.plugin.commands})
        kept.append(item)
    return tuple(kept)


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]


_NOT_YET_SERVED = {
    "consul": "Patroni on Consul is not served by this version; a plugin may give a driver for it",
    "zookeeper": "Patroni on ZooKeeper is not served by this version; a plugin may give a driver for it",
}


def find_driver(kind: str, group: str) -> object:
    """The class that a plugin gives under `kind` in its mapping `group` (`dcs_drivers`, `service_managers`).

    The suite's own cannot be shadowed: the first that gives it counts. Raises `PgopsError` naming what there is when
    nobody gives it, or when what a plugin names cannot be loaded.
    """
    offers: dict[str, tuple[str, Target]] = {}
    for plugin in usable():
        for name, target in getattr(plugin, group).items():
            offers.setdefault(name, (plugin.name, target))
    thing = group.replace("_", " ")[:-1]
    if kind not in offers:
        there = f"there is: {', '.join(sorted(offers)) or 'none'}"
        why = f"{_NOT_YET_SERVED[kind]}; {there}" if kind in _NOT_YET_SERVED else there
        raise PgopsError(f"no {thing} for {kind!r}", why=why, next_step="pgops plugins list")
    owner, target = offers[kind]
    try:
        return resolve(target)
    except Exception as error:  # a stranger's module may raise anything
        raise PgopsError(f"the {thing} {kind!r} of plugin {owner} cannot be loaded", why=_reason(error)) from error
