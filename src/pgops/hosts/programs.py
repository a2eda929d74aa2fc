"""Programs that are shipped to hosts as text, as commands for them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_SHARED = re.compile(r"^from (\w[\w.]*\.remote\.\w+) import (?:\([^)]*\)|.*)\n", re.MULTILINE)
_FUTURE = "from __future__ import annotations\n"


@cache
def source_of(module: str) -> str:
    """The text of the program in this module; a part of pgops itself, so that reading it is as good as having imported it.

    On a host there is no pgops: what it imports from other `remote` packages stands before it.
    """
    text = "".join(_SHARED.sub("", _text_of(each)) for each in _with_neighbours(module))
    head, future, rest = text.partition(_FUTURE)
    return head + future + rest.replace(_FUTURE, "")


def command_of(module: str, wish: Mapping[str, Any]) -> tuple[str, ...]:
    """The command that runs the program in this module with `wish` as its one argument, a JSON document."""
    return ("python3", "-I", "-c", source_of(module), json.dumps(wish, sort_keys=True))


def _with_neighbours(module: str) -> list[str]:
    """What the program is made of, each module once and behind those that it imports."""
    names = [each for neighbour in _SHARED.findall(_text_of(module)) for each in _with_neighbours(neighbour)]
    return list(dict.fromkeys([*names, module]))


@cache
def _text_of(module: str) -> str:
    package, _, name = module.rpartition(".")
    spec = find_spec(package)
    places = spec.submodule_search_locations if spec else None
    if not places:
        raise ModuleNotFoundError(f"there is no package {package}")
    return (Path(places[0]) / f"{name}.py").read_text("utf-8")
