"""sudo's refusals, as sudo 1.9 words them, told from a command that failed by itself."""

from __future__ import annotations

import pytest

from pgops.hosts import sudo
from pgops.hosts.fence import PASSED
from pgops.hosts.host import NotStarted
from pgops.hosts.process import CommandResult

ARGV = ["/usr/bin/pgbackrest", "info"]


def ended(exit_code: int, stderr: str, stdout: str = "") -> CommandResult:
    return CommandResult(tuple(ARGV), exit_code, stdout, stderr, 0.01)


@pytest.mark.parametrize(
    ("stderr", "clause"),
    [
        (
            "sudo: a password is required\n",
            r"refused to run /usr/bin/pgbackrest as postgres \(a password is required\)",
        ),
        ("sudo: a terminal is required to read the password; either use the -S option", "terminal is required"),
        ("sudo: sorry, you must have a tty to run sudo\n", "tty"),
        ("Sorry, user op is not allowed to execute '/usr/bin/pgbackrest info' as postgres on db1.\n", "not allowed"),
        ("op is not in the sudoers file.\n", "not in the sudoers file"),
        ("op is not in the sudoers file.  This incident will be reported.\n", "not in the sudoers file"),
        ("Sorry, user op may not run sudo on db1.\n", "not allowed"),
        ("sudo: unknown user postgres\nsudo: error initializing audit plugin sudoers_audit\n", "no user postgres"),
        ("sudo: unknown user: postgres\n", "no user postgres"),
        ("timeout: failed to run command 'sudo': No such file or directory\n", "not installed"),
    ],
)
def test_a_refusal_names_what_is_missing(stderr: str, clause: str) -> None:
    code = 127 if "No such file" in stderr else 1
    with pytest.raises(NotStarted, match=clause):
        sudo.check(ended(code, stderr), ARGV, "postgres")


@pytest.mark.parametrize(
    "result",
    [
        ended(0, ""),
        ended(1, "cat: /x: Permission denied\n"),
        ended(25, "sudo: a password is required\n"),
        ended(1, "sudo: a password is required\n", "a command that prints"),
        ended(127, "env: 'pgbackrest': No such file or directory\n"),
        # a fenced command that began, and met a sudo of its own
        ended(1, f"{PASSED}\nsudo: a password is required\n"),
    ],
)
def test_a_failure_of_the_command_is_a_result(result: CommandResult) -> None:
    sudo.check(result, ARGV, "postgres")


def test_the_command_line() -> None:
    assert sudo.wrap(ARGV, "postgres") == ["sudo", "-n", "-u", "postgres", "--", *ARGV]
