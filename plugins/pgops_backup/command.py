"""`pgops backup`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from pgops.cli.acting import Choices, acting_options
from pgops.cli.context import config_path
from pgops.plugins import resolve
from pgops_backup import SUBCOMMANDS
from pgops_backup.parameters import parse_age, parse_window, parse_zone


class Parsed(click.ParamType[Any]):
    """What a parser makes of the text; it raises `ValueError` with what it wants instead."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self._parse(value) if isinstance(value, str) else value
        except ValueError as fault:
            self.fail(f"{value!r} is not {fault}", param, ctx)


_AGE, _WINDOW, _ZONE = Parsed("duration", parse_age), Parsed("window", parse_window), Parsed("zone", parse_zone)


class BackupGroup(click.Group):
    """A group that acts by itself; its subcommands are loaded when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = SUBCOMMANDS.get(cmd_name)
        if found is None:
            return None
        command = resolve(found[0])
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in `--help`, without loading any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in sorted(SUBCOMMANDS.items())])


@click.group("backup", cls=BackupGroup, invoke_without_command=True)
@click.option(
    "--type",
    "kind",
    type=click.Choice(["full", "diff", "incr"]),
    default="incr",
    show_default=True,
    help="What to copy: all, what changed since the last full backup, or since the last backup of any kind.",
)
@click.option(
    "--from",
    "source",
    type=click.Choice(["primary", "replica", "prefer-replica"]),
    default="primary",
    show_default=True,
    help="Whose files are copied. A replica needs pg2-* in pgBackRest's configuration of the leader.",
)
@click.option("--node", metavar="NODE", help="The node that this command runs on; else it is found by the host's name.")
@click.option(
    "--if-older-than",
    "if_older_than_s",
    type=_AGE,
    metavar="AGE",
    help="Only where the newest backup is older (20h, 6d): of any kind; for --type full, the newest full one.",
)
@click.option("--window", type=_WINDOW, metavar="HH:MM-HH:MM", help="Only between these times of the day.")
@click.option(
    "--timezone",
    "zone",
    type=_ZONE,
    default="UTC",
    show_default=True,
    help="The zone of --window.",
)
@click.option(
    "--jitter",
    "jitter_s",
    type=_AGE,
    metavar="TIME",
    help="Wait a random time first, at most this long.",
)
@click.option("--repo", type=click.IntRange(1, 256), metavar="N", help="The repository; else pgBackRest's own choice.")
@click.option("--no-expire", is_flag=True, help="Do not remove what the retention no longer keeps afterwards.")
@click.option("--textfile", metavar="DIR", type=click.Path(), help="Write metrics there for node_exporter.")
@click.option("-v", "--verbose", is_flag=True, help="Say why nothing was done, where nothing had to be done.")
@acting_options
@click.pass_context
def backup(ctx: click.Context, /, choices: Choices, **wishes: Any) -> int:
    """Make a backup, on the leader alone: from cron on every node, one makes it and the others end silently with 0.

    The leader is the node that holds the leader lock in the DCS and whose own PostgreSQL is not in recovery. A primary
    without the lock refuses (exit 3); where something cannot be read it says so (exit 5). Afterwards the backup is looked
    up in the repository and proved; then the retention is applied.

    On a machine that is none of the nodes, the leader is asked to make it.
    """
    if ctx.invoked_subcommand is not None:
        return 0
    from pgops_backup.making import Wishes, make_backup

    return make_backup(config_path(ctx), Wishes(**wishes), choices)
