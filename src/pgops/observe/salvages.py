"""Salvage folders on a host, and what was carried there to be applied: read by a program of pgops's own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pgops.clients.json_text import parse_json
from pgops.hosts.host import Host, HostFault, Identity
from pgops.hosts.programs import command_of
from pgops.observe.fields import ShapeFault, as_list, as_mapping, integer, iso_moment, text, told_integer, told_text
from pgops.observe.salvage_facts import (
    AppliedScript,
    BegunScript,
    CarriedFolder,
    FailedScript,
    SalvageFacts,
    SalvageFolder,
    SalvageScript,
)
from pgops.readings import Known, Reading, Unknown
from pgops.render.text import printable

SCHEMA = 1


def carried_path(data_dir: str, run: str, node: str) -> str:
    """Where the salvage folder of that run's copy of that member lies on the leader's host, beside its data directory."""
    return f"{data_dir.rstrip('/')}.pgops-applying-{run}-{node}"


def read_salvages(host: Host, data_dir: str, *, timeout_s: float) -> Reading[SalvageFacts]:
    """What there is beside the data directory."""
    argv = command_of("pgops.hosts.remote.salvages", {"data_dir": data_dir.rstrip("/")})
    try:
        answer = host.run(argv, identity=Identity.OWNER, timeout_s=timeout_s)
        if not answer.ok:
            return Unknown(f"the salvage folders there: {printable(answer.fault)}")
        return Known(parse_salvages(answer.stdout))
    except (HostFault, ShapeFault, ValueError) as fault:
        return Unknown(f"the salvage folders there: {fault}")


def parse_salvages(output: str) -> SalvageFacts:
    """The document of the program. Raises `ShapeFault` or ValueError."""
    told = as_mapping(parse_json(output.encode()), "what is told of salvage folders")
    return SalvageFacts(
        tuple(map(_folder, _mappings(told, "folders"))), tuple(map(_carried, _mappings(told, "carried")))
    )


def parse_applied(records: Sequence[object]) -> tuple[AppliedScript, ...]:
    """The records of an applied.json, each once. Raises `ShapeFault`."""
    found = [_applied(as_mapping(record, "applied")) for record in records]
    return tuple(sorted(set(found), key=lambda each: (each.at, each.database, each.xid)))


def _folder(told: Mapping[str, Any]) -> SalvageFolder:
    return SalvageFolder(
        keep=told_text(told, "keep"),
        stamp=told_text(told, "stamp"),
        **{name: told_integer(told, name) for name in ("files", "size_bytes", "tables", "rows")},
        scripts=tuple(map(_script, _mappings(told, "scripts"))),
    )


def _script(told: Mapping[str, Any]) -> SalvageScript:
    ends = text(told, "ends")
    if ends not in (None, "commit", "rollback"):
        raise ShapeFault(f"a script ends in {ends}")
    return SalvageScript(
        told_text(told, "file"),
        told_text(told, "database"),
        told_text(told, "sha256"),
        ends,  # type: ignore[arg-type] # one of the words above
        text(told, "fault"),
    )


def _carried(told: Mapping[str, Any]) -> CarriedFolder:
    return CarriedFolder(
        path=told_text(told, "path"),
        stamp=text(told, "stamp"),
        files=told_integer(told, "files"),
        size_bytes=told_integer(told, "size_bytes"),
        applied=parse_applied(_mappings(told, "applied")),
        begun=tuple(
            BegunScript(told_text(each, "database"), told_text(each, "script_sha256"), json.dumps(each, sort_keys=True))
            for each in _mappings(told, "begun")
        ),
        failed=tuple(
            FailedScript(*(printable(told_text(each, name)) for name in ("database", "script_sha256", "run", "reason")))
            for each in _mappings(told, "failed")
        ),
    )


def _applied(told: Mapping[str, Any]) -> AppliedScript:
    schema, outcome, at = integer(told, "schema"), text(told, "outcome"), iso_moment(text(told, "at"))
    if schema is None or schema > SCHEMA:
        raise ShapeFault(f"a record of what was applied is of schema {schema}, which this pgops does not know")
    if outcome not in ("committed", "unknown") or at is None:
        raise ShapeFault("a record of what was applied is not as pgops writes it")
    return AppliedScript(
        database=told_text(told, "database"),
        sha256=told_text(told, "script_sha256"),
        outcome=outcome,  # type: ignore[arg-type] # one of the words above
        xid=told_integer(told, "xid"),
        at=at,
        by=told_text(told, "by"),
        leader=told_text(told, "leader"),
        inserted=told_integer(told, "inserted"),
        updated=told_integer(told, "updated"),
        deleted=told_integer(told, "deleted"),
        fault=text(told, "fault"),
    )


def _mappings(told: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    return [as_mapping(each, name) for each in as_list(told.get(name), name)]
