"""Exit codes and the one error type that carries them; the only table of either."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How a pgops command ended. `health` alone speaks Nagios instead (0, 1, 2, 3)."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    STOPPED_MIDWAY = 4
    UNREACHABLE = 5
    PLAN_STALE = 6
    LOCKED = 7
    OUTCOME_UNKNOWN = 8
    INTERRUPTED = 130


NAGIOS_UNKNOWN = 3
"""What every fault of pgops itself, usage included, exits with under a command that speaks Nagios."""


class PgopsError(Exception):
    """A fault told to a person: what went wrong, where, why, and the next command.

    `what` is one sentence. `where` names a file and line, a host, a URL. `why` is the reason as far as it was observed.
    `next_step` is what to do now, a command where there is one. None of them may contain a secret.
    """

    exit_code = ExitCode.FAILED

    def __init__(
        self, what: str, *, where: str | None = None, why: str | None = None, next_step: str | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.why = why
        self.next_step = next_step

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        reason = f": {self.why}" if self.why else ""
        return f"{self.what}{place}{reason}"


class ConfigError(PgopsError):
    """The configuration is missing, unreadable or wrong."""

    exit_code = ExitCode.USAGE


class Refused(PgopsError):
    """Nothing was done, because doing it would not have been safe."""

    exit_code = ExitCode.REFUSED


class Unreachable(PgopsError):
    """A host or service that this command cannot do without gave no answer."""

    exit_code = ExitCode.UNREACHABLE
