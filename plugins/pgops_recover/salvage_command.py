"""`pgops salvage`."""

from __future__ import annotations

import click

from pgops.cli.acting import Choices, act, acting_options


@click.command("salvage")
@click.argument("run", metavar="RUN")
@click.option("--node", metavar="NODE", help="The copy of this member alone. Default: every copy of the run.")
@click.option("--superuser", metavar="NAME", default="postgres", show_default=True, help="The cluster's superuser.")
@acting_options
@click.pass_context
def salvage(ctx: click.Context, choices: Choices, run: str, node: str | None, superuser: str) -> int:
    """Read the rows that only the copies of RUN have, into a folder beside each: see pgops copies list.

    A working copy is opened as a standby without a source, on a private socket; the kept one stays as it is. The folder
    `salvage` holds customers' data and is its owner's alone: REPORT.md, summary.json, a CSV for each table, and for each
    database a script that inserts them on the survivor, for you to read first.
    """
    return act(ctx, "salvage", {"run": run, "node": node or "", "superuser": superuser}, choices)
