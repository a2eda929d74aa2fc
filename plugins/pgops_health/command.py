"""The command `pgops health`."""

from __future__ import annotations

import sys
import time

import click

from pgops.cli import interrupts
from pgops.cli.context import config_option, config_path

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
    if quick and deep:
        raise click.UsageError("--quick and --deep exclude each other.")
    if every and clusters:
        raise click.UsageError("--all and --cluster exclude each other.")
    from pgops_health import examination  # not for --help: it brings the loader and all of observation

    if schema:
        click.echo(examination.read_schema(), nl=False)
        return 0
    if list_checks:
        click.echo(examination.list_checks())
        return 0
    examined = examination.Examination(config_path(ctx), clusters, checks, quick=quick, deep=deep)
    while True:
        reports = examined.make_reports()
        interrupts.check()
        text = examination.render(form, reports, verbose=verbose)
        if watch is None:
            click.echo(text, nl=False)
            return examination.exit_code(reports)
        if sys.stdout.isatty() and form == "table":
            click.clear()
        click.echo(text, nl=False)
        sys.stdout.flush()
        time.sleep(watch)
