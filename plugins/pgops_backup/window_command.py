"""The command `pgops backup window`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from pgops.cli.context import config_option, config_path

if TYPE_CHECKING:
    from datetime import datetime

    from pgops_backup.window_search import Search


@click.command("window")
@click.option("--cluster", "name", metavar="NAME", help="The cluster; needed where several are configured.")
@click.option(
    "--at", "typed", metavar="TIME", help="How to get to this time, with its zone: 2026-11-23T03:04:05+00:00."
)
@click.option("--repo", "repo_key", metavar="N", type=click.IntRange(1, 256), help="Only this repository.")
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
def window(ctx: click.Context, name: str | None, typed: str | None, repo_key: int | None, form: str) -> int:
    """Say to which times the cluster can be restored, exactly, with the gaps in between.

    For each repository and each timeline that the archive knows: a time is within when a whole backup stopped before it,
    no WAL segment is missing on the way there, and a later transaction is archived (recovery stops just before that
    one). Only reads: the last segments are fetched into a private directory on a member's host, looked into and removed.

    With --at: from which backup, on which timeline, how much WAL is replayed and how long that may take; exit code 3
    where that time cannot be reached, with the reason.
    """
    from pgops.cli import interrupts
    from pgops.cli.cluster_choice import choose_cluster
    from pgops.config.loader import load
    from pgops_backup import window_search, window_text
    from pgops_backup.moments import NoMoment, parse_moment

    try:
        moment = parse_moment(typed) if typed is not None else None
    except NoMoment as fault:
        raise click.BadParameter(f"{fault}.", param_hint="--at") from None
    config = load(config_path(ctx))
    search = window_search.Search(choose_cluster(config, name), config.warnings, repo_key)
    try:
        interrupts.check()
        if moment is not None:
            return _answer(search, moment, form)
        lines, remarks = search.lines(), search.remarks()
    finally:
        search.close()
    if form == "json":
        click.echo(json.dumps(window_text.document(search.seen, lines, remarks), indent=2))
    else:
        click.echo(window_text.render(search.seen, lines, remarks), nl=False)
    return 0


def _answer(search: Search, moment: datetime, form: str) -> int:
    from pgops.errors import ExitCode, Refused, Unreachable
    from pgops_backup import answer_text
    from pgops_backup.answers import NoWay

    told = search.answer(moment)
    if isinstance(told, NoWay):
        if form != "json":
            raise (Refused if told.certain else Unreachable)(
                answer_text.refusal(moment, told),
                why=told.why,
                next_step="pgops backup window lists what can be reached",
            )
        click.echo(json.dumps(answer_text.no_document(search.seen, moment, told), indent=2))
        return ExitCode.REFUSED if told.certain else ExitCode.UNREACHABLE
    if form == "json":
        click.echo(json.dumps(answer_text.document(search.seen, told), indent=2))
    else:
        click.echo(answer_text.render(search.seen, told), nl=False)
    return ExitCode.DONE
