"""`pgops runs continue` and `pgops runs abort`."""

from __future__ import annotations

import click

from pgops.cli.acting import Choices, ask_for, find_procedure, show, tell_outcome
from pgops.cli.asking import find_person
from pgops.cli.cluster_choice import open_cluster
from pgops.cli.progress import choose_listener
from pgops.engine import operation
from pgops.engine.operator import pin
from pgops.engine.real_world import RealWorld
from pgops.errors import ExitCode, Refused


def go_on(ctx: click.Context, run_id: str, choices: Choices, *, back: bool) -> int:
    """Continue the run, or abort it with `back`. What is left to do is shown, and asked for as its risk demands."""
    cluster, dcs, config = open_cluster(ctx, choices.cluster)
    world = RealWorld(cluster, dcs, config.warnings)
    try:
        found = operation.find_unfinished(world, run_id, back=back)
        procedure = find_procedure(found.header.procedure)
        plan = operation.plan_rest(procedure, found, world, back=back)
        if choices.dry_run:
            return show(plan, choices)
        ask_for(plan, choices)
        listener = choose_listener(quiet=choices.quiet or choices.form == "json")
        outcome = operation.go_on(world, procedure, plan, found, back=back, listener=listener, log_file=config.log_file)
        return tell_outcome(outcome, plan, choices)
    finally:
        world.close()


def forget(ctx: click.Context, run_id: str, choices: Choices) -> int:
    """Remove the record of the run, once somebody agreed that nothing is to be undone."""
    cluster, dcs, config = open_cluster(ctx, choices.cluster)
    world = RealWorld(cluster, dcs, config.warnings)
    try:
        question = f"Forget the run {run_id}, and leave the cluster as that run left it?"
        if not choices.yes and not find_person().agrees(question):
            raise Refused("declined", why="nothing was done")
        operation.forget_run(world, run_id, pin())
        if not choices.quiet:
            click.echo(f"forgotten: {run_id}; the cluster is as that run left it")
        return ExitCode.DONE
    finally:
        world.close()
