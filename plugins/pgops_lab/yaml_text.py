"""Writes YAML that a person can read, from plain values. Reading YAML is the core's business, not the lab's."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}
"""Words that YAML 1.1 reads as something else than text. Source: yaml.org/type/bool.html and null.html."""


def render(value: object, indent: int = 0) -> str:
    """`value` (mappings, sequences, texts, numbers, booleans, None) as block YAML with a closing line break."""
    pad = " " * indent
    lines = []
    if isinstance(value, Mapping):
        for key, item in value.items():
            lines.append(f"{pad}{_scalar(key)}:{_below(item, indent + 2)}")
    elif isinstance(value, Sequence) and not isinstance(value, str):
        lines += [f"{pad}-{_entry(item, indent + 2)}" for item in value]
    else:
        lines.append(f"{pad}{_scalar(value)}\n")
    return "".join(lines)


def _below(item: object, indent: int) -> str:
    if isinstance(item, (Mapping, list, tuple)) and item:
        return "\n" + render(item, indent)
    return f" {_scalar(item)}\n"


def _entry(item: object, indent: int) -> str:
    if isinstance(item, (Mapping, list, tuple)) and item:
        return " " + render(item, indent).lstrip(" ")
    return f" {_scalar(item)}\n"


def _scalar(value: object) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    # JSON's texts, numbers, booleans, null and empty collections are YAML as they stand
    return json.dumps(value)
