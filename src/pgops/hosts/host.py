"""What a host is to everything else: a place where an argv list runs, perhaps as another user."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from pgops.hosts.process import OUTPUT_LIMIT_BYTES, CommandResult


class HostFault(Exception):
    """The host, or a command on it, gave no usable answer; the text is a clause for a person."""


class NotStarted(HostFault):
    """The command was certainly never started: the host could not be reached, or refused to let us become its user."""


class Identity(str, Enum):
    """As whom a command runs: as ourselves, as the configured owner of PostgreSQL's files, or as root."""

    LOGIN = "login"
    OWNER = "owner"
    ROOT = "root"

    def user(self, owner: str | None) -> str | None:
        """The operating-system user; None is whoever we are. `owner` is the configured one."""
        if self is Identity.ROOT:
            return "root"
        return owner if self is Identity.OWNER else None


class Host(Protocol):
    """A host. Commands are argv lists, quoted once at the SSH edge."""

    name: str

    def run(
        self,
        argv: Sequence[str],
        *,
        identity: Identity = Identity.LOGIN,
        timeout_s: float | None = None,
        stdin: bytes | None = None,
        limit_bytes: int = OUTPUT_LIMIT_BYTES,
    ) -> CommandResult:
        """Run `argv` there as `identity`. Of each stream at most `limit_bytes` are kept; more marks it as truncated.

        Raises `NotStarted` when the host could not be reached or the privilege is missing, `HostFault` when the connection
        was lost meanwhile, which says nothing about the command. A command that ran and failed is a result.
        """
        ...

    def address(self) -> str | None:
        """The network name or address under which the host itself is reached; None when it has none of its own."""
        ...

    def close(self) -> None:
        """End what was kept open for this run."""
        ...


def checked_argv(argv: Sequence[str]) -> None:
    """Raise `HostFault` for what no command line can carry: nothing at all, or a NUL byte."""
    if not argv or not argv[0]:
        raise HostFault("an empty command")
    if any("\0" in argument for argument in argv):
        raise HostFault(f"an argument of {argv[0]!r} holds a NUL byte")
