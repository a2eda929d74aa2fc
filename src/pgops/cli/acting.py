"""What every command that acts has in common: its options, the plan, the question, the run, and how it ended."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pgops.cli.context import config_option
from pgops.errors import ExitCode, PgopsError, Refused

if TYPE_CHECKING:
    from pgops.config.model import ClusterConfig
    from pgops.engine.outcome import Outcome
    from pgops.plan.plan import Plan
    from pgops.plan.step import Params, Procedure

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Choices:
    """The common options of a command that acts."""

    cluster: str | None
    dry_run: bool = False
    plan_out: str | None = None
    form: str = "text"
    yes: bool = False
    confirm: str | None = None
    quiet: bool = False


class RunEnded(PgopsError):
    """A run that did not end well; the exit code is its own."""

    def __init__(self, outcome: Outcome) -> None:
        why = "\n".join(part for part in (outcome.why, *outcome.unproven) if part) or None
        where = f"run {outcome.run_id}" if outcome.run_id else None
        super().__init__(outcome.sentence, where=where, why=why, next_step=outcome.next_step)
        self.exit_code = outcome.code


cluster_option = click.option("--cluster", metavar="NAME", help="The cluster, where several are configured.")
form_option = click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to print.",
)
_YES = click.option("-y", "--yes", is_flag=True, help="Agree to what clients notice. Never covers what destroys data.")
_CONFIRM = click.option(
    "--confirm", metavar="NAME", help="The cluster's name: agree to what destroys data, unattended."
)
_QUIET = click.option("-q", "--quiet", is_flag=True, help="Say nothing unless something is wrong.")


def acting_options(command: F) -> F:
    """The options of a command that makes and runs a plan; it gets them as `choices`."""

    @wraps(command)
    def gather(
        cluster: str | None,
        dry_run: bool,
        plan_out: str | None,
        form: str,
        yes: bool,
        confirm: str | None,
        quiet: bool,
        **others: Any,
    ) -> Any:
        return command(choices=Choices(cluster, dry_run, plan_out, form, yes, confirm, quiet), **others)

    wrapped: Any = gather
    for option in (
        config_option,
        _QUIET,
        _CONFIRM,
        _YES,
        form_option,
        click.option(
            "--plan-out", metavar="FILE", type=click.Path(), help="Save the plan for `pgops apply`, and do nothing."
        ),
        click.option("-n", "--dry-run", is_flag=True, help="Show the plan and do nothing."),
        cluster_option,
    ):
        wrapped = option(wrapped)
    result: F = wrapped
    return result


def running_options(command: F) -> F:
    """The options of a command that goes on with a run; it gets them as `choices`."""

    @wraps(command)
    def gather(
        cluster: str | None, form: str, yes: bool, confirm: str | None, quiet: bool, dry_run: bool, **others: Any
    ) -> Any:
        return command(choices=Choices(cluster, dry_run, None, form, yes, confirm, quiet), **others)

    wrapped: Any = gather
    dry = click.option("-n", "--dry-run", is_flag=True, help="Show what is left to do and do nothing.")
    for option in (config_option, _QUIET, _CONFIRM, _YES, form_option, dry, cluster_option):
        wrapped = option(wrapped)
    result: F = wrapped
    return result


def find_procedure(name: str) -> Procedure:
    """The procedure that a plugin gives under this name. Raises `PgopsError`."""
    from pgops.plan.step import Procedure
    from pgops.plugins import find_driver

    found = find_driver(name, "procedures")
    if not isinstance(found, Procedure):
        raise PgopsError(f"the procedure {name!r} is not one", next_step="pgops plugins list")
    return found


def act(
    ctx: click.Context,
    name: str,
    params: Params,
    choices: Choices,
    *,
    then: Callable[[ClusterConfig], None] | None = None,
) -> int:
    """Plan the procedure of this name and, unless it is only to be shown or saved, run it.

    `then` is called, with the cluster, once that did something and ended well, and a person reads what is said.
    """
    from pgops.cli.cluster_choice import open_cluster

    cluster, dcs, config = open_cluster(ctx, choices.cluster)
    from pgops.cli import asking
    from pgops.cli.progress import choose_listener
    from pgops.engine import operation
    from pgops.engine.real_world import RealEyes, RealWorld

    procedure = find_procedure(name)
    only_look = choices.dry_run or choices.plan_out is not None
    eyes = (RealEyes if only_look else RealWorld)(cluster, dcs, config.warnings)
    try:
        plan = operation.make_plan(procedure, params, eyes)
        if only_look or not isinstance(eyes, RealWorld):
            return show(plan, choices)
        operation.refuse_blocked(plan)
        operation.refuse_unfinished(procedure, plan)
        operation.refuse_resting(procedure, plan)
        tell_notes(plan, choices)
        ask_for(plan, choices)
        outcome = operation.run_plan(
            procedure,
            plan,
            eyes,
            confirmed=asking.must_ask(plan),
            listener=choose_listener(quiet=choices.quiet or choices.form == "json" or plan.is_empty),
            log_file=config.log_file,
        )
        code = tell_outcome(outcome, plan, choices)
    finally:
        eyes.close()
    if then is not None and code == ExitCode.DONE and outcome.effects and choices.form == "text":
        then(cluster)
    return code


def show(plan: Plan, choices: Choices) -> int:
    """Print or save the plan. A plan that would be refused exits 3, one that cannot be judged 5."""
    from pgops.cli.plan_text import render_plan
    from pgops.plan.plan import plan_document

    document = json.dumps(plan_document(plan), indent=2) + "\n"
    click.echo(document if choices.form == "json" else render_plan(plan), nl=False)
    if plan.blocked is not None:
        return ExitCode.UNREACHABLE if plan.blocked.verdict.unread else ExitCode.REFUSED
    if choices.plan_out is not None:
        save_plan(choices.plan_out, document)
        if choices.form != "json" and not choices.quiet:
            click.echo(f"saved; run it with: pgops apply {choices.plan_out}", err=True)
    return ExitCode.DONE


def save_plan(path: str, document: str) -> None:
    """Write a new file, owner-only. Raises `Refused` when there is one already."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(document)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise Refused("the plan cannot be saved", where=path, why=error.strerror, next_step="name a new file") from None


