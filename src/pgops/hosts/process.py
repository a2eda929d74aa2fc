"""Runs a program as a child: the only module that imports `subprocess`.

Every child gets a session of its own (a Ctrl-C at the terminal does not reach it), a timeout, an output bound, and no
standard input unless some is given. Commands are argv lists; nothing here knows a shell.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO

OUTPUT_LIMIT_BYTES = 8 * 1024 * 1024
"""A probe reads at most this much of each stream; what comes after marks the result as truncated."""


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
            return f"printed more than {OUTPUT_LIMIT_BYTES // 1024 // 1024} MiB"
        if self.exit_code == 0:
            return ""
        lines = [line for line in (self.stderr or self.stdout).splitlines() if line.strip()]
        said = f": {lines[-1].strip()[:300]}" if lines else ""
        return f"exit code {self.exit_code}{said}"


@dataclass
class _Sink:
    """Collects one stream up to the bound, and goes on reading so that the child does not block."""

    stream: IO[bytes]
    limit: int
    kept: bytearray
    truncated: bool = False

    def drain(self) -> None:
        while chunk := self.stream.read(65536):
            room = self.limit - len(self.kept)
            self.kept += chunk[:room]
            if len(chunk) > room:
                self.truncated = True
        self.stream.close()


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
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        said = f"{argv[0]}: {getattr(error, 'strerror', None) or error}"
        return CommandResult(tuple(argv), 127, "", said, time.monotonic() - started)
    assert child.stdout is not None and child.stderr is not None  # noqa: S101 - both are pipes
    sinks = [_Sink(child.stdout, limit_bytes, bytearray()), _Sink(child.stderr, limit_bytes, bytearray())]
    threads = [threading.Thread(target=sink.drain, daemon=True) for sink in sinks]
    for thread in threads:
        thread.start()
    if stdin is not None and child.stdin is not None:
        try:
            child.stdin.write(stdin)
            child.stdin.close()
        except BrokenPipeError:
            pass
    exit_code: int | None
    try:
        exit_code = child.wait(timeout_s)
    except subprocess.TimeoutExpired:
        exit_code = None
        _kill_session(child.pid)
        child.wait()
    deadline = max(started + timeout_s, time.monotonic() + 1.0)
    for thread in threads:  # a grandchild that kept the pipe open must not hold us
        thread.join(max(0.0, deadline - time.monotonic()))
    out, err = (bytes(sink.kept).decode("utf-8", "replace") for sink in sinks)
    truncated = any(sink.truncated for sink in sinks)
    return CommandResult(tuple(argv), exit_code, out, err, time.monotonic() - started, truncated)


def _switch_user(user: str | None) -> dict[str, object]:
    """Popen arguments that become `user` with all its groups; nothing when we are that user already."""
    if user is None:
        return {}
    import pwd

    entry = pwd.getpwnam(user)
    if entry.pw_uid == os.geteuid():
        return {}
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": os.getgrouplist(user, entry.pw_gid)}


def _kill_session(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
