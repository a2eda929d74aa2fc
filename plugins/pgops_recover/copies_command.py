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
    """List them: where each lies, its size, what it holds, and which run made it when and why.

    The size is the room on disk, measured for 20 s at most on each host. Ends with 5 if a host is unread.
    """
    from pgops.observe.snapshot import View
    from pgops.readings import known
    from pgops_recover.copies_text import copies_document, render_copies
    from pgops_recover.holdings import read_holdings

    now = look(ctx, cluster, frozenset({View.COPIES}))
    found = [(node.name, copy) for node in now.nodes for copy in known(node.copies) or ()]
    holdings = read_holdings(now.cluster, found, papers=False)
    document = copies_document(now, holdings)
    show(form, document, render_copies(now, holdings))
    return ExitCode.UNREACHABLE if document["unknown"] else ExitCode.DONE


@copies.command("show")
@click.argument("run", metavar="RUN")
@click.option("--node", metavar="NODE", help="The copy of this member alone. Default: every copy of the run.")
@looking_options
@click.pass_context
def show_copies(ctx: click.Context, cluster: str | None, form: str, run: str, node: str | None) -> int:
    """Show all that is known of the copies of RUN: from which fork, what only each has, its size, what to do next.

    Rows are counted by table once pgops salvage has read them, and by file before that. Ends with 5 if a host is unread.
    """
    from pgops.errors import PgopsError
    from pgops.observe.snapshot import View
    from pgops_recover.copy_text import render_run, run_document
    from pgops_recover.holdings import read_holdings
    from pgops_recover.salvaging import copies_of

    now = look(ctx, cluster, frozenset({View.COPIES}))
    nodes = [each for each in now.nodes if node in (None, each.name)]
    if not nodes:
        names = ", ".join(each.name for each in now.nodes)
        raise PgopsError(f"there is no member {node}", why=f"there are: {names}", next_step="pgops copies list")
    found = copies_of(now, run, node or "")
    document = run_document(now.cluster.name, run, nodes, read_holdings(now.cluster, found, papers=True))
    if not found and not document["unknown"]:
        where = f" on {node}" if node else ""
        raise PgopsError(f"the run {run} has no copy{where} (any more)", next_step="pgops copies list")
    show(form, document, render_run(document, now.taken_at))
    return ExitCode.UNREACHABLE if document["unknown"] else ExitCode.DONE
