"""Runs the real `pgops` as a person's shell or cron would."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from pgops.hosts.process import CommandResult, run

PGOPS = str(Path(sys.executable).parent / "pgops")
ROOT = Path(__file__).parents[3]
BARE = {"PATH": "/usr/bin:/bin"}
"""cron's environment."""


def pgops(*arguments: str, env: Mapping[str, str] | None = None) -> CommandResult:
    """pgops with a bare environment, and with `env` beside it."""
    return run([PGOPS, *arguments], timeout_s=60, env={**BARE, **(env or {})})


def bash(script: str, *, env: Mapping[str, str] | None = None) -> CommandResult:
    """A script in a real bash, in which `$PGOPS` is the program."""
    return run(["/bin/bash", "-c", script], timeout_s=60, env={**BARE, "PGOPS": PGOPS, **(env or {})})
