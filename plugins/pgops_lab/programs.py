"""Runs a program for a lab, as the lab's user or as the caller, in an environment that holds no surprises."""

from __future__ import annotations

from collections.abc import Sequence

from pgops.errors import PgopsError
from pgops.hosts.process import CommandResult, run
from pgops_lab.lab import Lab
from pgops_lab.preflight import SEARCH_PATH


def environment(lab: Lab) -> dict[str, str]:
    """The whole environment of the lab's programs: no proxy, no PG* variable, no locale of the caller's."""
    return {"PATH": f"{lab.pg_bin}:{SEARCH_PATH}", "LANG": "C.UTF-8", "HOME": str(lab.run_dir), "TZ": "UTC"}


def run_as_user(
    lab: Lab, argv: Sequence[str], *, timeout_s: float, extra: dict[str, str] | None = None
) -> CommandResult:
    """Run `argv` as the lab's user."""
    return run(argv, timeout_s=timeout_s, user=lab.user, env=environment(lab) | (extra or {}), cwd="/")


def check_run(lab: Lab, argv: Sequence[str], *, timeout_s: float, extra: dict[str, str] | None = None) -> str:
    """Run `argv` as the lab's user and give what it printed; `PgopsError` when it fails."""
    result = run_as_user(lab, argv, timeout_s=timeout_s, extra=extra)
    if not result.ok:
        raise PgopsError(f"{argv[0]} failed", where=" ".join(argv)[:300], why=result.fault)
    return result.stdout
