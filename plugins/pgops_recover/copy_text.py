"""All that is known of the copies of one run, for people and for machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pgops.observe.branch_facts import CopyFacts
from pgops.observe.fields import ShapeFault, as_list, as_mapping, flag, text, told_integer
from pgops.observe.snapshot import Node
from pgops.readings import Known, Reading, Skipped, Unknown, known, reason
from pgops.render.units import format_bytes, format_duration
from pgops_recover.copies_text import copy_document, size_of, unread_members
from pgops_recover.holdings import Holding, Holdings
from pgops_recover.salvaging import GUARD

_FIRST_USER_OID = 16384
"""Objects of the catalogue lie below. Source: PostgreSQL, src/include/access/transam.h, FirstNormalObjectId."""
_CHANGES = ("inserted", "updated", "deleted")


def run_document(cluster: str, run: str, nodes: Sequence[Node], holdings: Holdings) -> dict[str, Any]:
    """Every copy of the run on these members, and (`unknown`) the members whose copies could not be read, and why.

    Of each what `copies_document` has, and `survivor`, `fork`, `pieces`, `sizes`, `account`, `salvage` (null where that
    was not told or is not there yet), `unknown` (what of it is not known, or cannot be) and `next` (a command).
    """
    found = [_copy(node.name, copy, holdings) for node in nodes for copy in known(node.copies) or () if copy.run == run]
    unread = unread_members(nodes)
    return {"schema": 1, "kind": "pgops-run-copies", "cluster": cluster, "run": run, "copies": found, "unknown": unread}


def _copy(member: str, copy: CopyFacts, holdings: Holdings) -> dict[str, Any]:
    absent: Reading[Holding] = Unknown("its host was not asked")
    holding = holdings.get((member, copy.path), absent)
    unknown: list[str] = [] if isinstance(holding, Known) else [f"what it holds: {reason(holding)}"]
    told = known(holding)
    papers = told.papers if told else {}
    manifest = _read(papers, "manifest", _manifest, unknown)
    account = _read(papers, "account", _account, unknown)
    salvage = _read(papers, "salvage", _salvage, unknown)
    # Whoever read the rows knew the account, and named what neither tells.
    unknown += salvage["unknown"] if salvage else account["unknown"] if account else []
    return {
        **copy_document(copy, size_of(holdings, member, copy)),
        "sizes": [{"path": path, "bytes": known(size), "unknown": reason(size) or None} for path, size in told.sizes]
        if told
        else [],
        **(manifest or {"survivor": None, "fork": None, "pieces": None}),
        "account": account and {name: value for name, value in account.items() if name != "unknown"},
        "salvage": salvage and {name: value for name, value in salvage.items() if name != "unknown"},
        "unknown": unknown,
        "next": _next(copy),
    }


def _read(papers: Mapping[str, Reading[Mapping[str, Any]]], name: str, shape: Any, unknown: list[str]) -> Any:
    """A paper in our own shape, None where there is none; one that cannot be read is named among what is unknown."""
    paper = papers.get(name, Skipped(""))
    if isinstance(paper, Unknown):
        unknown.append(f"its {name}: {paper.reason}")
    if not isinstance(paper, Known):
        return None
    try:
        return shape(paper.value)
    except (ShapeFault, KeyError) as fault:
        unknown.append(f"its {name} is not as pgops writes it: {fault}")
        return None


def _manifest(paper: Mapping[str, Any]) -> dict[str, Any]:
    pieces = [as_mapping(piece, "pieces") for piece in as_list(paper.get("pieces"), "pieces")]
    own = [
        {"timeline": told_integer(piece, "timeline"), "from": text(piece, "from"), "to": text(piece, "to")}
        for piece in pieces
    ]
    fork = {"timeline": own[0]["timeline"], "lsn": own[0]["from"]} if own else None
    return {"survivor": text(paper, "survivor"), "fork": fork, "pieces": own}


def _account(paper: Mapping[str, Any]) -> dict[str, Any]:
    ended = as_mapping(paper["transactions"], "transactions")
    straddling = as_mapping(paper["straddling"], "straddling")
    files = [as_mapping(item, "relations") for item in as_list(paper["relations"], "relations")]
    complete = flag(paper, "complete")
    unknown = [str(gap) for gap in as_list(paper["gaps"], "gaps")]
    if not flag(straddling, "complete"):
        unknown.append(f"rows of transactions that began before the fork: {text(straddling, 'why')}")
    undecided = [as_mapping(item, "prepared") for item in as_list(ended["prepared"], "prepared")]
    return {
        "complete": complete,
        "end_lsn": text(paper, "end_lsn"),
        "wal_bytes": told_integer(paper, "wal_bytes"),
        "transactions": {
            **{name: told_integer(ended, name) for name in ("count", "aborted", "open")},
            **{name: text(ended, name) for name in ("first_at", "last_at")},
            "prepared": [text(item, "gid") or str(told_integer(item, "xid")) for item in undecided],
        },
        "files": [
            {name: told_integer(item, name) for name in ("tablespace", "database", "filenode", *_CHANGES)}
            for item in files
            if told_integer(item, "filenode") >= _FIRST_USER_OID
        ],
        "unknown": unknown,
    }


def _salvage(paper: Mapping[str, Any]) -> dict[str, Any]:
    tables = [as_mapping(table, "tables") for table in as_list(paper["tables"], "tables")]
    return {
        "tables": [
            {
                **{name: text(table, name) for name in ("database", "table", "file")},
                **{name: told_integer(table, name) for name in ("rows", *_CHANGES)},
            }
            for table in tables
        ],
        "unknown": [str(each) for each in as_list(paper["unknown"], "unknown")],
    }


def _next(copy: CopyFacts) -> str:
    if not copy.salvaged:
        whole = copy.procedure == GUARD or (copy.accounted and copy.has("data"))
        return f"pgops salvage {copy.run}" if whole else f"pgops runs continue {copy.run}"
    return f"pgops copies remove {copy.run}"


def render_run(document: Mapping[str, Any], taken_at: datetime) -> str:
    """The document as text, a paragraph a copy, with a newline at the end."""
    paragraphs = ["\n".join(_paragraph(copy, taken_at)) for copy in document["copies"]]
    paragraphs += [f"unknown: {name}: {why}" for name, why in sorted(document["unknown"].items())]
    return "\n\n".join(paragraphs) + "\n"


def _paragraph(copy: Mapping[str, Any], taken_at: datetime) -> list[str]:
    age = format_duration((taken_at - datetime.fromisoformat(copy["made_at"])).total_seconds())
    lines = [
        f"{copy['member']}: {copy['path']}",
        f"  made: {copy['made_at']} ({age} ago), by {copy['by']}, {copy['procedure']}: {copy['reason']}",
        f"  survivor: {copy['survivor'] or 'not told'}",
        f"  fork: {_fork(copy)}",
        f"  size: {_size(copy['size_bytes'], copy['size_unknown'])}",
    ]
    if len(copy["sizes"]) > 1:
        lines += [f"    {size['path']}: {_size(size['bytes'], size['unknown'])}" for size in copy["sizes"]]
    lines.append("  parts:")
    lines += [f"    {part['what']}: {part['path']}" for part in copy["parts"]]
    for word, there in (("account", copy["accounted"]), ("salvage", copy["salvaged"])):
        lines.append(f"    {word}: {copy['path']}/{word}" if there else f"    {word}: not made yet")
    if copy["opened_told"] is not None:
        word = {True: "opened", False: "DOES NOT OPEN AS IT SHOULD", None: "not opened"}[copy["opened"]]
        lines.append(f"  {word}: {copy['opened_told']}")
    lines += _changes(copy)
    lines += [f"  applied: {_applied(each)}" for each in copy["applied"]]
    lines += [f"  unknown: {each}" for each in copy["unknown"]]
    hint = ""
    if copy["salvaged"]:
        back = "" if copy["applied"] else f": pgops salvage apply {copy['run']} --dry-run"
        hint = f" ({copy['path']}/salvage/REPORT.md first, and what you want of it brought back{back})"
    return [*lines, f"  next: {copy['next']}{hint}"]


def _applied(told: Mapping[str, Any]) -> str:
    rows = f"{told['inserted']} rows inserted, {told['updated']} updated, {told['deleted']} deleted"
    ended = "" if told["outcome"] == "committed" else "; whether that was committed cannot be told"
    fault = f"; {told['fault']}" if told["fault"] else ""
    script = f"by {told['by']}, script {told['sha256'][:12]}, transaction {told['xid']}"
    return f"{told['database']}: {rows} on {told['leader']} at {told['at']} {script}{ended}{fault}"


def _size(count: int | None, why: str | None) -> str:
    return f"unknown ({why})" if count is None else f"{count} bytes ({format_bytes(count)})"


def _fork(copy: Mapping[str, Any]) -> str:
    if copy["fork"] is None:
        return "not known"
    own = [
        f"timeline {piece['timeline']} from {piece['from']} {'on' if piece['to'] is None else 'to ' + piece['to']}"
        for piece in copy["pieces"]
    ]
    return f"timeline {copy['fork']['timeline']} at {copy['fork']['lsn']}; of its own: {', '.join(own)}"


def _changes(copy: Mapping[str, Any]) -> list[str]:
    """What the account counted, by table where the names are known, and else by file."""
    account, salvage = copy["account"], copy["salvage"]
    if account is None:
        return ["  what only it has: not counted yet" if not copy["accounted"] else "  what only it has: unknown"]
    ended = account["transactions"]
    least = "" if account["complete"] else "at least "
    between = f", committed {ended['first_at']} to {ended['last_at']}" if ended["first_at"] else ""
    wal = format_bytes(account["wal_bytes"] or 0)
    lines = [
        f"  what only it has: {least}{ended['count']} transactions{between}; {wal} of WAL, to {account['end_lsn']}"
    ]
    if salvage is not None:
        for table in salvage["tables"]:
            name = f"{table['database']}: {table['table']}"
            lines.append(
                f"    {name}: {_count(table, least)}; {table['rows']} rows are saved in salvage/{table['file']}"
            )
    elif account["files"]:
        lines.append("    by file (tablespace/database/file, TOAST among them): pgops salvage tells their names")
        for item in account["files"]:
            name = f"{item['tablespace']}/{item['database']}/{item['filenode']}"
            lines.append(f"    {name}: {_count(item, least)}")
    if ended["prepared"]:
        lines.append(f"    prepared and undecided: {', '.join(ended['prepared'])}")
    if ended["open"]:
        lines.append(f"    {ended['open']} transactions were open when it was stopped")
    return lines


def _count(item: Mapping[str, Any], least: str) -> str:
    return f"{least}{item['inserted']} rows inserted, {item['updated']} updated, {item['deleted']} deleted"
