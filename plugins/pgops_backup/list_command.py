"""The command `pgops backup list`."""

from __future__ import annotations

import json

import click

from pgops.cli.context import config_option, config_path


@click.command("list")
@click.option("--cluster", "name", metavar="NAME", help="The cluster; needed where several are configured.")
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
def list_backups(ctx: click.Context, name: str | None, form: str) -> None:
    """List the backups: age, sizes, timeline, WAL, what each depends on, and what is running now.

    Only reads. TOOK is from start to stop, IN REPO what the backup itself added to the repository, CHAIN what it depends
    on and whether that is still there; MADE BY is the run of pgops that made it.
    """
    from pgops.cli import interrupts
    from pgops.cli.cluster_choice import choose_cluster
    from pgops.config.loader import load
    from pgops.observe.gather import observe
    from pgops.observe.snapshot import View
    from pgops_backup import listing, listing_text, seeing

    config = load(config_path(ctx))
    cluster = choose_cluster(config, name)
    snapshot = observe(cluster, frozenset({View.BACKUP}), config.warnings)
    interrupts.check()
    witnesses = seeing.need_witnesses(snapshot)
    seen = seeing.Seen(cluster.name, witnesses[0].name, snapshot.taken_at, None)
    rows = listing.list_rows(witnesses[0].stanza, snapshot.taken_at)
    underway = listing.find_underway(snapshot, witnesses)
    remarks = seeing.remarks(snapshot, witnesses)
    if form == "json":
        click.echo(json.dumps(listing_text.document(seen, rows, underway, remarks), indent=2))
    else:
        click.echo(listing_text.render(seen, rows, underway, remarks), nl=False)
