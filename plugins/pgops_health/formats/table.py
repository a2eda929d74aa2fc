"""The table: for a tired person on a terminal. Members, then what is wrong, worst first, then what is ok in a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pgops.checks import Verdict
from pgops.readings import known
from pgops.render.table import render_table
from pgops.render.text import printable
from pgops.render.units import format_bytes, format_time
from pgops_health.formats.records import member_record
from pgops_health.report import Judged, Report

_COLOURS = {
    Verdict.CRITICAL: "\x1b[1;31m",
    Verdict.UNKNOWN: "\x1b[35m",
    Verdict.WARNING: "\x1b[33m",
    Verdict.OK: "\x1b[32m",
    Verdict.SKIPPED: "\x1b[2m",
}
_RESET = "\x1b[0m"


def render(reports: Sequence[Report], *, width: int | None, colour: bool, verbose: bool) -> str:
    """The tables of all clusters. `width` None: lines stay whole. Colour never carries meaning alone."""
    return "\n\n".join(_cluster(report, width, colour, verbose) for report in reports) + "\n"


def _cluster(report: Report, width: int | None, colour: bool, verbose: bool) -> str:
    snapshot = report.snapshot
    scope = "" if snapshot.cluster.scope == snapshot.cluster.name else f" (scope {snapshot.cluster.scope})"
    verdict = _painted(report.verdict, report.verdict.value.upper(), colour)
    title = f"{printable(snapshot.cluster.name + scope)}: {verdict} at {format_time(snapshot.taken_at)}"
    parts = [title, _members(report)] if snapshot.nodes else [title]
    shown = [item for item in report.judged if verbose or item.finding.verdict not in (Verdict.OK, Verdict.SKIPPED)]
    if shown:
        parts.append("\n".join(_finding(item, width, colour) for item in (shown if verbose else _told_together(shown))))
    if not verbose:
        parts.append(_quiet_line(report, width))
    return "\n\n".join(parts)


def _members(report: Report) -> str:
    snapshot = report.snapshot
    rows = []
    for node in snapshot.nodes:
        record = member_record(snapshot, node)
        takes_writes = record["takes_writes"]
        role = "unknown" if takes_writes is None else "primary" if takes_writes else "replica"
        if record["holds_lock"]:
            role += ", lock"
        elif takes_writes and known(snapshot.keys) is not None:
            role += ", NO LOCK"
        stream = record["replication_state"] if takes_writes is False else None
        state = (
            stream or record["patroni_state"] or ("no answer from Patroni" if takes_writes is not None else "no answer")
        )
        cells = [node.name, role, state, _cell(record["timeline"]), record["wal_position"] or "unknown", _lag(record)]
        rows.append([printable(cell) for cell in cells])
    return render_table(["member", "role", "state", "timeline", "WAL position", "behind"], rows)


def _told_together(items: Sequence[Judged]) -> list[Judged]:
    """What is unknown for one and the same reason becomes one finding, so that the reason is read once."""
    kept: list[Judged] = []
    groups: dict[str, list[Judged]] = {}
    for item in items:
        if item.finding.because is None:
            kept.append(item)
            continue
        group = groups.setdefault(item.finding.because, [])
        group.append(item)
        if len(group) == 1:
            kept.append(item)
    return [_merged(groups[item.finding.because]) if item.finding.because else item for item in kept]


def _merged(group: Sequence[Judged]) -> Judged:
    first = group[0]
    if len(group) == 1:
        return first
    subjects: dict[str, list[str]] = {}
    for item in group:
        subjects.setdefault(item.check, []).append(item.finding.subject)
    names = ", ".join(f"{check} {' '.join(found)}".strip() for check, found in subjects.items())
    return Judged(names, replace(first.finding, subject="", text=f"not known: {first.finding.because}"))


def _cell(value: int | None) -> str:
    return "unknown" if value is None else str(value)


def _lag(record: dict[str, int | None]) -> str:
    lag = record["replay_lag_bytes"]
    if record["takes_writes"]:
        return "-"
    return "unknown" if lag is None else format_bytes(lag)


def _finding(item: Judged, width: int | None, colour: bool) -> str:
    finding = item.finding
    label = f"{finding.verdict.value.upper():<8}"
    where = f" {finding.subject}" if finding.subject else ""
    head = printable(f"{item.check}{where}: {finding.text}")
    lines = _wrapped(head, width, 9)
    lines[0] = f"{_painted(finding.verdict, label, colour)} {lines[0]}"
    if finding.next_step:
        step = _wrapped(printable(finding.next_step), width, 15)
        lines += [f"         next: {step[0]}", *step[1:]]
    return "\n".join(lines)


def _wrapped(text: str, width: int | None, indent: int) -> list[str]:
    """The text as lines, all but the first indented by `indent` columns, which the first one has to spare."""
    if width is None:
        return [text]
    import textwrap

    room = max(20, width - indent)
    lines = textwrap.wrap(text, room, break_on_hyphens=False) or [""]
    return [lines[0], *(" " * indent + line for line in lines[1:])]


def _quiet_line(report: Report, width: int | None) -> str:
    quiet = [item.check for item in report.of(Verdict.OK)]
    bad = {item.check for item in report.judged if item.finding.verdict not in (Verdict.OK, Verdict.SKIPPED)}
    fine = [name for name in dict.fromkeys(quiet) if name not in bad]
    skipped = [
        name for name in dict.fromkeys(item.check for item in report.of(Verdict.SKIPPED)) if name not in {*fine, *bad}
    ]
    text = f"ok: {', '.join(fine)}" if fine else "nothing is ok"
    lines = _wrapped(text, width, 4)
    if skipped:
        lines += _wrapped(f"skipped: {', '.join(skipped)} (pgops health -v says why)", width, 4)
    return "\n".join(lines)


def _painted(verdict: Verdict, text: str, colour: bool) -> str:
    return f"{_COLOURS[verdict]}{text}{_RESET}" if colour else text
