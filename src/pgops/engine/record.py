"""What the DCS knows of a run, so that another operator host can go on where this one ended.

`run` tells who, what and how far, and is written before every effect; `runs/ID` holds what the plan is derived from.
"""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pgops.clients.json_text import parse_json
from pgops.config.model import ClusterConfig
from pgops.dcs import Dcs, DcsKey
from pgops.engine.lock import RecordKeys
from pgops.errors import ExitCode, PgopsError, Refused
from pgops.observe.fields import ShapeFault, as_mapping
from pgops.observe.keys import record_prefix
from pgops.observe.record_facts import RunRecord
from pgops.observe.records import LOCKS, parse_run, run_name
from pgops.observe.snapshot import Snapshot
from pgops.plan import documents
from pgops.plan.plan import Plan
from pgops.plan.step import Params, Pinned

HEADER_LIMIT_BYTES = 1_000_000
"""etcd takes requests of up to 1.5 MiB; source: etcd docs, system limits."""

_UNPACKED_LIMIT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Header:
    """What a run's plan is derived from, as it was pinned when the run began."""

    procedure: str
    params: Params
    pinned: Pinned
    first: Snapshot
    digest: str
    goal: str


@dataclass(frozen=True)
class Unfinished:
    """A run that the DCS knows: its lock, its record, the revision of it, and its header."""

    lock: str
    record: RunRecord
    revision: int
    header: Header


class RecordFault(PgopsError):
    """What the DCS knows of a run cannot be used."""

    exit_code = ExitCode.PLAN_STALE


def header_document(plan: Plan) -> dict[str, Any]:
    """The header of a plan's run."""
    return {
        "schema": documents.SCHEMA,
        "procedure": plan.procedure,
        "cluster": plan.cluster,
        "prefix": plan.prefix,
        "params": dict(plan.params),
        "pinned": documents.to_document(plan.pinned),
        "first": documents.to_document(plan.first),
        "digest": plan.digest,
        "goal": plan.goal,
    }


def header_value(header: Mapping[str, Any]) -> str:
    """A header's document as the DCS holds it, compressed: a snapshot may name thousands of WAL segments.

    Raises `Refused` when it is larger than a DCS takes.
    """
    packed = b64encode(zlib.compress(documents.canonical(header).encode("ascii"))).decode("ascii")
    value = documents.canonical({"schema": documents.SCHEMA, "zlib": packed})
    if len(value) > HEADER_LIMIT_BYTES:
        raise Refused("what this run would have to remember is too large for the DCS", why=f"{len(value)} bytes")
    return value


def parse_header(value: str, cluster: ClusterConfig) -> Header:
    """The header of a run, as the DCS holds it. Raises `RecordFault`."""
    try:
        outer = as_mapping(parse_json(value.encode()), "the header")
        _refuse_newer(outer["schema"])
        text = zlib.decompressobj().decompress(b64decode(outer["zlib"], validate=True), _UNPACKED_LIMIT_BYTES)
        top: Mapping[str, Any] = as_mapping(parse_json(text), "the header")
        _refuse_newer(top["schema"])
        pinned = documents.from_document(top["pinned"], cluster)
        first = documents.from_document(top["first"], cluster)
        fits = isinstance(pinned, Pinned) and isinstance(first, Snapshot) and top["prefix"] == cluster.prefix
    except (ShapeFault, KeyError, TypeError, ValueError, zlib.error) as fault:
        raise RecordFault("the record of the run cannot be read", why=str(fault)) from None
    if not fits:
        raise RecordFault("the record of the run is of another cluster, or not what pgops wrote")
    return Header(top["procedure"], top["params"], pinned, first, top["digest"], top["goal"])


def _refuse_newer(schema: int) -> None:
    if schema > documents.SCHEMA:
        raise RecordFault(
            "the run was begun by a newer pgops",
            why=f"its schema is {schema}, this one knows {documents.SCHEMA}",
            next_step="continue it with the pgops that began it",
        )


def find_run_keys(dcs: Dcs, cluster: ClusterConfig) -> dict[str, DcsKey]:
    """The records of this cluster's unfinished runs by lock, at most one each. Raises `DcsFault`."""
    names = {lock: f"{record_prefix(cluster.prefix)}{run_name(lock)}" for lock in LOCKS}
    found = dcs.read_keys(tuple(names.values()))
    return {lock: found[name] for lock, name in names.items() if name in found}


def load_unfinished(dcs: Dcs, cluster: ClusterConfig, run_id: str) -> Unfinished:
    """The unfinished run of this id. Raises `Refused` when there is none, `RecordFault`, `DcsFault`."""
    lock, run = find_run(dcs, cluster, run_id)
    record = read_run(run)
    if record.id != run_id:
        raise Refused(
            f"the unfinished run of the cluster {cluster.name} is another one: {record.id}, {record.goal}",
            next_step=f"pgops runs show {record.id}",
        )
    place = RecordKeys.of(cluster.prefix, lock, run_id).header
    header = dcs.read_keys((place,)).get(place)
    if header is None:
        raise RecordFault(
            "what the run's plan is derived from is missing",
            where=place,
            next_step=f"pgops runs abort {run_id} --forget, once you know how far it came",
        )
    return Unfinished(lock, record, run.revision, parse_header(header.value, cluster))


def read_run(run: DcsKey) -> RunRecord:
    """The record of a run. Raises `RecordFault`."""
    try:
        return parse_run(parse_json(run.value.encode()))
    except (ShapeFault, ValueError) as fault:
        raise RecordFault(
            "the record of the unfinished run cannot be read",
            where=run.key,
            why=str(fault),
            next_step="pgops runs abort ID --forget, with the id of its journal, once you know how far it came",
        ) from None


def find_run(dcs: Dcs, cluster: ClusterConfig, run_id: str) -> tuple[str, DcsKey]:
    """The lock and the record of this run; of another one, where that is all there is, so that it can be told.

    Raises `Refused` when there is no unfinished run at all, `DcsFault`.
    """
    runs = find_run_keys(dcs, cluster)
    if not runs:
        raise Refused(
            f"the cluster {cluster.name} has no unfinished run",
            why="it ended, or nothing of it was ever done",
            next_step="pgops runs list",
        )
    return next(((lock, run) for lock, run in runs.items() if _names(run, run_id)), next(iter(runs.items())))


def _names(run: DcsKey, run_id: str) -> bool:
    with suppress(RecordFault):
        return read_run(run).id == run_id
    return False
