"""A good document with one value in it replaced, for every place in it and every kind of wrong value."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

Path = tuple[str | int, ...]

WRONG: tuple[Any, ...] = (
    None,
    False,
    -1,
    2**70,
    10**400,
    -(10**400),
    1.5,
    float("nan"),
    float("inf"),
    -1e308,
    "",
    "x",
    "9" * 5000,
    "\x1b[31m\n\t|\u202e",
    "\ud800",
    [],
    [1],
    [None],
    {},
    {"": {"a": [{}]}},
)
"""10**400 is a whole number that no float holds; a lone surrogate is legal in JSON and cannot be written as UTF-8."""


def mutations(document: Any) -> Iterator[tuple[Path, Any, Any]]:
    """(place, wrong value, the whole document with it) for every place, the top included, and with the place left out."""
    for path in _paths(document):
        for value in WRONG:
            yield path, value, _with(document, path, value)
        if path:
            yield path, "left out", _without(document, path)


def _paths(value: Any, path: Path = ()) -> Iterator[Path]:
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inside:
        yield from _paths(part, (*path, key))


def _with(document: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    made = copy.deepcopy(document)
    _parent(made, path)[path[-1]] = value
    return made


def _without(document: Any, path: Path) -> Any:
    made = copy.deepcopy(document)
    del _parent(made, path)[path[-1]]
    return made


def _parent(document: Any, path: Path) -> Any:
    for step in path[:-1]:
        document = document[step]
    return document
