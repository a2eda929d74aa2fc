"""Values as JSON documents and back: what plans, journals and records hold.

Only the types of a closed registry are written and read, each under its own name; a secret is never written, and the
cluster's configuration only by its name.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Any

from pgops.config.model import ClusterConfig
from pgops.dcs import Put
from pgops.plan.actions import Hole, PutLater

SCHEMA = 1
_SECRET_NAME = re.compile(r"passw|secret|token|passfile|keydata", re.IGNORECASE)
_SECRET_URL = re.compile(r"(://[^/\s:@]*:)[^@\s]+@")
_SECRET_WORD = re.compile(r"(passw(?:or)?d\s*[=:]\s*)('[^']*'|\"[^\"]*\"|\S+)", re.IGNORECASE)
MASK = "***"


class DocumentFault(ValueError):
    """A document is not what was written; the text is a clause for a person."""


def canonical(document: object) -> str:
    """The one JSON text of a document."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(document: object) -> str:
    """SHA-256 of the canonical text, in hex."""
    return hashlib.sha256(canonical(document).encode("ascii")).hexdigest()


def to_document(value: Any) -> Any:  # noqa: PLR0911 - one kind of value a return
    """The value as JSON: numbers, texts, lists, and objects with `$` where a type must be known again."""
    if isinstance(value, Enum):
        return {"$enum": type(value).__name__, "value": value.value}
    if value is None or isinstance(value, (bool, int, float, str)):
        return _without_secret(value) if isinstance(value, str) else value
    if isinstance(value, datetime):
        return {"$time": value.isoformat()}
    if isinstance(value, ClusterConfig):
        return {"$cluster": value.name}
    if is_dataclass(value) and not isinstance(value, type):
        name = type(value).__name__
        if _registry().get(name) is not type(value):
            raise TypeError(f"{name} is not written into documents")
        return {"$": name, **{item.name: to_document(getattr(value, item.name)) for item in fields(value)}}
    if isinstance(value, Mapping) and not all(isinstance(key, str) for key in value):
        return {"$pairs": [[to_document(key), to_document(item)] for key, item in value.items()]}
    if isinstance(value, Mapping):
        return {"$map": {str(key): _entry(str(key), item) for key, item in value.items()}}
    if isinstance(value, (frozenset, set)):
        return {"$set": sorted((to_document(item) for item in value), key=canonical)}
    if isinstance(value, (tuple, list)):
        return [to_document(item) for item in value]
    raise TypeError(f"{type(value).__name__} is not written into documents")


def from_document(document: Any, cluster: ClusterConfig) -> Any:
    """The value of a document; `cluster` stands where its name was written. Raises `DocumentFault`."""
    try:
        return _read(document, cluster)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise DocumentFault(f"it is not what pgops wrote ({type(error).__name__})") from None


def _read(document: Any, cluster: ClusterConfig) -> Any:  # noqa: PLR0911 - as above
    if isinstance(document, list):
        return tuple(_read(item, cluster) for item in document)
    if not isinstance(document, dict):
        return document
    if "$enum" in document:
        return _registry()[document["$enum"]](document["value"])
    if "$time" in document:
        return datetime.fromisoformat(document["$time"])
    if "$cluster" in document:
        if document["$cluster"] != cluster.name:
            raise ValueError("another cluster")
        return cluster
    if "$map" in document:
        return {key: _read(item, cluster) for key, item in document["$map"].items()}
    if "$pairs" in document:
        return {_read(key, cluster): _read(item, cluster) for key, item in document["$pairs"]}
    if "$set" in document:
        return frozenset(_read(item, cluster) for item in document["$set"])
    kind = _registry()[document["$"]]
    return kind(**{key: _read(item, cluster) for key, item in document.items() if key != "$"})


def matches(planned: Any, derived: Any) -> bool:
    """Whether two documents are equal, a hole of the planned one standing for any value, a later put for its put."""
    if isinstance(planned, dict) and planned.get("$") == Hole.__name__:
        return derived is not None
    if isinstance(planned, dict) and isinstance(derived, dict):
        if (planned.get("$"), derived.get("$")) == (PutLater.__name__, Put.__name__):
            return bool(planned["key"] == derived["key"]) and derived["lease"] is None
        return planned.keys() == derived.keys() and all(matches(planned[key], derived[key]) for key in planned)
    if isinstance(planned, list) and isinstance(derived, list):
        return len(planned) == len(derived) and all(map(matches, planned, derived))
    return bool(planned == derived)


def _entry(key: str, value: Any) -> Any:
    return MASK if value and isinstance(value, str) and _SECRET_NAME.search(key) else to_document(value)


def _without_secret(text: str) -> str:
    """Passwords that strangers' texts may carry (a URL, a conninfo in a setting) do not come into a document."""
    if "passw" not in text and "PASSW" not in text and "://" not in text:
        return text
    return _SECRET_WORD.sub(rf"\g<1>{MASK}", _SECRET_URL.sub(rf"\g<1>{MASK}@", text))


@cache
def _registry() -> dict[str, Any]:
    """Every type that may stand in a document, by its name."""
    from pgops import dcs, readings, services
    from pgops.hosts import host
    from pgops.observe import branch_facts, facts, guard_facts, record_facts, salvage_facts, snapshot
    from pgops.plan import actions, step

    modules = (
        readings,
        dcs,
        services,
        host,
        facts,
        branch_facts,
        guard_facts,
        salvage_facts,
        record_facts,
        snapshot,
        actions,
        step,
    )
    found: dict[str, Any] = {}
    for module in modules:
        for name, kind in vars(module).items():
            own = isinstance(kind, type) and kind.__module__ == module.__name__
            if own and (is_dataclass(kind) or issubclass(kind, Enum)):
                if found.get(name, kind) is not kind:
                    raise TypeError(f"two types are named {name}")
                found[name] = kind
    return found
