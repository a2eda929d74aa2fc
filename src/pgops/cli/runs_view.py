"""What `pgops runs list`, `show` and `prune` print."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

import click

from pgops.cli.context import config_path
from pgops.config.loader import load
from pgops.config.model import ClusterConfig
from pgops.engine.journal import Entry, list_journals, read_journal, remove_journal
from pgops.engine.state import open_runs_directory, runs_directory
from pgops.errors import ExitCode, PgopsError, Refused
from pgops.observe.gather import observe
from pgops.observe.snapshot import DcsKeys, Snapshot
from pgops.readings import Known, reason
from pgops.render.table import render_table
from pgops.render.text import printable
from pgops.render.units import format_time


def list_runs(ctx: click.Context, cluster: str | None) -> int:
    """Print the table; exit 5 when a DCS that was asked gave no answer."""
    config = load(config_path(ctx))
    clusters = [item for item in config.clusters if cluster in (None, item.name)]
    if not clusters:
        raise Refused(f"no cluster is named {cluster!r}", where=config.source)
    seen = [(item, observe(item, frozenset())) for item in clusters]
    rows = [row for item, snapshot in seen for row in _unfinished(item, snapshot)]
    known_ids = {row[0] for row in rows}
    rows += [row for row in _journals({item.name for item in clusters}) if row[0] not in known_ids]
    if rows:
        headers = ["run", "cluster", "what", "state", "by", "since"]
        click.echo(render_table(headers, [[printable(cell) for cell in row] for row in rows]))
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
    record = keys.run_record
    if record is None:
        fault = keys.unread_records.get("run")
        return [["?", cluster.name, f"a record that cannot be read: {fault}", "unknown", "?", "?"]] if fault else []
    runs_now = any(lock.run == record.id for lock in keys.locks)
    state = "running" if runs_now else "unfinished"
    way = "aborting: " if record.back else ""
    what = f"{way}{record.goal}, step {record.step_number} of {record.steps} ({record.step})"
    return [[record.id, cluster.name, what, state, f"{record.by}@{record.host}", format_time(record.since)]]


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


def show_run(run_id: str, form: str) -> int:
    """Print a journal."""
    directory = open_runs_directory()
    entries = read_journal(directory, run_id)
    if form == "json":
        click.echo(json.dumps([dict(entry.content) for entry in entries], indent=2))
        return ExitCode.DONE
    for entry in entries:
        click.echo(printable(f"{format_time(entry.moment)}  {_describe(entry)}"))
    return ExitCode.DONE


def _describe(entry: Entry) -> str:
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
    directory = open_runs_directory()
    oldest = datetime.now(timezone.utc) - timedelta(days=days)
    removed = 0
    for run_id in list_journals(directory):
        try:
            entries = read_journal(directory, run_id)
        except PgopsError as error:
            click.echo(f"pgops: {run_id} is kept: {error}", err=True)
            continue
        if entries and entries[-1].what == "ended" and entries[-1].moment < oldest:
            remove_journal(directory, run_id)
            removed += 1
    click.echo(f"{removed} journals removed")
    return ExitCode.DONE
