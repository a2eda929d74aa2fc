"""`pgops recover`."""

from __future__ import annotations

from contextlib import nullcontext, redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING

import click

from pgops.cli.acting import Choices, act, acting_options
from pgops.cli.streams import say
from pgops.errors import ExitCode, PgopsError

if TYPE_CHECKING:
    from pgops.config.model import ClusterConfig


@click.group("recover")
def recover() -> None:
    """Recover a cluster, and lose no committed row unnamed."""


@recover.command("split-brain")
@click.option("--survivor", metavar="NODE", help="The member whose branch goes on. Required to act.")
@click.option(
    "--without",
    metavar="NODE=HOW",
    multiple=True,
    help="Leave this member as it is. HOW it is kept from coming back: off (no power) or held. May be repeated.",
)
@click.option("--no-counts", is_flag=True, help="Do not count what only one member has; with --dry-run.")
@click.option("--superuser", metavar="NAME", default="postgres", show_default=True, help="The cluster's superuser.")
@click.option("--no-backup", is_flag=True, help="Do not make a full backup once all is well.")
@acting_options
@click.pass_context
def split_brain(
    ctx: click.Context,
    choices: Choices,
    survivor: str | None,
    without: tuple[str, ...],
    no_counts: bool,
    superuser: str,
    no_backup: bool,
) -> int:
    """Mend a split brain: keep what only the losers have, then clone them anew from the survivor.

    --dry-run tells who is on which branch, where they part, and what was committed on one side alone, table by table.
    Nothing is destroyed: each loser's WAL is copied and its data directory is moved aside. A survivor that has not the
    lock, or is on a lower timeline than a loser, is stopped for seconds and goes on above every timeline that was seen.
    What a loser archived in the place of the survivor's files leaves the archive, once it is kept; that asks for --confirm.

    Once all is done, health --deep is shown, and where a pgBackRest stanza is configured a full backup is made that expires
    none; neither changes how the recovery ended. With -f json, and by runs continue, both are left to you.
    """
    params = {"survivor": survivor or "", "without": _left_out(survivor, without), "superuser": superuser}
    if choices.form == "text" and (choices.dry_run or survivor is None):
        _tell(ctx, choices, params, counts=not no_counts)
    if survivor is None:
        if choices.form != "text":
            raise click.UsageError("-f json gives a plan, and there is none without --survivor.")
        if choices.dry_run:
            return 0
        raise click.UsageError(
            "--survivor is required to act: it is never chosen for you. --dry-run shows who has what."
        )

    def follow(cluster: ClusterConfig) -> None:
        _follow_up(ctx, choices, cluster, survivor, backup=not no_backup)

    return act(ctx, "recover-split-brain", params, choices, then=follow)


def _left_out(survivor: str | None, without: tuple[str, ...]) -> str:
    from pgops_recover.incident import HELD, OFF, parse_left_out

    told = ",".join(sorted(set(without)))
    try:
        names = parse_left_out(told)
    except ValueError as fault:
        raise click.UsageError(
            f"--without: {fault}: NODE={OFF} where its host has no power (or no network, for good), NODE={HELD} where "
            "pgops node hold NODE was done"
        ) from None
    if survivor in names:
        raise click.UsageError(f"--without: {survivor} is the survivor")
    return told


def _tell(ctx: click.Context, choices: Choices, params: dict[str, str], *, counts: bool) -> None:
    """Who is on which branch at once; then, member by member, what only it has."""
    from pgops.cli.cluster_choice import open_cluster
    from pgops.engine.real_world import RealEyes
    from pgops.plan.step import SYMBOLIC
    from pgops.render.text import printable
    from pgops_recover.counting import count
    from pgops_recover.diagnosis_text import render_count, render_recommendation, render_states
    from pgops_recover.incident import find_incident
    from pgops_recover.recovering import RECOVER

    def tell(text: str) -> None:
        click.echo("".join(f"{printable(line)}\n" for line in text.splitlines()), nl=False)

    cluster, dcs, config = open_cluster(ctx, choices.cluster)
    eyes = RealEyes(cluster, dcs, config.warnings)
    try:
        now = eyes.observe(RECOVER.views, None)
        against = params["survivor"] or now.leader
        tell(render_states(now, against))
        incident = find_incident({**params, "survivor": against}, SYMBOLIC, now) if against else None
        for loser in incident.losers if incident and counts else ():
            node = now.node(loser.name)
            if node is not None and loser.parting.pieces:
                tell(render_count(loser.name, count(cluster, node, loser)))
        if not params["survivor"]:
            tell(render_recommendation(now, incident))
    finally:
        eyes.close()


def _follow_up(ctx: click.Context, choices: Choices, cluster: ClusterConfig, survivor: str, *, backup: bool) -> None:
    """Tell what `health --deep` finds, and make a full backup: one from before is far from what the cluster is now.

    The recovery is done, and whatever these come to does not change how it ended: it is told. Nothing is expired: what the
    guard kept is read on a backup from before the fork, and WAL of a branch that lost is fetched from the archive.
    """
    with redirect_stdout(StringIO()) if choices.quiet else nullcontext() as said:
        code = _call(ctx, "health", "--deep", "--cluster", cluster.name)
    if said is not None and code:
        click.echo(said.getvalue(), nl=False)
    if not backup or cluster.stanza is None:
        return
    if not choices.quiet:
        say(
            "the recovery is done; now a full backup, which blocks nobody and expires nothing. Ctrl-C leaves it running"
        )
    quiet = ["-q"] if choices.quiet else []
    words = ["--type", "full", "--no-expire", "--node", survivor, "--cluster", cluster.name, *quiet]
    _call(ctx, "backup", *words)


def _call(ctx: click.Context, name: str, *words: str) -> int:
    """The exit code of a command of another plugin, in this process; what it refuses is told, and how to repeat it."""
    root = ctx.find_root()
    group = root.command
    command = group.get_command(root, name) if isinstance(group, click.Group) else None
    again = " ".join(("pgops", name, *words))
    if command is None:
        say(f"there is no command {name} here; run it where there is: {again}")
        return ExitCode.FAILED
    from pgops.cli.run import tell

    try:
        with command.make_context(name, list(words), parent=root) as own:
            return int(command.invoke(own) or 0)
    except PgopsError as error:
        tell(error)
        say(f"the recovery is done all the same. Once that is mended: {again}")
        return error.exit_code
