"""Standard output and standard error as they really come: an ASCII locale, closed, full, or with the reader gone."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper


def prepare() -> None:
    """Make the streams fit for any text: what the locale's encoding has no sign for is written as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # None where it was closed; something else in a test
            stream.reconfigure(errors="backslashreplace")


def flush_output() -> None:
    """Write out what is still held back. Raises `OSError` when it cannot be written."""
    if sys.stdout is not None:
        sys.stdout.flush()


def say(text: str) -> None:
    """One line on standard error, for a person."""
    import click

    from pgops.render.text import printable

    click.echo(printable(f"pgops: {text}"), err=True)


def abandon_output() -> None:
    """Throw away what standard output could not take, so that the interpreter does not complain of it at exit."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
