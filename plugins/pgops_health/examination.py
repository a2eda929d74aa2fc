"""What `pgops health` does: which clusters and checks, the reports, and their rendering."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from functools import partial

from pgops.checklist import all_checks
from pgops.config.loader import load
from pgops.config.model import ClusterConfig, Config
from pgops.errors import PgopsError
from pgops.observe.gather import observe
from pgops.observe.parallel import Task
from pgops.plugins import resolve
from pgops_health.report import Report, exit_code, judge, select, views_of

__all__ = ["Examination", "exit_code", "list_checks", "read_schema", "render"]


class Examination:
    """The clusters and checks that were asked for. Raises `PgopsError` for names that do not exist."""

    def __init__(
        self, path: str | None, clusters: Sequence[str], checks: Sequence[str], *, quick: bool, deep: bool
    ) -> None:
        every_check, self._broken = all_checks()
        self._checks = select(every_check, checks, quick=quick, deep=deep)
        self._views = views_of(self._checks, quick=quick)
        self._config = load(path)
        self._clusters = _pick(self._config, clusters)

    def make_reports(self) -> list[Report]:
        """Look at all clusters at once; worst first, then as configured."""
        read = partial(observe, views=self._views, warnings=self._config.warnings)
        if len(self._clusters) == 1:  # in this very thread, so that observation may fork
            snapshots = [read(self._clusters[0])]
        else:
            tasks = [Task(partial(read, cluster)) for cluster in self._clusters]
            # Every probe has its own deadline; this one only keeps a bug from hanging here for ever.
            snapshots = [task.result(time.monotonic() + 600) for task in tasks]
        reports = [judge(snapshot, self._checks, self._broken) for snapshot in snapshots]
        return sorted(reports, key=lambda report: report.verdict.rank)


def _pick(config: Config, names: Sequence[str]) -> tuple[ClusterConfig, ...]:
    there = {cluster.name: cluster for cluster in config.clusters}
    for name in names:
        if name not in there:
            raise PgopsError(
                f"no cluster is named {name!r}", where=config.source, why=f"there are: {', '.join(there) or 'none'}"
            )
    if not there:
        raise PgopsError("no cluster is configured", where=config.source, next_step="name one under clusters:")
    return tuple(cluster for name, cluster in there.items() if not names or name in names)


def render(form: str, reports: Sequence[Report], *, verbose: bool) -> str:
    """The reports in one of the formats of the command."""
    if form == "table":
        from pgops_health.formats.table import render as render_table

        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        return render_table(reports, width=_width(), colour=colour, verbose=verbose)
    render_form = resolve(f"pgops_health.formats.{form}_text:render")
    text: str = render_form(reports)  # type: ignore[operator] # one of our own modules, by name
    return text


def _width() -> int | None:
    """Columns to wrap at: the terminal's, or COLUMNS where it is set; elsewhere lines stay whole for grep."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS"):
        import shutil

        return max(40, shutil.get_terminal_size().columns)
    return None


def list_checks() -> str:
    """A table of all checks and what each reads."""
    from pgops.render.table import render_table

    checks, _ = all_checks()
    rows = [[check.name, ", ".join(sorted(view.value for view in check.views)), check.summary] for check in checks]
    return render_table(["check", "reads", "says"], rows)


def read_schema() -> str:
    """The JSON schema of `-f json`, as it is shipped."""
    from pathlib import Path

    return (Path(__file__).parent / "schema.json").read_text(encoding="utf-8")
