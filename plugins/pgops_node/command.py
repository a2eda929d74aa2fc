"""`pgops node`."""

from __future__ import annotations

import click

from pgops.cli.acting import Choices, act, acting_options

_SERVICE = click.option(
    "--service", metavar="ROLE", default="patroni", show_default=True, help="A role of services.names in pgops.yml."
)


@click.group("node")
def node() -> None:
    """Hold a node, so that nothing starts it, or release it."""


@node.command("hold")
@click.argument("name", metavar="NODE")
@click.option("--reason", metavar="TEXT", help="Why; whoever finds the node held reads it.")
@_SERVICE
@acting_options
@click.pass_context
def hold(ctx: click.Context, choices: Choices, name: str, reason: str | None, service: str) -> int:
    """Keep the Patroni of NODE from being started: by hand, at boot, after a crash. What runs now runs on.

    The hold is proved by a start that is refused, where the service is not running. It survives a reboot, and
    `pgops health` shows it, until `pgops node release`.
    """
    if reason is not None and (not reason.strip() or not reason.isprintable() or len(reason) > 500):
        raise click.UsageError("--reason is one line of at most 500 signs.")
    return act(ctx, "node-hold", {"node": name, "reason": reason, "service": service}, choices)


@node.command("release")
@click.argument("name", metavar="NODE")
@_SERVICE
@acting_options
@click.pass_context
def release(ctx: click.Context, choices: Choices, name: str, service: str) -> int:
    """Let the Patroni of NODE be started again. Starts nothing by itself."""
    return act(ctx, "node-release", {"node": name, "service": service}, choices)
