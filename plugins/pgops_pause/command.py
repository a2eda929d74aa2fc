"""`pgops pause` and `pgops resume`."""

from __future__ import annotations

import click

from pgops.cli.acting import Choices, act, acting_options


class Duration(click.ParamType[int]):
    """A duration such as 90s, 15min, 26h or 8d; whole seconds come out."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The seconds. Fails for what is no duration, or not longer than nothing."""
        from pgops.config.units import DURATION_FORMS, parse_duration

        seconds = parse_duration(str(value))
        if seconds is None or not 1 <= seconds <= 366 * 86400:
            self.fail(f"{value!r} is not {DURATION_FORMS}, from 1 s to 366 d", param, ctx)
        return int(seconds)


@click.command("pause")
@click.option("--reason", metavar="TEXT", help="Why; whoever finds the cluster paused reads it.")
@click.option("--expires", metavar="DURATION", type=Duration(), help="After this `pgops health` warns of it (2h, 1d).")
@acting_options
@click.pass_context
def pause(ctx: click.Context, choices: Choices, reason: str | None, expires: int | None) -> int:
    """Switch automatic failover off: Patroni promotes, starts and stops nothing until `pgops resume`.

    Owner, reason and expiry are recorded in the DCS and shown by `pgops health`. Every member is asked whether it heeds
    the pause; one that cannot be asked is named, and the exit code is 8. An expired pause does not end by itself.
    """
    if reason is not None and (not reason.strip() or not reason.isprintable() or len(reason) > 500):
        raise click.UsageError("--reason is one line of at most 500 signs.")
    return act(ctx, "pause", {"reason": reason, "expires_s": expires}, choices)


@click.command("resume")
@click.option(
    "--without", metavar="NODE", multiple=True, help="Resume although this member cannot be seen (may be repeated)."
)
@acting_options
@click.pass_context
def resume(ctx: click.Context, choices: Choices, without: tuple[str, ...]) -> int:
    """Switch automatic failover on again, unless that would destroy evidence.

    Refused while a second primary runs, a member is on another branch or has a foreign system identifier, or a member
    that could be one of these cannot be seen: Patroni would demote and rewind it within seconds. Takes no argument; to go
    on with an unfinished run, see `pgops runs`.
    """
    return act(ctx, "resume", {"without": ",".join(sorted(set(without))) or None}, choices)
