"""What `pgops runs list`, `show` and `prune` print."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime, timedelta, timezone

import click

from pgops.cli.context import config_path
from pgops.config.loader import load
from pgops.config.model import ClusterConfig
from pgops.engine.journal import Entry, list_journals, prune_journals, read_journal
from pgops.engine.operation import is_dead
from pgops.engine.state import open_runs_directory, runs_directory
from pgops.errors import ExitCode, PgopsError, Refused
from pgops.observe.gather import observe
from pgops.observe.record_facts import RunRecord
from pgops.observe.records import LOCKS, run_name
from pgops.observe.snapshot import DcsKeys, Snapshot
from pgops.readings import Known, known, reason
from pgops.render.table import render_table
from pgops.render.text import printable
from pgops.render.units import format_time

_COLUMNS = ("run", "cluster", "what", "state", "by", "since")


def list_runs(ctx: click.Context, cluster: str | None, form: str) -> int:
    """Print the table; exit 5 when a DCS that was asked gave no answer."""
    config = load(config_path(ctx))
    clusters = [item for item in config.clusters if cluster in (None, item.name)]
    if not clusters:
        raise Refused(f"no cluster is named {cluster!r}", where=config.source)
    seen = [(item, observe(item, frozenset())) for item in clusters]
    rows = [row for item, snapshot in seen for row in _unfinished(item, snapshot)]
    known_ids = {row[0] for row in rows}
    rows += [row for row in _journals({item.name for item in clusters}) if row[0] not in known_ids]
    if form == "json":
        click.echo(json.dumps([dict(zip(_COLUMNS, row, strict=True)) for row in rows], indent=2))
    elif rows:
        click.echo(render_table(_COLUMNS, [[printable(cell) for cell in row] for row in rows]))
    else:
        click.echo("no runs")
    silent = [(item, snapshot) for item, snapshot in seen if not isinstance(snapshot.keys, Known)]
    for item, snapshot in silent:
        click.echo(printable(f"pgops: {item.name}: its DCS gave no answer: {reason(snapshot.keys)}"), err=True)
    return ExitCode.UNREACHABLE if silent else ExitCode.DONE


def _unfinished(cluster: ClusterConfig, snapshot: Snapshot) -> list[list[str]]:
    if not isinstance(snapshot.keys, Known):
        return []
    keys: DcsKeys = snapshot.keys.value
    rows = [_row(cluster, keys, record) for record in map(keys.run_under, LOCKS) if record is not None]
    faults = [keys.unread_records[name] for name in map(run_name, LOCKS) if name in keys.unread_records]
    return rows + [
        ["?", cluster.name, f"a record that cannot be read: {fault}", "unknown", "?", "?"] for fault in faults
    ]


def _row(cluster: ClusterConfig, keys: DcsKeys, record: RunRecord) -> list[str]:
    runs_now = any(lock.run == record.id and not is_dead(lock) for lock in keys.locks)
    state = "running" if runs_now else "unfinished"
    way = "aborting: " if record.back else ""
    what = f"{way}{record.goal}, step {record.step_number} of {record.steps} ({record.step})"
    return [record.id, cluster.name, what, state, f"{record.by}@{record.host}", format_time(record.since)]


def _journals(clusters: set[str]) -> list[list[str]]:
    if not runs_directory().is_dir():
        return []
    directory = open_runs_directory()
    rows = []
    for run_id in list_journals(directory):
        try:
            entries = read_journal(directory, run_id)
        except PgopsError as error:
            rows.append([run_id, "?", f"its journal cannot be read: {error.why}", "unknown", "?", "?"])
            continue
        begin = entries[0].content if entries else {}
        header = begin.get("header", {})
        if header.get("cluster") in clusters:
            by = f"{begin.get('by')}@{begin.get('host')}"
            since = format_time(entries[0].moment)
            rows.append([run_id, header["cluster"], header["goal"], _state(entries), by, since])
    return sorted(rows, key=lambda row: row[-1], reverse=True)


def _state(entries: Sequence[Entry]) -> str:
    last = entries[-1]
    if last.what == "ended":
        return f"ended, exit {last.content.get('code')}"
    return "stopped here" if last.what == "stopped" else "broke off here"


def show_run(ctx: click.Context, run_id: str, form: str) -> int:
    """Print a journal; of a run that another machine began, what the DCS knows of it."""
    directory = open_runs_directory()
    try:
        entries = read_journal(directory, run_id)
    except Refused as refusal:
        record = _find_record(ctx, run_id)
        if record is None:
            raise refusal from None
        told = {item.name: getattr(record, item.name) for item in fields(record)} | {"since": format_time(record.since)}
        if form == "json":
            click.echo(json.dumps(told, indent=2))
        else:
            click.echo(printable(f"no journal of it lies here ({refusal.what}); this is what the DCS knows"), err=True)
            click.echo("".join(f"{name:12} {printable(str(value))}\n" for name, value in told.items()), nl=False)
        return ExitCode.DONE
    if form == "json":
        click.echo(json.dumps([dict(entry.content) for entry in entries], indent=2))
        return ExitCode.DONE
    for entry in entries:
        click.echo(printable(f"{format_time(entry.moment)}  {_tell(entry)}"))
    return ExitCode.DONE


def _find_record(ctx: click.Context, run_id: str) -> RunRecord | None:
    for cluster in load(config_path(ctx)).clusters:
        keys = known(observe(cluster, frozenset()).keys)
        records = map(keys.run_under, LOCKS) if keys is not None else ()
        found = next((record for record in records if record is not None and record.id == run_id), None)
        if found is not None:
            return found
    return None


def _tell(entry: Entry) -> str:
    content = entry.content
    if entry.what == "run":
        header = content["header"]
        way = "aborted" if content.get("back") else "run"
        return f"{way} by {content['by']} on {content['host']} (pid {content['pid']}): {header['goal']}"
    if entry.what == "begun":
        return f"begun: {content['step']}: {content['does']}"
    if entry.what in ("ended", "stopped"):
        why = f" ({content['why']})" if content.get("why") else ""
        return f"{entry.what}, exit {content['code']}: {content['sentence']}{why}"
    detail = content.get("reason") or content.get("said") or ""
    return f"{entry.what}: {content.get('step', '')}{f': {detail}' if detail else ''}"


def prune_runs(days: int) -> int:
    """Remove old journals and say how many."""
    if not runs_directory().is_dir():
        click.echo("no journals")
        return ExitCode.DONE
    removed, kept = prune_journals(open_runs_directory(), datetime.now(timezone.utc) - timedelta(days=days))
    for error in kept:
        click.echo(printable(f"pgops: kept: {error}"), err=True)
    click.echo(f"{removed} journals removed")
    return ExitCode.DONE
