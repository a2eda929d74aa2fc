"""The command `pgops health`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from functools import partial

import click

from pgops.checks import Check, Finding
from pgops.cli.context import config_option, config_path
from pgops.config.loader import load
from pgops.config.model import ClusterConfig, Config
from pgops.errors import PgopsError
from pgops.observe.gather import observe
from pgops.observe.parallel import Task
from pgops.plugins import resolve
from pgops_health.report import Report, all_checks, exit_code, judge, select, views_of

FORMATS = ("table", "json", "yaml", "tsv", "nagios", "prometheus")


@click.command("health")
@click.option(
    "-f", "--format", "form", type=click.Choice(FORMATS), default="table", show_default=True, help="Output format."
)
@click.option("--cluster", "clusters", metavar="NAME", multiple=True, help="Only this cluster (may be repeated).")
@click.option("--all", "every", is_flag=True, help="Every cluster of the configuration, which is also the default.")
@click.option("--check", "checks", metavar="NAME", multiple=True, help="Only this check (may be repeated).")
@click.option("--quick", is_flag=True, help="Ask Patroni's REST API and the DCS only.")
@click.option("--deep", is_flag=True, help="Also compare WAL segments and history files across members and repository.")
@click.option("-v", "--verbose", is_flag=True, help="In the table, show what is ok and what was skipped as well.")
@click.option(
    "--watch", metavar="SECONDS", type=click.FloatRange(min=0.5), help="Repeat every so many seconds until Ctrl-C."
)
@click.option("--list-checks", is_flag=True, help="List the checks and what each looks at, and ask no cluster.")
@click.option("--schema", is_flag=True, help="Print the JSON schema of -f json.")
@config_option
@click.pass_context
def health(
    ctx: click.Context,
    form: str,
    clusters: tuple[str, ...],
    every: bool,
    checks: tuple[str, ...],
    quick: bool,
    deep: bool,
    verbose: bool,
    watch: float | None,
    list_checks: bool,
    schema: bool,
) -> int:
    """Look at every member, the DCS, the proxies and the backups, and say what is wrong, worst first.

    Only reads. Every member is asked itself: a second primary shows here although `patronictl list` looks well.

    Exit codes, as Nagios has them: 0 ok, 1 warning, 2 critical, 3 unknown; any fault of pgops itself is 3.
    """
    if schema:
        click.echo(_read_schema(), nl=False)
        return 0
    every_check, broken = all_checks()
    if list_checks:
        _list(every_check)
        return 0
    if quick and deep:
        raise click.UsageError("--quick and --deep exclude each other.")
    if every and clusters:
        raise click.UsageError("--all and --cluster exclude each other.")
    chosen = select(every_check, checks, quick=quick, deep=deep)
    config = load(config_path(ctx))
    wanted = _pick(config, clusters)
    while True:
        reports = _examine(wanted, config, chosen, broken, quick=quick)
        text = _render(form, reports, verbose=verbose)
        if watch is None:
            click.echo(text, nl=False)
            return exit_code(reports)
        if sys.stdout.isatty() and form == "table":
            click.clear()
        click.echo(text, nl=False)
        sys.stdout.flush()
        time.sleep(watch)


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


def _examine(
    clusters: Sequence[ClusterConfig],
    config: Config,
    checks: Sequence[Check],
    broken: Sequence[Finding],
    *,
    quick: bool,
) -> list[Report]:
    """All clusters at once; worst first, then as configured."""
    views = views_of(checks, quick=quick)
    if len(clusters) == 1:
        return [judge(observe(clusters[0], views, config.warnings), checks, broken)]
    tasks = [Task(partial(observe, cluster, views, config.warnings)) for cluster in clusters]
    reports = [judge(task.result(time.monotonic() + 600), checks, broken) for task in tasks]
    return sorted(reports, key=lambda report: report.verdict.rank)


def _render(form: str, reports: Sequence[Report], *, verbose: bool) -> str:
    if form == "table":
        from pgops_health.formats.table import render

        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        return render(reports, width=_width(), colour=colour, verbose=verbose)
    render_form = resolve(f"pgops_health.formats.{form}_text:render")
    text: str = render_form(reports)  # type: ignore[operator] # one of our own modules, by name
    return text


def _width() -> int | None:
    """Columns to wrap at: the terminal's, or COLUMNS where it is set; elsewhere lines stay whole for grep."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS"):
        import shutil

        return max(40, shutil.get_terminal_size().columns)
    return None


def _list(checks: Sequence[Check]) -> None:
    from pgops.render.table import render_table

    rows = [[check.name, ", ".join(sorted(view.value for view in check.views)), check.summary] for check in checks]
    click.echo(render_table(["check", "reads", "says"], rows))


def _read_schema() -> str:
    from pathlib import Path

    return (Path(__file__).parent / "schema.json").read_text(encoding="utf-8")
