"""This very machine as a host."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial

from pgops.config.model import HostConfig, Timeouts
from pgops.hosts import process, sudo
from pgops.hosts.host import Identity, NotStarted, checked_argv
from pgops.hosts.process import OUTPUT_LIMIT_BYTES, CommandResult

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_FOREIGN_PREFIXES = ("PG", "PGBACKREST_", "PATRONI_")
"""Variables of the operator's shell that would change what psql, pgbackrest and patronictl do."""


class LocalHost:
    """Runs commands here: as ourselves, or as the configured user directly (as root) or through `sudo -n`."""

    def __init__(self, config: HostConfig, timeouts: Timeouts) -> None:
        self.name = config.name
        self._owner = config.become
        self._timeout_s = timeouts.command_s

    def run(
        self,
        argv: Sequence[str],
        *,
        identity: Identity = Identity.LOGIN,
        timeout_s: float | None = None,
        stdin: bytes | None = None,
        limit_bytes: int = OUTPUT_LIMIT_BYTES,
    ) -> CommandResult:
        """See `pgops.hosts.host.Host`. Commands run in `/`, since the other user may not enter our directory."""
        checked_argv(argv)
        user = identity.user(self._owner)
        timeout_s = self._timeout_s if timeout_s is None else timeout_s
        run = partial(process.run, timeout_s=timeout_s, cwd="/", stdin=stdin, limit_bytes=limit_bytes)
        if user is None or _is_me(user):
            return run(argv, env=_own_environment())
        if os.geteuid() == 0:
            return run(argv, user=user, env=_environment_of(user))
        result = run(sudo.wrap(argv, user), env=_own_environment())
        if result.exit_code == 127 and result.stderr.startswith("sudo: "):
            raise NotStarted(f"sudo is not installed here; it is how pgops becomes {user}")
        sudo.check(result, argv, user)
        return result

    def address(self) -> str | None:
        """None: which of this machine's addresses a server listens on is not known here."""
        return None

    def close(self) -> None:
        """Nothing is kept open."""


def _is_me(user: str) -> bool:
    import pwd

    try:
        return pwd.getpwnam(user).pw_uid == os.geteuid()
    except KeyError:
        raise NotStarted(f"there is no user {user} on this machine; set become in pgops.yml") from None


def _own_environment() -> dict[str, str]:
    """Ours, with messages in English, the system's directories on PATH (cron's has few), without PG* and the like."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN_PREFIXES)}
    path = [*kept.get("PATH", "").split(":"), *SYSTEM_PATH.split(":")]
    return {**kept, "PATH": ":".join(dict.fromkeys(part for part in path if part)), "LC_ALL": "C"}


def _environment_of(user: str) -> dict[str, str]:
    """What a fresh login of `user` would have, no more."""
    import pwd

    home = pwd.getpwnam(user).pw_dir
    return {"PATH": SYSTEM_PATH, "HOME": home, "USER": user, "LOGNAME": user, "LC_ALL": "C"}
