"""`pgops copies`."""

from __future__ import annotations

import click

from pgops.cli.acting import Choices, act, acting_options
from pgops.errors import ExitCode
from pgops_recover.looking_command import look, looking_options, show


@click.group("copies")
def copies() -> None:
    """The safety copies that procedures left on the hosts."""


@copies.command("remove")
@click.argument("run", metavar="RUN")
@click.option("--node", metavar="NODE", help="The copy of this member alone. Default: every copy of the run.")
@click.option("--unsalvaged", is_flag=True, help="Also where its rows were never read out of it by pgops salvage.")
@acting_options
@click.pass_context
def remove(ctx: click.Context, choices: Choices, run: str, node: str | None, unsalvaged: bool) -> int:
    """Remove the copies of RUN for good: data, WAL, account and the salvage folder. See pgops copies list.

    The cluster's name is asked for (--confirm). Refused where the rows of a copy were never read out of it.
    """
    return act(ctx, "copies-remove", {"run": run, "node": node or "", "unsalvaged": unsalvaged}, choices)


@copies.command("list")
@looking_options
@click.pass_context
def list_copies(ctx: click.Context, cluster: str | None, form: str) -> int:
    """List them: where each lies, what it holds, and which run made it when and why. Ends with 5 if a host is unread."""
    from pgops.observe.snapshot import View
    from pgops_recover.copies_text import copies_document, render_copies

    now = look(ctx, cluster, frozenset({View.COPIES}))
    document = copies_document(now)
    show(form, document, render_copies(now))
    return ExitCode.UNREACHABLE if document["unknown"] else ExitCode.DONE
