"""`pgops salvage`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pgops.cli.acting import Choices, act, acting_options

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class OwnArgument(click.Argument):
    """An argument of a `RunGroup` itself, which none of the commands below it has before its own name."""

    def get_usage_pieces(self, ctx: click.Context) -> list[str]:
        """See `click.Argument`."""
        return super().get_usage_pieces(ctx) if isinstance(ctx.command, RunGroup) else []

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands that may stand in its place."""
        from click.shell_completion import CompletionItem

        below = ctx.command.commands.items() if isinstance(ctx.command, RunGroup) else ()
        return [
            CompletionItem(name, help=command.get_short_help_str())
            for name, command in below
            if name.startswith(incomplete)
        ]


class RunGroup(click.Group):
    """A command of its own for a run, with commands below it. A first word that is none of these begins its own use."""

    allow_extra_args = False
    allow_interspersed_args = True

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As a command, unless the first word names one below it; no run has such a name: they begin with their moment."""
        if args and args[0] in self.commands:
            ctx.args = args
            return args
        late = next((word for word in args if word in self.commands), None)
        if late is not None and not ctx.resilient_parsing:
            raise click.UsageError(f"{late} is a command: it comes first, and its options behind it", ctx)
        return click.Command.parse_args(self, ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the one below, or its own."""
        if not ctx.args:
            return click.Command.invoke(self, ctx)
        name, *rest = ctx.args
        ctx.invoked_subcommand = name
        with self.commands[name].make_context(name, rest, parent=ctx) as below:
            return below.command.invoke(below)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Both uses."""
        return [*click.Command.collect_usage_pieces(self, ctx), "|", "COMMAND RUN"]

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Its own options: the commands are offered in the place of a run."""
        return click.Command.shell_complete(self, ctx, incomplete)


_NODE = click.option("--node", metavar="NODE", help="The copy of this member alone. Default: every copy of the run.")
_SUPERUSER = click.option(
    "--superuser", metavar="NAME", default="postgres", show_default=True, help="The cluster's superuser."
)


@click.group("salvage", cls=RunGroup, no_args_is_help=False)
@click.argument("run", metavar="RUN", cls=OwnArgument)
@_NODE
@_SUPERUSER
@acting_options
@click.pass_context
def salvage(ctx: click.Context, choices: Choices, run: str, node: str | None, superuser: str) -> int:
    """Read the rows that only the copies of RUN have, into a folder beside each: see pgops copies list.

    A working copy is opened as a standby without a source, on a private socket; the kept one stays as it is. The folder
    `salvage` holds customers' data and is its owner's alone: REPORT.md, summary.json, a CSV for each table, and for each
    database a script that inserts them on the survivor, for you to read first. With apply, the scripts that you have
    read are run on the leader; with remove, the folder goes.
    """
    return act(ctx, "salvage", {"run": run, "node": node or "", "superuser": superuser}, choices)


@salvage.command("apply")
@click.argument("run", metavar="RUN")
@_NODE
@_SUPERUSER
@acting_options
@click.pass_context
def apply(ctx: click.Context, choices: Choices, run: str, node: str | None, superuser: str) -> int:
    """Run the scripts in the salvage folders of RUN on the leader, as you left them, each once.

    Refused while one ends in ROLLBACK: read it, and write COMMIT there. With --dry-run every saved row is compared with
    the leader first: which would be inserted, which are there, and which keys have other content on both sides. Cut off
    anywhere, pgops runs continue asks the leader how the transaction ended; nothing is run twice.
    """
    params = {"run": run, "node": node or "", "superuser": superuser}
    if not choices.dry_run or choices.plan_out is not None:
        return act(ctx, "salvage-apply", params, choices)
    from pgops_recover.comparing_command import compare

    return compare(ctx, params, choices)


@salvage.command("remove")
@click.argument("run", metavar="RUN")
@_NODE
@acting_options
@click.pass_context
def remove(ctx: click.Context, choices: Choices, run: str, node: str | None) -> int:
    """Remove the salvage folders of RUN, and what was carried of them to other hosts, for good.

    They hold customers' data; the cluster's name is asked for (--confirm). The copies stay, with what tells which scripts
    were applied, and pgops salvage RUN makes the folders again; until then, pgops copies remove is refused.
    """
    return act(ctx, "salvage-remove", {"run": run, "node": node or ""}, choices)
