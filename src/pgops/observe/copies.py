"""The safety copies of pgops beside a data directory, as their own manifests tell them."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from pgops.clients.json_text import parse_json
from pgops.hosts.host import Host, HostFault, Identity
from pgops.observe.branch_facts import CopyFacts, Proof
from pgops.observe.fields import ShapeFault, as_list, as_mapping, integer, iso_moment, text, told_text
from pgops.observe.salvages import parse_applied
from pgops.readings import Known, Reading, Unknown
from pgops.render.text import printable

SCHEMA = 1
EVIDENCE, KEYS = "evidence.json", "dcs.json"
"""The papers beside a copy: what was seen before anything was done, and Patroni's keys in the DCS."""

_LIST = r"""
for manifest in "$1".pgops-*/manifest.json; do
    [ -f "$manifest" ] || continue
    at=${manifest%/manifest.json} done=
    [ ! -f "$at/account/account.json" ] || done=$done,accounted
    ! grep -qs '^  "complete": false' -- "$at/account/account.json" || done=$done,incomplete
    [ ! -f "$at/salvage/summary.json" ] || done=$done,salvaged
    [ ! -f "$at/archive.json" ] || done=$done,quarantined
    [ ! -f "$at/evidence.json" ] || done=$done,evidence.json
    [ ! -f "$at/dcs.json" ] || done=$done,dcs.json
    printf '%s %s %s' "${done:--}" "$(printf '%s' "$at" | base64 -w 0)" "$(head -c 1048576 -- "$manifest" | base64 -w 0)"
    opened=-
    [ ! -f "$at/opened.json" ] || opened=$(head -c 65536 -- "$at/opened.json" | base64 -w 0)
    printf ' %s' "${opened:--}"
    for applied in "$at/salvage/applied.json" "$at"/applied-*.json; do
        [ ! -f "$applied" ] || printf ' %s' "$(head -c 1048576 -- "$applied" | base64 -w 0)"
    done
    echo
done
"""


def copy_path(data_dir: str, run: str) -> str:
    """Where a run keeps what it takes from this data directory: beside it, on the same file system.

    Never `.failed`, which Patroni removes. Source: Patroni, patroni/postgresql/__init__.py, move_data_directory.
    """
    return f"{data_dir.rstrip('/')}.pgops-{run}"


def read_copies(host: Host, data_dir: str, *, timeout_s: float) -> Reading[tuple[CopyFacts, ...]]:
    """Every copy beside the data directory, oldest first."""
    try:
        argv = ["sh", "-c", _LIST, "pgops-copies", data_dir.rstrip("/")]
        answer = host.run(argv, identity=Identity.OWNER, timeout_s=timeout_s)
        if not answer.ok:
            return Unknown(f"the copies there: {printable(answer.fault)}")
        return Known(parse_copies(answer.stdout))
    except (HostFault, ShapeFault, ValueError) as fault:
        return Unknown(f"the copies there: {fault}")


def parse_copies(output: str) -> tuple[CopyFacts, ...]:
    """The script's output: a line a copy. Raises `ShapeFault` or ValueError."""
    found = []
    for line in output.splitlines():
        done, path, content, opened, *notes = line.split(" ")
        manifest = _paper(content, "manifest.json")
        copy = _copy(b64decode(path, validate=True).decode(), manifest, frozenset(done.split(",")), notes)
        found.append(copy if opened == "-" else replace(copy, proof=_proof(_paper(opened, "opened.json"))))
    return tuple(sorted(found, key=lambda copy: (copy.made_at, copy.path)))


def _copy(path: str, manifest: Mapping[str, Any], done: frozenset[str], notes: Sequence[str]) -> CopyFacts:
    schema = integer(manifest, "schema")
    if schema is None or schema > SCHEMA:
        raise ShapeFault(f"the manifest in {path} is of schema {schema}, which this pgops does not know")
    parts = [as_mapping(part, "parts") for part in as_list(manifest.get("parts"), "parts")]
    applied = [record for note in notes for record in as_list(_paper(note, "applied.json").get("applied"), "applied")]
    pieces = as_list(manifest.get("pieces"), "pieces") if manifest.get("pieces") else []
    return CopyFacts(
        path=path,
        run=told_text(manifest, "run"),
        procedure=told_text(manifest, "procedure"),
        node=told_text(manifest, "node"),
        made_at=_moment(manifest),
        by=told_text(manifest, "by"),
        reason=text(manifest, "reason") or "",
        parts=tuple((told_text(part, "what"), told_text(part, "path")) for part in parts),
        accounted="accounted" in done,
        salvaged="salvaged" in done,
        quarantined="quarantined" in done,
        papers=tuple(name for name in (EVIDENCE, KEYS) if name in done),
        incomplete="incomplete" in done,
        bin_dir=text(manifest, "bin_dir"),
        timeline=integer(as_mapping(pieces[-1], "pieces"), "timeline") if pieces else None,
        applied=parse_applied(applied),
    )


def _proof(told: Mapping[str, Any]) -> Proof:
    opened, why = told.get("opened"), text(told, "why")
    if opened is True:
        rows, tables = integer(told, "rows"), integer(told, "tables")
        return Proof(True, f"it opens, with {rows} rows of its own in {tables} tables, as its WAL tells")
    return Proof(False if opened is False else None, printable(why or "no reason is told"))


def _paper(content: str, name: str) -> Mapping[str, Any]:
    return as_mapping(parse_json(b64decode(content, validate=True)), name)


def _moment(manifest: Mapping[str, Any]) -> datetime:
    moment = iso_moment(text(manifest, "made_at"))
    if moment is None:
        raise ShapeFault("made_at is no time")
    return moment
