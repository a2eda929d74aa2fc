"""`pgops guard`."""

from __future__ import annotations

import click

from pgops.cli.acting import Choices, act, acting_options
from pgops.errors import ExitCode
from pgops_recover.looking_command import look, looking_options, show


class Size(click.ParamType[int]):
    """A size such as 10GiB; bytes come out."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The bytes. Fails for what is no size, or nothing."""
        from pgops.config.units import SIZE_FORMS, parse_size

        size = parse_size(str(value))
        if size is None or size < 1:
            self.fail(f"{value!r} is not {SIZE_FORMS}", param, ctx)
        return size


@click.group("guard")
def guard() -> None:
    """Keep what Patroni's automatic rewind would discard."""


@guard.command("install")
@click.option(
    "--mode",
    type=click.Choice(["keep", "stop"]),
    default="keep",
    show_default=True,
    help="keep: keep the WAL, then rewind. stop: rewind only a member that has no commits of its own; another one stays "
    "down, whole, until `pgops recover split-brain`.",
)
@click.option(
    "--limit",
    metavar="SIZE",
    type=Size(),
    default="10GiB",
    show_default=True,
    help="Kept WAL takes at most this on a host; where it is full, nothing is rewound.",
)
@click.option(
    "--dir",
    "directory",
    metavar="DIRECTORY",
    help="Where the programs lie, the same on every host. Default: pgops-guard beside the data directory.",
)
@acting_options
@click.pass_context
def install(ctx: click.Context, choices: Choices, mode: str, limit: int, directory: str | None) -> int:
    """Put pgops's program in pg_rewind's place on every member.

    A former leader's committed rows that its successor has not are discarded by pg_rewind, before anybody is called. The
    guard keeps them first. In doubt it rewinds nothing: the member then stays as it is, and `pgops health` tells of it.

    From Patroni 3.0.3 on the dynamic configuration names it (postgresql.bin_name). An older Patroni must take all programs
    from a directory of links (postgresql.bin_dir in its own file, where that value alone is changed), and reads that when
    it starts: each one is restarted, the leader's last, while the cluster is paused; PostgreSQL runs on.
    """
    from pgops.config.words import refuse_path

    if directory is not None and (why := refuse_path(directory) or _odd(directory)):
        raise click.UsageError(f"--dir: {why}")
    return act(ctx, "guard-install", {"mode": mode, "limit_bytes": limit, "dir": directory}, choices)


def _odd(directory: str) -> str | None:
    if not directory.startswith("/") or any(sign in directory for sign in "\"'\\ \t$`"):
        return "an absolute path without quotes, blanks and backslashes is needed"
    return None


@guard.command("remove")
@acting_options
@click.pass_context
def remove(ctx: click.Context, choices: Choices) -> int:
    """Let Patroni call pg_rewind itself again, and remove the guard's programs. What it kept stays: `pgops copies list`."""
    return act(ctx, "guard-remove", {}, choices)


@guard.command("status")
@looking_options
@click.pass_context
def status(ctx: click.Context, cluster: str | None, form: str) -> int:
    """Show, member by member, whether the guard stands before its next rewind. Ends with 1 where it does not, 5 if unread."""
    from pgops.observe.snapshot import View
    from pgops_recover.guard_text import guard_document, render_guard

    document = guard_document(look(ctx, cluster, frozenset({View.DCS, View.GUARD})))
    show(form, document, render_guard(document))
    if document["guarded"] is None:
        return ExitCode.UNREACHABLE
    return ExitCode.DONE if document["guarded"] else ExitCode.FAILED
