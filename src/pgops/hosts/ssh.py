"""A host over OpenSSH itself, as a subprocess: the user's ssh_config, agent and jump hosts hold.

One master connection a host and run carries every command. Host keys are checked strictly and never accepted here.
"""

from __future__ import annotations

import math
import os
import shlex
import shutil
import tempfile
import threading
import time
from collections.abc import Sequence

from pgops.config.model import HostConfig, SshConfig, Timeouts
from pgops.hosts import process, sudo
from pgops.hosts.host import HostFault, Identity, NotStarted, checked_argv
from pgops.hosts.process import OUTPUT_LIMIT_BYTES, CommandResult
from pgops.hosts.ssh_words import explain, refuse_hostile

_LOST = 255
"""ssh's own failure (man ssh, EXIT STATUS); a remote command may end with 255 as well."""

_AT_ONCE = 8
"""sshd refuses more than MaxSessions (10) sessions in one connection; man sshd_config."""

_OPTIONS = (
    "BatchMode=yes",
    # The strictest there is; an unknown or changed host key is a fault, whatever ssh_config says.
    "StrictHostKeyChecking=yes",
    "UpdateHostKeys=no",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    "RequestTTY=no",
    "EscapeChar=none",
    "LogLevel=ERROR",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=2",
)


class SshHost:
    """Runs commands there. Nothing is contacted before the first command; one that found no host fails all later ones."""

    def __init__(self, config: HostConfig, timeouts: Timeouts) -> None:
        assert config.ssh is not None  # noqa: S101 - the factory sees to it
        self.name = config.name
        self._ssh: SshConfig = config.ssh
        self._owner = config.become
        self._timeouts = timeouts
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(_AT_ONCE)
        self._directory: str | None = None
        self._dead: str | None = None
        self._login: str | None = None

    def run(
        self,
        argv: Sequence[str],
        *,
        identity: Identity = Identity.LOGIN,
        timeout_s: float | None = None,
        stdin: bytes | None = None,
        limit_bytes: int = OUTPUT_LIMIT_BYTES,
    ) -> CommandResult:
        """See `pgops.hosts.host.Host`. The remote side ends a command itself soon after our timeout (coreutils timeout)."""
        checked_argv(argv)
        timeout_s = self._timeouts.command_s if timeout_s is None else timeout_s
        deadline = time.monotonic() + timeout_s
        self._connect()
        user = identity.user(self._owner)
        wrapped, through_sudo = self._become_user(argv, user) if user else (list(argv), False)
        result = self._send(wrapped, argv, deadline, stdin, limit_bytes)
        if through_sudo and user:
            sudo.check(result, argv, user)
        if result.exit_code == 1 and result.stderr.startswith(f"runuser: user {user} does not exist"):
            raise NotStarted(f"there is no user {user} there; set become in pgops.yml")
        return result

    def address(self) -> str | None:
        """What ssh_config resolves the destination to; asks nobody (man ssh, -G)."""
        if refuse_hostile(self._ssh):
            return None
        argv = [*self._ssh_argv("/", "-G"), "--", self._ssh.destination]
        answer = process.run(argv, timeout_s=self._timeouts.connect_s, env=_environment(), cwd="/")
        lines = dict(line.split(" ", 1) for line in answer.stdout.splitlines() if " " in line)
        return lines.get("hostname") if answer.ok else None

    def close(self) -> None:
        """End the master connection and remove its socket."""
        with self._lock:
            directory, self._directory = self._directory, None
            self._dead = self._dead or "the connection was closed at the end of the run"
        if directory is not None:
            self._control("exit", directory)
            shutil.rmtree(directory, ignore_errors=True)

    def _connect(self) -> None:
        """Open the master connection once, however many ask; raise the same fault to all when it cannot be opened."""
        with self._lock:
            if self._dead is None and self._directory is None:
                self._dead = refuse_hostile(self._ssh) or self._open_master()
            if self._dead is not None:
                raise NotStarted(self._dead)

    def _open_master(self) -> str | None:
        """The reason why there is no connection, or None."""
        directory = _private_directory()
        limit_s = self._timeouts.connect_s + self._timeouts.answer_s
        argv = self._ssh_argv(directory, "-o", "ControlMaster=yes", "-o", "ControlPersist=30", "-f", "-N")
        result = process.run([*argv, "--", self._ssh.destination], timeout_s=limit_s, env=_environment(), cwd="/")
        if result.ok:
            self._directory = directory
            return None
        shutil.rmtree(directory, ignore_errors=True)
        return explain(self._ssh, result, limit_s)

    def _send(
        self,
        wrapped: Sequence[str],
        argv: Sequence[str],
        deadline: float,
        stdin: bytes | None = None,
        limit_bytes: int = OUTPUT_LIMIT_BYTES,
    ) -> CommandResult:
        if not self._slots.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise NotStarted("too many commands at once on this host; none of them ended in time")
        try:
            directory = self._directory
            if directory is None:
                raise NotStarted(self._dead or "the connection was closed")
            left_s = max(0.1, deadline - time.monotonic())
            # Outside sudo, so that a sudoers line names the command itself.
            bounded = ["env", "-C", "/", "LC_ALL=C", "timeout", "-k", "1", str(math.ceil(left_s) + 1), *wrapped]
            command = [*self._ssh_argv(directory, "-o", "ControlMaster=no"), "--", self._ssh.destination]
            sent = [*command, shlex.join(bounded)]
            result = process.run(
                sent, timeout_s=left_s, env=_environment(), cwd="/", stdin=stdin, limit_bytes=limit_bytes
            )
        finally:
            self._slots.release()
        if result.exit_code == _LOST and not self._control("check", directory).ok:
            raise HostFault(self._mark_dead(explain(self._ssh, result, left_s)))
        return CommandResult(
            tuple(argv), result.exit_code, result.stdout, result.stderr, result.duration_s, result.truncated
        )

    def _mark_dead(self, reason: str) -> str:
        with self._lock:
            self._dead = self._dead or f"the connection was lost: {reason}"
            return self._dead

    def _become_user(self, argv: Sequence[str], user: str) -> tuple[list[str], bool]:
        """`argv` as that user, and whether sudo is in it: root needs none, and a minimal host may have none."""
        login = self._remote_login()
        if login == user:
            return list(argv), False
        if login == "root":
            return ["runuser", "-u", user, "--", *argv], False
        return sudo.wrap(argv, user), True

    def _remote_login(self) -> str:
        """Who we are there; asked once. ssh_config may say something else than our own name."""
        if self._login is None:
            question = ["id", "-un"]
            answer = self._send(question, question, time.monotonic() + self._timeouts.command_s)
            if not answer.ok:
                raise HostFault(f"id -un: {answer.fault}")
            self._login = answer.stdout.strip()
        return self._login

    def _control(self, order: str, directory: str) -> CommandResult:
        """Ask our own master process (`check`, `exit`); answered locally."""
        argv = [*self._ssh_argv(directory, "-O", order), "--", self._ssh.destination]
        return process.run(argv, timeout_s=2.0, env=_environment(), cwd="/")

    def _ssh_argv(self, directory: str, *more: str) -> list[str]:
        options = [*_OPTIONS, f"ConnectTimeout={math.ceil(self._timeouts.connect_s)}", f"ControlPath={directory}/%C"]
        argv = ["ssh", "-T"]
        if self._ssh.config_file:
            argv += ["-F", self._ssh.config_file]
        argv += [part for option in options for part in ("-o", option)]
        if self._ssh.user:
            argv += ["-l", self._ssh.user]
        if self._ssh.port:
            argv += ["-p", str(self._ssh.port)]
        return [*argv, *more]


def _private_directory() -> str:
    """For the control socket: ours alone, with a short name, since a socket's path has at most 107 bytes (man 7 unix)."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    usable = 0 < len(runtime) <= 32 and os.access(runtime, os.W_OK)
    return tempfile.mkdtemp(prefix="pgops-", dir=runtime if usable else "/tmp")  # noqa: S108 - mode 0700, random name


def _environment() -> dict[str, str]:
    """Ours, with ssh's messages in English. The agent's socket and the rest of ssh's world stay."""
    return {**os.environ, "LC_ALL": "C"}
