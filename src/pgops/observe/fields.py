"""Typed reading of JSON that came from outside: a wrong type is a fault that names the field, never a guess."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

TEXT_LIMIT = 4096
"""No field that pgops reads is longer; one that is would only flood the operator's terminal."""


class ShapeFault(Exception):
    """A reply does not have the form that its source documents; the text names the field."""


def as_mapping(value: object, what: str) -> Mapping[str, Any]:
    """`value` as a JSON object."""
    if not isinstance(value, dict):
        raise ShapeFault(f"{what} is {_kind(value)}, not an object")
    return value


def as_list(value: object, what: str) -> list[Any]:
    """`value` as a JSON array; null is an empty one."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise ShapeFault(f"{what} is {_kind(value)}, not a list")
    return value


def text(record: Mapping[str, Any], key: str) -> str | None:
    """The text under `key`, None when absent or null. A number is taken as its digits (system identifiers are both)."""
    value = record.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None or (isinstance(value, str) and len(value) <= TEXT_LIMIT):
        return value
    if isinstance(value, str):
        raise ShapeFault(f"{key} is a text of {len(value)} characters")
    raise ShapeFault(f"{key} is {_kind(value)}, not a text")


def integer(record: Mapping[str, Any], key: str) -> int | None:
    """The whole number under `key`, None when absent or null. Digits in a text count (etcd's gateway sends those)."""
    value = record.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ShapeFault(f"{key} is {_kind(value)}, not a whole number")
    try:
        number = int(value)
    except ValueError:
        raise ShapeFault(f"{key} is {str(value)[:40]!r}, not a whole number") from None
    if not -(2**63) <= number < 2**64:
        raise ShapeFault(f"{key} is a number beyond 64 bits")
    return number


def position(record: Mapping[str, Any], key: str) -> int | None:
    """The byte position in WAL under `key`, None when absent or null."""
    number = integer(record, key)
    if number is not None and number < 0:
        raise ShapeFault(f"{key} is {number}, not a position in WAL")
    return number


def flag(record: Mapping[str, Any], key: str) -> bool:
    """The truth value under `key`; false when absent or null, as Patroni leaves false ones out."""
    value = record.get(key)
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, str) and value.lower() in ("true", "false", "on", "off", "yes", "no"):
        return value.lower() in ("true", "on", "yes")
    raise ShapeFault(f"{key} is {_kind(value)}, not true or false")


def moment(seconds: float | int | None) -> datetime | None:
    """Seconds since the epoch as an aware time."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)
    except (OverflowError, ValueError, OSError):
        raise ShapeFault(f"{seconds} is no time") from None


def iso_moment(value: str | None) -> datetime | None:
    """An ISO 8601 time; one without an offset is taken as UTC."""
    if value is None:
        return None
    try:
        parsed = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        raise ShapeFault(f"{value[:40]!r} is no time") from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def told_text(mapping: Mapping[str, Any], name: str) -> str:
    """As `text`, of a field that must be there. Raises `ShapeFault`."""
    value = text(mapping, name)
    if value is None:
        raise ShapeFault(f"{name} is missing")
    return value


def told_integer(mapping: Mapping[str, Any], name: str) -> int:
    """As `integer`, of a field that must be there. Raises `ShapeFault`."""
    value = integer(mapping, name)
    if value is None:
        raise ShapeFault(f"{name} is missing")
    return value
