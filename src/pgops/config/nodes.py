"""Configuration text as a tree whose every value knows where it stands, and the faults found in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Union

from pgops.errors import ConfigError

_MOST_FAULTS_SHOWN = 40
_SHOWABLE_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,62}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: a file and line, or the name of an environment variable (`line` 0)."""

    source: str
    line: int

    def __str__(self) -> str:
        return f"{self.source}:{self.line}" if self.line else self.source


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value as it was written. `kind` is YAML's: `str`, `int`, `float`, `bool`, `null`, or another tag."""

    text: str = field(repr=False)
    kind: str
    place: Place
    path: str


@dataclass(frozen=True, slots=True, eq=False)
class Items:
    """A sequence."""

    values: tuple[Node, ...] = field(repr=False)
    place: Place
    path: str


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A mapping with text keys. `key_places` says where each key stands."""

    entries: dict[str, Node] = field(repr=False)
    key_places: dict[str, Place] = field(repr=False)
    place: Place
    path: str


Node = Union[Scalar, Items, Table]  # noqa: UP007 - subscriptable at run time on Python 3.10


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong. `text` never holds a configured value: any of them may be a secret in the wrong place."""

    place: Place
    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.path}: {self.text}" if self.path else f"{self.place}: {self.text}"


class Faults:
    """Collects faults, each once, so that all are told at the same time."""

    def __init__(self) -> None:
        self._found: dict[Fault, None] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._found)

    def add(self, place: Place, path: str, text: str) -> None:
        """Note a fault at this place."""
        self._found[Fault(place, path, text)] = None

    def at(self, node: Node, text: str) -> None:
        """Note a fault of this value."""
        self.add(node.place, node.path, text)

    def raise_any(self, source: str, next_step: str | None = None) -> None:
        """Raise `ConfigError` that tells every fault in the order of the file, when there is any."""
        if not self._found:
            return
        told = sorted(self._found, key=lambda fault: (fault.place.source, fault.place.line))
        lines = [str(fault) for fault in told[:_MOST_FAULTS_SHOWN]]
        if len(told) > _MOST_FAULTS_SHOWN:
            lines.append(f"and {len(told) - _MOST_FAULTS_SHOWN} more")
        count = "a fault" if len(told) == 1 else f"{len(told)} faults"
        raise ConfigError(f"the configuration has {count}", where=source, why="\n".join(lines), next_step=next_step)


def shown_key(key: str) -> str:
    """A key as a fault may show it: one that looks unlike a key may be a misplaced secret, or hostile."""
    return key if _SHOWABLE_KEY.fullmatch(key) else "(a key not shown)"


def join_path(path: str, key: str) -> str:
    """The dotted path of `key` in the mapping at `path`."""
    return f"{path}.{shown_key(key)}" if path else shown_key(key)


def is_null(node: Node | None) -> bool:
    """Absent, or written as null."""
    return node is None or (isinstance(node, Scalar) and node.kind == "null")


def merge(under: Table, over: Table, *, null_removes: bool = False) -> Table:
    """`over` laid upon `under`: mappings merge, scalars and sequences replace.

    `null_removes` is how Patroni merges: a null takes the key away. Source: Patroni, patroni/utils.py, patch_config.
    """
    entries, places = dict(under.entries), dict(under.key_places)
    for key, node in over.entries.items():
        below = entries.get(key)
        if null_removes and is_null(node):
            entries.pop(key, None)
            places.pop(key, None)
            continue
        both = isinstance(below, Table) and isinstance(node, Table)
        entries[key] = merge(below, node, null_removes=null_removes) if both else node  # type: ignore[arg-type]
        places[key] = over.key_places[key]
    return Table(entries, places, over.place, over.path)


def descend(node: Node | None, *keys: str) -> Node | None:
    """The value under these keys, or None where any of them is absent, null or no mapping."""
    for key in keys:
        if not isinstance(node, Table):
            return None
        node = node.entries.get(key)
    return None if is_null(node) else node