def tell_notes(plan: Plan, choices: Choices) -> None:
    """Say what else is under way in the cluster, such as a backup, before something is done there."""
    from pgops.cli.plan_text import notes
    from pgops.render.text import printable

    if not choices.quiet and not plan.is_empty:
        for note in notes(plan):
            click.echo(printable(f"pgops: note: {note}"), err=True)


def ask_for(plan: Plan, choices: Choices) -> None:
    """Show the plan to whoever is to agree, and ask. Raises `Refused`."""
    from pgops.cli import asking
    from pgops.cli.plan_text import render_plan

    if not asking.must_ask(plan):
        return
    person = asking.find_person()
    if isinstance(person, asking.Terminal) and not choices.yes and choices.confirm is None:
        click.echo(render_plan(plan), nl=False, err=True)
    asking.ask(plan, person, yes=choices.yes, confirm=choices.confirm)


def tell_outcome(outcome: Outcome, plan: Plan, choices: Choices) -> int:
    """Print how it ended; what did not end well is raised as `RunEnded`."""
    for warning in outcome.warnings:
        click.echo(f"pgops: warning: the run was not logged: {warning}", err=True)
    if choices.form == "json":
        click.echo(json.dumps(outcome_document(outcome, plan), indent=2))
        return outcome.code
    if outcome.code is not ExitCode.DONE:
        raise RunEnded(outcome)
    if not choices.quiet:
        click.echo(_sentence(outcome, plan))
        if outcome.next_step:
            click.echo(f"  next: {outcome.next_step}")
        if outcome.why:
            click.echo(f"pgops: warning: {outcome.why}", err=True)
    if outcome.rest is not None:  # said with -q as well: somebody must decide
        click.echo(f"it rests at {outcome.rest.state}: {outcome.rest.text}\n  next, one of:")
        click.echo("".join(f"    {answer}\n" for answer in outcome.rest.answers), nl=False)
    return ExitCode.DONE


def outcome_document(outcome: Outcome, plan: Plan) -> dict[str, Any]:
    """How a run ended, for machines."""
    return {
        "schema": 1,
        "kind": "pgops-outcome",
        "procedure": plan.procedure,
        "cluster": plan.cluster,
        "goal": plan.goal,
        "exit_code": int(outcome.code),
        "sentence": outcome.sentence,
        "effects": outcome.effects,
        "run": outcome.run_id,
        "why": outcome.why,
        "unproven": list(outcome.unproven),
        "rest": None if outcome.rest is None else {"state": outcome.rest.state, "answers": list(outcome.rest.answers)},
        "next": outcome.next_step,
    }


def _sentence(outcome: Outcome, plan: Plan) -> str:
    if outcome.effects == 0 and outcome.run_id is None:
        reasons = "; ".join(step.verdict.reason for step in plan.steps if step.verdict.passed)
        return (
            f"nothing to do: {reasons}"
            if plan.is_empty
            else f"nothing to do: somebody else did it meanwhile ({plan.goal})"
        )
    return outcome.sentence
