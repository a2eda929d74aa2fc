"""What the DCS knows of a run, so that another operator host can go on where this one ended.

`run` tells who, what and how far, and is written before every effect; `runs/ID` holds what the plan is derived from.
"""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pgops.clients.json_text import parse_json
from pgops.config.model import ClusterConfig
from pgops.dcs import Dcs, DcsKey
from pgops.engine.lock import RecordKeys
from pgops.errors import ExitCode, PgopsError, Refused
from pgops.observe.fields import ShapeFault, as_mapping
from pgops.observe.keys import record_prefix
from pgops.observe.records import parse_run
from pgops.observe.snapshot import RunRecord, Snapshot
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
    """A run that the DCS knows: its record, the revision of it, and its header."""

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


def header_value(plan: Plan) -> str:
    """The header as the DCS holds it, compressed: a snapshot may name thousands of WAL segments.

    Raises `Refused` when it is larger than a DCS takes.
    """
    packed = b64encode(zlib.compress(documents.canonical(header_document(plan)).encode("ascii"))).decode("ascii")
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


def find_run_key(dcs: Dcs, cluster: ClusterConfig) -> DcsKey | None:
    """The record of the unfinished run of this cluster, or None. Raises `DcsFault`."""
    name = f"{record_prefix(cluster.prefix)}run"
    return dcs.read_keys((name,)).get(name)


def load_unfinished(dcs: Dcs, cluster: ClusterConfig, run_id: str) -> Unfinished:
    """The unfinished run of this id. Raises `Refused` when there is none, `RecordFault`, `DcsFault`."""
    keys = RecordKeys.of(cluster.prefix, "topology", run_id)
    found = dcs.read_keys((keys.run, keys.header))
    run, header = found.get(keys.run), found.get(keys.header)
    if run is None:
        raise Refused(
            f"the cluster {cluster.name} has no unfinished run",
            why="it ended, or nothing of it was ever done",
            next_step="pgops runs list",
        )
    try:
        record = parse_run(parse_json(run.value.encode()))
    except (ShapeFault, ValueError) as fault:
        raise RecordFault(
            "the record of the unfinished run cannot be read",
            where=run.key,
            why=str(fault),
            next_step=f"pgops runs abort {run_id} --forget, once you know how far it came",
        ) from None
    if record.id != run_id:
        raise Refused(
            f"the unfinished run of the cluster {cluster.name} is another one: {record.id}, {record.goal}",
            next_step=f"pgops runs show {record.id}",
        )
    if header is None:
        raise RecordFault(
            "what the run's plan is derived from is missing",
            where=keys.header,
            next_step=f"pgops runs abort {run_id} --forget, once you know how far it came",
        )
    return Unfinished(record, run.revision, parse_header(header.value, cluster))
