"""`pgops runs`: which runs there are, and going on with one that is unfinished."""

from __future__ import annotations

import click

from pgops.cli.acting import Choices, running_options
from pgops.cli.context import config_option

_FORM = click.option(
    "-f", "--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to print."
)


@click.group("runs")
def runs_group() -> None:
    """The runs of pgops: see them, continue or abort an unfinished one."""


@runs_group.command("list")
@click.option("--cluster", metavar="NAME", help="Only this cluster.")
@_FORM
@config_option
@click.pass_context
def list_runs(ctx: click.Context, cluster: str | None, form: str) -> int:
    """List the unfinished run of each cluster, and the runs whose journal lies on this machine, newest first."""
    from pgops.cli import runs_view

    return runs_view.list_runs(ctx, cluster, form)


@runs_group.command("show")
@click.argument("run_id", metavar="ID")
@_FORM
@config_option
@click.pass_context
def show_run(ctx: click.Context, run_id: str, form: str) -> int:
    """Show the journal of a run: who, when, each step, each effect, and how it ended."""
    from pgops.cli import runs_view

    return runs_view.show_run(ctx, run_id, form)


@runs_group.command("continue")
@click.argument("run_id", metavar="ID")
@running_options
@click.pass_context
def continue_run(ctx: click.Context, run_id: str, choices: Choices) -> int:
    """Go on with an unfinished run, from this machine or another one.

    An effect that was begun is settled by looking; nothing is done twice that must not be.
    """
    from pgops.cli import runs_acting

    return runs_acting.go_on(ctx, run_id, choices, back=False)


@runs_group.command("abort")
@click.argument("run_id", metavar="ID")
@click.option("--forget", is_flag=True, help="Only remove its record: for a run whose way back you went by hand.")
@running_options
@click.pass_context
def abort_run(ctx: click.Context, run_id: str, choices: Choices, forget: bool) -> int:
    """Undo an unfinished run by its planned way back, and free the cluster."""
    from pgops.cli import runs_acting

    return runs_acting.forget(ctx, run_id, choices) if forget else runs_acting.go_on(ctx, run_id, choices, back=True)


@runs_group.command("prune")
@click.option(
    "--older-than", metavar="DAYS", type=click.IntRange(min=1), default=90, show_default=True, help="In days."
)
def prune_runs(older_than: int) -> int:
    """Remove journals of runs that ended longer ago than this. Unfinished ones are kept."""
    from pgops.cli import runs_view

    return runs_view.prune_runs(older_than)
