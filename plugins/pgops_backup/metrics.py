"""Metrics for node_exporter's textfile collector: how the last run ended, and the last good backups.

Source of the format: Prometheus, "Exposition formats", text based. What is not known is absent, never 0.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from pgops.errors import PgopsError
from pgops.observe.facts import Backup, StanzaFacts

Outcome = Literal["made", "not_needed", "standby", "refused", "failed"]
OUTCOMES: tuple[Outcome, ...] = ("made", "not_needed", "standby", "refused", "failed")

_RUN = "pgops_backup_last_run_"
_GOOD = "pgops_backup_last_good_"
_HELP = {
    f"{_RUN}timestamp_seconds": "When the last run of pgops backup of this type ended, since the epoch.",
    f"{_RUN}exit_code": "The exit code of the last run of pgops backup of this type.",
    f"{_RUN}outcome": "How the last run of pgops backup of this type ended: 1 for the outcome that it had.",
    f"{_GOOD}timestamp_seconds": "When the last backup of this type without error stopped, since the epoch.",
    f"{_GOOD}duration_seconds": "How long the last backup of this type without error took.",
    f"{_GOOD}size_bytes": "What a restore of the last backup of this type without error writes.",
    f"{_GOOD}repository_size_bytes": "What the last backup of this type without error needs in the repository.",
}
"""Every metric; all are gauges."""


@dataclass(frozen=True)
class LastRun:
    """How a run of `pgops backup` ended on this machine. `node` None: the machine is none of the cluster's nodes."""

    cluster: str
    node: str | None
    stanza: str
    kind: str
    ended_at: datetime
    exit_code: int
    outcome: Outcome


def write_metrics(directory: str, run: LastRun, facts: StanzaFacts | None) -> str:
    """Write them as one file of `directory`, for all to read, whole or not at all; its path. Raises `PgopsError`.

    `facts` None: the repository was not read. What an earlier run of another type wrote of itself stays.
    """
    import tempfile

    path = Path(directory) / file_name(run)
    try:
        handle, draft = tempfile.mkstemp(prefix=".pgops_backup_", dir=directory)  # the collector reads *.prom alone
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(render_metrics(run, facts, _read(path)))
                file.flush()
                os.fchmod(file.fileno(), 0o644)
                os.fsync(file.fileno())
            Path(draft).replace(path)
        except BaseException:
            Path(draft).unlink()
            raise
    except OSError as error:
        raise PgopsError(
            "the metrics could not be written",
            where=str(path),
            why=error.strerror or type(error).__name__,
            next_step="--textfile names a directory that the caller may write in",
        ) from None
    return str(path)


def file_name(run: LastRun) -> str:
    """Of this cluster and node alone; signs that are more than letters, digits, `_`, `.`, `-` and `~` are escaped."""
    from urllib.parse import quote

    names = [run.cluster, *([run.node] if run.node else [])]
    return f"pgops_backup_{'_'.join(quote(name, safe='') for name in names)}.prom"


def render_metrics(run: LastRun, facts: StanzaFacts | None, before: str = "") -> str:
    """The file's text. Of `before`, the file as it was, the runs of other types are kept. Pure."""
    lines: dict[str, list[str]] = {name: [] for name in _HELP}
    for line in before.splitlines():
        name = line.partition("{")[0]
        if name.startswith(_RUN) and name in lines and f',type="{_escape(run.kind)}"' not in line:
            lines[name].append(line)
    own = {"cluster": run.cluster, "node": run.node or "", "stanza": run.stanza}
    labels = {**own, "type": run.kind}
    lines[f"{_RUN}timestamp_seconds"].append(_line(f"{_RUN}timestamp_seconds", labels, run.ended_at.timestamp()))
    lines[f"{_RUN}exit_code"].append(_line(f"{_RUN}exit_code", labels, run.exit_code))
    for outcome in OUTCOMES:
        told = {**labels, "outcome": outcome}
        lines[f"{_RUN}outcome"].append(_line(f"{_RUN}outcome", told, int(outcome == run.outcome)))
    for backup in _last_good(facts):
        labels = {**own, "type": backup.kind, "repository": str(backup.repo_key)}
        for name, value in _values(backup).items():
            if value is not None:
                lines[name].append(_line(name, labels, value))
    blocks = [[f"# HELP {name} {_HELP[name]}", f"# TYPE {name} gauge", *rows] for name, rows in lines.items() if rows]
    return "".join(f"{line}\n" for block in blocks for line in block)


def _last_good(facts: StanzaFacts | None) -> Sequence[Backup]:
    """The newest of each repository and type, of the present database."""
    newest: dict[tuple[int, str], Backup] = {}
    for backup in sorted(facts.backups if facts else (), key=lambda item: item.stopped_at):
        if facts and backup.database_id == facts.current_database_id and not backup.error:
            newest[backup.repo_key, backup.kind] = backup
    return [newest[key] for key in sorted(newest)]


def _values(backup: Backup) -> Mapping[str, float | None]:
    return {
        f"{_GOOD}timestamp_seconds": backup.stopped_at.timestamp(),
        f"{_GOOD}duration_seconds": (backup.stopped_at - backup.started_at).total_seconds(),
        f"{_GOOD}size_bytes": backup.size_bytes,
        f"{_GOOD}repository_size_bytes": backup.repository_size_bytes,
    }


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    told = ",".join(f'{key}="{_escape(text)}"' for key, text in labels.items())
    return f"{name}{{{told}}} {value!r}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _read(path: Path) -> str:
    """The file as it was; nothing where there is none, or it cannot be read."""
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError):
        return ""
