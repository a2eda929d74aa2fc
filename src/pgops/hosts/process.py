"""Runs a program as a child: the only module that imports `subprocess`.

Every child gets a session of its own (a Ctrl-C at the terminal does not reach it), a timeout, an output bound, and no
standard input unless some is given. Commands are argv lists; nothing here knows a shell.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess

OUTPUT_LIMIT_BYTES = 8 * 1024 * 1024
"""A probe reads at most this much of each stream; what comes after marks the result as truncated."""

_GRACE_S = 0.3
"""How long output is awaited after the child ended: a grandchild that kept the pipe open must not hold us."""

_CANNOT_START = 127


@dataclass(frozen=True)
class CommandResult:
    """How a command ended. `exit_code` None: it was killed at its timeout. Negative: ended by that signal."""

    argv: tuple[str, ...]
    exit_code: int | None
    stdout: str
    stderr: str
    duration_s: float
    truncated: bool = False

    @property
    def ok(self) -> bool:
        """Ended by itself with exit code 0 and its whole output was read."""
        return self.exit_code == 0 and not self.truncated

    @property
    def fault(self) -> str:
        """Why it is not ok, as a clause for a person; empty when it is."""
        if self.exit_code is None:
            return f"no answer within {self.duration_s:.1f} s"
        if self.truncated:
            return f"printed too much: more than {max(len(self.stdout), len(self.stderr)) // 1024 // 1024} MiB"
        if self.exit_code == 0:
            return ""
        lines = [line for line in (self.stderr or self.stdout).splitlines() if line.strip()]
        said = f": {lines[-1].strip()[:300]}" if lines else ""
        ended = f"exit code {self.exit_code}" if self.exit_code > 0 else f"ended by signal {-self.exit_code}"
        return f"{ended}{said}"


class _Conversation:
    """Reads a child's streams up to the bound (and on, so that the child does not block), and feeds its input."""

    def __init__(self, child: subprocess.Popen[bytes], stdin: bytes | None, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._poll = select.poll()
        self._streams: dict[int, IO[bytes]] = {}
        self._input = memoryview(stdin or b"")
        self.kept: dict[int, bytearray] = {}
        self.truncated = False
        self.ended = False
        for stream in (child.stdout, child.stderr):
            assert stream is not None  # noqa: S101 - both are pipes
            self._register(stream, select.POLLIN)
            self.kept[stream.fileno()] = bytearray()
        if child.stdin is not None:
            self._register(child.stdin, select.POLLOUT)
        self._pidfd = os.pidfd_open(child.pid)
        self._poll.register(self._pidfd, select.POLLIN)

    def hold(self, deadline: float) -> None:
        """Go on until the child ended and its streams are at their end, at the latest until `deadline`."""
        while not self.ended or self._streams:
            wait_s = deadline - time.monotonic()
            if wait_s <= 0:
                return
            for handle, _ in self._poll.poll(wait_s * 1000 + 1):
                if handle == self._pidfd:
                    self._poll.unregister(handle)
                    self.ended = True
                    deadline = min(deadline, time.monotonic() + _GRACE_S)
                elif handle in self.kept:
                    self._read(handle)
                else:
                    self._write(handle)

    def close(self) -> None:
        os.close(self._pidfd)
        for stream in self._streams.values():
            stream.close()

    def _register(self, stream: IO[bytes], events: int) -> None:
        os.set_blocking(stream.fileno(), False)
        self._streams[stream.fileno()] = stream
        self._poll.register(stream.fileno(), events)

    def _read(self, handle: int) -> None:
        chunk = os.read(handle, 65536)
        if not chunk:
            self._drop(handle)
        kept = self.kept[handle]
        room = self._limit - len(kept)
        kept += chunk[:room]
        self.truncated = self.truncated or len(chunk) > room

    def _write(self, handle: int) -> None:
        try:
            self._input = self._input[os.write(handle, self._input[:65536]) :]
        except OSError:  # the child does not want it
            self._input = memoryview(b"")
        if not self._input:
            self._drop(handle)

    def _drop(self, handle: int) -> None:
        self._poll.unregister(handle)
        self._streams.pop(handle).close()


def run(
    argv: Sequence[str],
    *,
    timeout_s: float,
    user: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    stdin: bytes | None = None,
    limit_bytes: int = OUTPUT_LIMIT_BYTES,
) -> CommandResult:
    """Run `argv` and wait at most `timeout_s` seconds; then the child's whole session is killed.

    `user` switches to that operating-system user (root only). A program that cannot be started is a result too, with
    exit code 127, as a shell would report it.
    """
    import subprocess

    started = time.monotonic()
    try:
        child = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            bufsize=0,
            start_new_session=True,
            **_switch_user(user),
        )
    except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
        said = f"{argv[0]}: {_start_fault(error, user)}"
        return CommandResult(tuple(argv), _CANNOT_START, "", said, time.monotonic() - started)
    talk = _Conversation(child, stdin, limit_bytes)
    exit_code: int | None = None
    try:
        talk.hold(started + timeout_s)
        if talk.ended:
            exit_code = child.wait()
    finally:
        if exit_code is None:
            _kill_session(child)
        talk.close()
    out, err = (bytes(kept).decode("utf-8", "replace") for kept in talk.kept.values())
    return CommandResult(tuple(argv), exit_code, out, err, time.monotonic() - started, talk.truncated)


def _start_fault(error: Exception, user: str | None) -> str:
    if isinstance(error, KeyError):
        return f"there is no user {user}"
    return str(getattr(error, "strerror", None) or error)


def _switch_user(user: str | None) -> dict[str, Any]:
    """Popen arguments that become `user` with all its groups; nothing when we are that user already."""
    if user is None:
        return {}
    import pwd

    entry = pwd.getpwnam(user)
    if entry.pw_uid == os.geteuid():
        return {}
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": os.getgrouplist(user, entry.pw_gid)}


def _kill_session(child: subprocess.Popen[bytes]) -> None:
    """Kill the child's process group and reap it, waiting no longer than a moment: sudo's child may not be ours to kill."""
    import subprocess

    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(_GRACE_S)
