"""Questions before an effect: none for `read` and `change`, yes or no for `interrupt`, the name typed for `destroy`."""

from __future__ import annotations

import sys
from typing import Protocol

import click

from pgops.errors import Refused
from pgops.plan.plan import Plan
from pgops.plan.step import Risk


class Person(Protocol):
    """Whoever answers."""

    def agrees(self, question: str) -> bool:
        """Yes or no."""
        ...

    def types(self, question: str) -> str:
        """What is typed."""
        ...


class Terminal:
    """The person at the terminal."""

    def agrees(self, question: str) -> bool:
        """Yes only when it was said."""
        return click.confirm(question, default=False, err=True)

    def types(self, question: str) -> str:
        """A line, perhaps empty."""
        answer: str = click.prompt(question, default="", show_default=False, err=True)
        return answer


class Nobody:
    """There is no terminal: nothing is agreed to."""

    def agrees(self, question: str) -> bool:
        """Never."""
        raise Refused(
            "refused: there is no terminal to ask at",
            why=question,
            next_step="look at the plan with --dry-run, then say --yes",
        )

    def types(self, question: str) -> str:
        """Never."""
        raise Refused(
            "refused: there is no terminal to ask at",
            why=question,
            next_step="look at the plan with --dry-run, then say --confirm and the cluster's name",
        )


def find_person() -> Person:
    """Who can be asked here."""
    return Terminal() if sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty() else Nobody()


def must_ask(plan: Plan) -> bool:
    """Whether this plan needs somebody's agreement."""
    return plan.risk.rank >= Risk.INTERRUPT.rank


def ask(plan: Plan, person: Person, *, yes: bool, confirm: str | None) -> None:
    """Get the agreement that the plan's risk asks for. Raises `Refused` when it is not given; nothing is done then."""
    if plan.risk is Risk.DESTROY:
        said = (
            confirm if confirm is not None else person.types(f"Type the cluster's name ({plan.cluster}) to {plan.goal}")
        )
        if said != plan.cluster:
            raise Refused(f"declined: that is not the name of the cluster {plan.cluster}", why="nothing was done")
    elif plan.risk is Risk.INTERRUPT and not yes and not person.agrees(_question(plan)):
        raise Refused("declined", why="nothing was done")


def _question(plan: Plan) -> str:
    """The goal, and what it brings about that somebody should agree to."""
    told = [step.interrupts for step in plan.steps if step.actions and step.risk is plan.risk and step.interrupts]
    return " ".join([f"{plan.goal[:1].upper()}{plan.goal[1:]}?", *(f"({text})" for text in told)])
