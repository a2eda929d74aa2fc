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

_SHOWN = 400
"""How many signs of an effect a line shows: a script may have thousands. The plan and the journal have all of it."""

_BAR = 20
"""The width of a progress bar, in signs."""


def choose_listener(*, quiet: bool) -> Listener:
    """The one that fits standard error."""
    if quiet:
        return Silent()
    return Live() if sys.stderr is not None and sys.stderr.isatty() else Lines()


def draw_bar(progress: float) -> str:
    """How much is done, 0 to 1, as a bar with its percentage."""
    done = min(1.0, max(0.0, progress))
    return f"[{'#' * round(done * _BAR):-<{_BAR}}] {done:4.0%}"


def shorten(detail: str) -> str:
    """What a line shows of it."""
    return detail if len(detail) <= _SHOWN else f"{detail[:_SHOWN]}… ({len(detail) - _SHOWN} signs more)"


class Lines:
    """A line for each step that begins to act or ends, and now and then one for what is awaited."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._told = 0.0
        self._last = ("", "")

    def begin(self, plan: Plan, run_id: str) -> None:
        """Nothing yet: a run that does nothing has no id that anybody needs."""

    def step(
        self, number: int, total: int, step: PlannedStep, state: str, detail: str, progress: float | None = None
    ) -> None:
        """Tell it."""
        now = time.monotonic()
        detail = shorten(detail)
        if progress is not None:
            detail = f"{progress:.0%}, {detail}"
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

    def step(
        self, number: int, total: int, step: PlannedStep, state: str, detail: str, progress: float | None = None
    ) -> None:
        """Tell it."""
        elapsed = time.monotonic() - self._started
        bar = f"{draw_bar(progress)} " if progress is not None else ""
        text = printable(f"[{number}/{total}] {step.id} {state}: {bar}{shorten(detail)}  ({elapsed:.1f} s)")
        if self._open:
            click.echo("\r\033[K", nl=False, err=True)
        self._open = state == "waiting"
        if self._open:
            text = text[: max(20, shutil.get_terminal_size().columns - 1)]
        click.echo(text, nl=not self._open, err=True)
