"""Runs programs for the harness: a failure is an exception that shows what the program said."""

from __future__ import annotations

from collections.abc import Sequence

from pgops.hosts.process import CommandResult, run


class HarnessFault(Exception):
    """The harness could not do what it was asked; the text holds the output that explains it."""


def call(argv: Sequence[str], *, timeout_s: float = 60.0, stdin: str | None = None) -> str:
    """Run `argv` on this machine and give its standard output. Raises `HarnessFault` when it fails."""
    result = run(argv, timeout_s=timeout_s, stdin=stdin.encode() if stdin is not None else None)
    return expect_ok(result).stdout


def expect_ok(result: CommandResult) -> CommandResult:
    """The result itself. Raises `HarnessFault` with the end of both streams when the command did not succeed."""
    if result.ok:
        return result
    said = "\n".join(text.strip()[-3000:] for text in (result.stdout, result.stderr) if text.strip())
    raise HarnessFault(f"{' '.join(result.argv)[:500]}: {result.fault}\n{said}")
