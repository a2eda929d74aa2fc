"""`pgops apply FILE`: the plan of a file is derived anew, and run only if it is the same one."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from pgops.cli.acting import Choices, ask_for, find_procedure, running_options, show, tell_notes, tell_outcome
from pgops.errors import ExitCode, PgopsError, Refused

if TYPE_CHECKING:
    from pgops.plan.plan import Plan

LIMIT_BYTES = 16 * 1024 * 1024


class PlanStale(PgopsError):
    """The plan of the file is not the one that the cluster needs now."""

    exit_code = ExitCode.PLAN_STALE


@click.command("apply")
@click.argument("file", type=click.Path())
@running_options
@click.pass_context
def apply(ctx: click.Context, file: str, choices: Choices) -> int:
    """Run a plan that `--plan-out` saved, if it still fits the cluster.

    Nothing in the file is executed: the plan is derived anew from its procedure and parameters, and must be equal to the
    file's. The file must be your own and as pgops wrote it. Exit code 6: the cluster moved, nothing was done.
    """
    from pgops.cli.cluster_choice import open_cluster

    document = read_plan(file)
    if choices.cluster not in (None, document["cluster"]):
        raise Refused(f"the plan is for the cluster {document['cluster']}", where=file)
    cluster, dcs, config = open_cluster(ctx, document["cluster"])
    from pgops.cli.progress import choose_listener
    from pgops.engine import operation
    from pgops.engine.real_world import RealWorld

    procedure = find_procedure(document["procedure"])
    world = RealWorld(cluster, dcs, config.warnings)
    try:
        plan = operation.make_plan(procedure, document["params"], world)
        if choices.dry_run:
            return show(plan, choices)
        refuse_different(document, plan, file)
        tell_notes(plan, choices)
        ask_for(plan, choices)
        outcome = operation.run_plan(
            procedure,
            plan,
            world,
            confirmed=True,
            listener=choose_listener(quiet=choices.quiet or choices.form == "json" or plan.is_empty),
            log_file=config.log_file,
        )
        return tell_outcome(outcome, plan, choices)
    finally:
        world.close()


def read_plan(path: str) -> Mapping[str, Any]:
    """The plan of the file, once it is found to be whole. Raises `Refused`."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise Refused("the plan cannot be read", where=path, why=error.strerror) from None
    with os.fdopen(handle, "rb") as file:
        seen = os.fstat(file.fileno())
        if not stat.S_ISREG(seen.st_mode) or seen.st_uid != os.geteuid() or seen.st_mode & 0o022:
            raise Refused(
                "the plan is not run",
                where=path,
                why="it must be a plain file of your own that nobody else may write",
                next_step="make it again with --plan-out",
            )
        content = file.read(LIMIT_BYTES)
    again = "make it again with --plan-out"
    from pgops.plan.plan import seal_plan

    try:
        document: Any = json.loads(content)
        if not isinstance(document, dict) or document.get("kind") != "pgops-plan":
            raise ValueError
        newer = document["schema"] > 1
        whole = set(map(type, document["params"].values())) <= {str, int, float, bool, type(None)}
        texts = all(isinstance(document[name], str) for name in ("procedure", "cluster", "digest"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Refused("this is no plan of pgops", where=path, next_step=again) from None
    if newer:
        raise Refused(
            "the plan was made by a newer pgops", where=path, why=f"schema {document['schema']}", next_step=again
        )
    if not whole or not texts or document.get("seal") != seal_plan(document):
        raise Refused(
            "the plan was changed after it was made, so it is not run",
            where=path,
            why="its text does not have the digest that it carries",
            next_step=again,
        )
    return document


def refuse_different(document: Mapping[str, Any], plan: Plan, path: str) -> None:
    """Raise `PlanStale`, with what differs, unless the plan derived now is the file's."""
    from pgops.plan.plan import plan_document
    from pgops.plan.premises import describe_drift

    if plan.digest == document["digest"]:
        return
    drift = describe_drift(document["premises"], plan.premises, frozenset())
    now = {step["id"]: step for step in plan_document(plan)["steps"]}
    differing = [step["id"] for step in document["steps"] if now.get(step["id"], {}).get("does") != step["does"]]
    raise PlanStale(
        "the plan no longer fits the cluster; nothing was done",
        where=path,
        why=drift or f"other steps than planned: {', '.join(differing) or 'their order'}",
        next_step="look at it again with --dry-run",
    )
