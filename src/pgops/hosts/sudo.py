"""`sudo -n`: the command line, and telling sudo's own refusal from the command's failure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pgops.hosts.fence import PASSED
from pgops.hosts.host import NotStarted
from pgops.hosts.process import CommandResult

# The words of sudo 1.9 under LC_ALL=C: src/exec.c, plugins/sudoers/{auth,logging,sudoers}.c.
_REFUSALS = re.compile(
    r"^sudo: (?P<said>a password is required|a terminal is required.*|no tty present.*|sorry, you must have a tty.*)$"
    r"|^(?P<denied>Sorry, user .* (?:is not allowed to execute|may not run) .*)$"
    r"|^(?P<unlisted>\S+ is not in the sudoers file.*|\S+ is not allowed to run sudo on .*)$"
    r"|^sudo: (?P<unknown>unknown user:? .*)$"
    r"|^(?:sh|bash|env|timeout|.*): .*sudo.*: (?P<absent>command not found|not found|No such file or directory)$",
    re.MULTILINE,
)


def wrap(argv: Sequence[str], user: str) -> list[str]:
    """`argv` run as `user` without ever asking for a password."""
    return ["sudo", "-n", "-u", user, "--", *argv]


def check(result: CommandResult, argv: Sequence[str], user: str) -> None:
    """Raise `NotStarted` when sudo itself refused, naming the sudoers line that is missing."""
    if result.exit_code not in (1, 127) or result.stdout or PASSED in result.stderr:
        return
    match = _REFUSALS.search(result.stderr)
    if match is None:
        return
    if match["unknown"]:
        raise NotStarted(f"there is no user {user} there; set become in pgops.yml")
    if match["absent"]:
        raise NotStarted(f"sudo is not installed there; it is how pgops becomes {user}")
    said = match["said"] or ("not allowed" if match["denied"] else "not in the sudoers file")
    raise NotStarted(f"sudo refused to run {argv[0]} as {user} ({said}); see RIGHTS in man pgops.yml")
