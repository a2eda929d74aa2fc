"""Documents: what is written can be read again, and holds no secret."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from dataclasses import dataclass, fields, replace
from datetime import datetime, timezone
from enum import Enum
from typing import Any

import pytest

from pgops.config.model import ClusterConfig, DcsConfig, DcsKind, SqlConfig
from pgops.engine.record import RecordFault, parse_header
from pgops.hosts.host import Identity
from pgops.observe.snapshot import ALL, Snapshot
from pgops.plan import documents
from pgops.plan.actions import Hole, RunCommand
from pgops.plan.documents import DocumentFault, from_document, matches, to_document
from pgops.readings import Known, Pending, Skipped, Unknown
from pgops.secrets import Secret
from pgops.testing.fake_cluster import FakeCluster

CLUSTER = ClusterConfig("demo", "demo", DcsConfig(DcsKind.ETCD3, ("http://127.0.0.1:2379",)))
MOMENT = datetime(2026, 11, 23, 3, 0, tzinfo=timezone.utc)
CANARY = "correct-horse-battery"


def sample(kind: Any) -> Any:  # noqa: PLR0911 - one kind of annotation a return
    """A value of that annotation, every optional part filled."""
    if isinstance(kind, typing.TypeVar) or kind is Any:
        return "any"
    if kind is datetime:
        return MOMENT
    if kind is ClusterConfig:
        return CLUSTER
    if kind in (str, int, float, bool):
        return {str: "text", int: 7, float: 1.5, bool: True}[kind]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return list(kind)[-1]
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return sample(next(item for item in arguments if item is not type(None)))
    if origin is typing.Literal:
        return arguments[0]
    if origin is tuple:
        return tuple(sample(item) for item in arguments if item is not Ellipsis)
    if origin is frozenset:
        return frozenset({sample(arguments[0])})
    if origin is not None and issubclass(origin, typing.Mapping):
        return {sample(arguments[0]): sample(arguments[1])}
    if origin is not None:
        return sample(origin)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        made: Any = kind
        return made(**{item.name: sample(hints[item.name]) for item in fields(kind)})
    raise TypeError(f"no sample of {kind}")


def _writable(kind: type) -> bool:
    """Steps and procedures hold functions; nobody writes those."""
    return kind.__name__ not in ("Step", "FirstOf", "Procedure")


@pytest.mark.parametrize(
    "kind", [kind for kind in documents._registry().values() if _writable(kind)], ids=lambda kind: kind.__name__
)
def test_every_registered_type_comes_back(kind: type) -> None:
    value = sample(kind)
    text = documents.canonical(to_document(value))
    assert from_document(json.loads(text), CLUSTER) == value


@pytest.mark.parametrize(
    "reading", [Known(3), Known(None), Known((1, 2)), Unknown("why"), Pending("wait"), Skipped("not asked")], ids=repr
)
def test_readings_come_back(reading: object) -> None:
    assert from_document(to_document(reading), CLUSTER) == reading


def test_a_whole_snapshot_comes_back() -> None:
    fake = FakeCluster()
    seen = fake.snapshot(ALL)
    document = json.loads(documents.canonical(to_document(seen)))
    assert from_document(document, fake.config) == seen
    assert isinstance(from_document(document, fake.config), Snapshot)


def test_no_secret_is_written() -> None:
    secret = replace(CLUSTER, sql=SqlConfig("pgops", Secret(CANARY)))
    config = {
        "postgresql": {"authentication": {"superuser": {"username": "postgres", "password": CANARY}}},
        "primary_conninfo": f"host=n1 password={CANARY} user=rep",
        "quoted": f"host=n1 PASSWORD = '{CANARY} x'",
        "url": f"postgres://rep:{CANARY}@n1/postgres",
        "api_token": CANARY,
        "plain": "tea",
    }
    fake = FakeCluster(config=replace(FakeCluster().config, sql=secret.sql))
    fake.patch_config(config)
    text = documents.canonical(to_document(fake.snapshot(ALL)))
    assert CANARY not in text and "tea" in text and "postgres://rep:***@n1" in text
    with pytest.raises(TypeError, match="Secret is not written"):
        to_document(Secret(CANARY))


def test_what_is_not_registered_is_neither_written_nor_read() -> None:
    @dataclass(frozen=True)
    class Stranger:
        x: int = 1

    @dataclass(frozen=True)
    class Known:  # a name of the registry's, another type
        value: int = 1

    for value in (Stranger(), Known(), object(), b"bytes", lambda: None):
        with pytest.raises(TypeError, match="is not written into documents"):
            to_document(value)
    for document in (
        {"$": "Stranger", "x": 1},
        {"$": "RunCommand", "host": "n1"},
        {"$": "RunCommand", "host": "n1", "argv": [], "surplus": 1},
        {"$enum": "Risk", "value": "none"},
        {"$enum": "Popen", "value": "sh"},
        {"$time": "yesterday"},
        {"x": 1},
        {"$cluster": "another"},
    ):
        with pytest.raises(DocumentFault):
            from_document(document, CLUSTER)


def test_nan_and_depth_are_refused() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        documents.canonical({"x": float("nan")})
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(DocumentFault):
        from_document(deep, CLUSTER)


def test_a_hole_stands_for_any_value_but_none() -> None:
    planned = to_document(RunCommand("n1", ("note", Hole("label")), Identity.LOGIN))
    assert matches(planned, to_document(RunCommand("n1", ("note", "L1"), Identity.LOGIN)))
    assert not matches(planned, to_document(RunCommand("n1", ("note", "L1"), Identity.ROOT)))
    assert not matches(planned, to_document(RunCommand("n2", ("note", "L1"), Identity.LOGIN)))
    assert not matches(planned, to_document(RunCommand("n1", ("note", "L1", "more"), Identity.LOGIN)))
    assert not matches(
        to_document(RunCommand("n1", ("note", "L1"))), to_document(RunCommand("n1", ("note", Hole("l"))))
    )
    assert not matches({"$": "Hole", "name": "x"}, None)


def test_a_newer_schema_is_refused_with_a_sentence() -> None:
    with pytest.raises(RecordFault, match="begun by a newer pgops"):
        parse_header(json.dumps({"schema": documents.SCHEMA + 1, "zlib": ""}), CLUSTER)
