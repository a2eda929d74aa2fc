"""What a run tells while it goes: a line that lives on a terminal, plain lines elsewhere, nothing with `-q`."""

from __future__ import annotations

import shutil
import sys
import time

import click

from pgops.engine.outcome import Listener, Silent
from pgops.plan.plan import Plan, PlannedStep
from pgops.render.text import printable

_EVERY_S = 10.0
"""How often a plain log is told that something is still awaited."""


def choose_listener(*, quiet: bool) -> Listener:
    """The one that fits standard error."""
    if quiet:
        return Silent()
    return Live() if sys.stderr is not None and sys.stderr.isatty() else Lines()


class Lines:
    """A line for each step that begins to act or ends, and now and then one for what is awaited."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._told = 0.0
        self._last = ("", "")

    def begin(self, plan: Plan, run_id: str) -> None:
        """Nothing yet: a run that does nothing has no id that anybody needs."""

    def step(self, number: int, total: int, step: PlannedStep, state: str, detail: str) -> None:
        """Tell it."""
        now = time.monotonic()
        if state == "waiting" and (now - self._told < _EVERY_S or now - self._started < _EVERY_S):
            return
        self._told = now
        self._say(f"[{number}/{total}] {step.id} {state}: {detail}  ({now - self._started:.1f} s)")

    def _say(self, text: str) -> None:
        click.echo(printable(text), err=True)


class Live(Lines):
    """What is awaited stands in one line that is written over."""

    def __init__(self) -> None:
        super().__init__()
        self._open = False

    def step(self, number: int, total: int, step: PlannedStep, state: str, detail: str) -> None:
        """Tell it."""
        elapsed = time.monotonic() - self._started
        text = printable(f"[{number}/{total}] {step.id} {state}: {detail}  ({elapsed:.1f} s)")
        if self._open:
            click.echo("\r\033[K", nl=False, err=True)
        self._open = state == "waiting"
        if self._open:
            text = text[: max(20, shutil.get_terminal_size().columns - 1)]
        click.echo(text, nl=not self._open, err=True)
