"""The command `pgops backup check`."""

from __future__ import annotations

import json

import click

from pgops.cli.context import config_option, config_path


@click.command("check")
@click.option("--cluster", "name", metavar="NAME", help="The cluster; needed where several are configured.")
@click.option("--no-push", is_flag=True, help="Do not try whether WAL of the leader really comes into the repository.")
@click.option(
    "--wait",
    "wait_s",
    metavar="SECONDS",
    type=click.IntRange(1, 3600),
    default=60,
    show_default=True,
    help="How long to wait for the pushed WAL segment.",
)
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="Output format.",
)
@config_option
@click.pass_context
def check(ctx: click.Context, name: str | None, no_push: bool, wait_s: int, form: str) -> int:
    """Say whether backups can be relied on, before one is needed.

    Looks at the stanza and whose server it is of, whether all members share one repository, the settings of archiving, what
    is kept, and versions. Then the leader switches to a new WAL segment (pgbackrest check), and it is seen whether that
    comes into the repository. Nothing else is changed.

    Exit codes: 0 all is well, 1 something is wrong, 5 nothing is seen to be wrong, but not all could be seen.
    """
    from pgops.cli import interrupts
    from pgops.cli.cluster_choice import choose_cluster
    from pgops.config.loader import load
    from pgops_backup import check_text, checking, looking_over

    config = load(config_path(ctx))
    cluster = choose_cluster(config, name)
    snapshot, rows = looking_over.check_backups(cluster, config.warnings, push=not no_push, wait_s=wait_s)
    interrupts.check()
    if form == "json":
        click.echo(json.dumps(check_text.document(snapshot, rows), indent=2))
    else:
        click.echo(check_text.render(snapshot, rows), nl=False)
    return checking.exit_code(rows)
