"""Who ran what, and how it ended: one line to the log file of the configuration, else to journald, else to syslog."""

from __future__ import annotations

import os
import socket
from datetime import datetime, timezone

JOURNAL_SOCKET = "/run/systemd/journal/socket"
SYSLOG_SOCKET = "/dev/log"
_NOTICE = 5
_AUTHPRIV = 10


def log_run(message: str, fields: dict[str, str], log_file: str | None) -> str | None:
    """Write the line. A log that cannot be written stops nobody in an incident: the reason is given back, to be told.

    Source: systemd docs, JOURNAL_NATIVE_PROTOCOL.md; RFC 3164.
    """
    text = " ".join(message.split())
    try:
        if log_file:
            _append(log_file, text, fields)
        elif os.path.exists(JOURNAL_SOCKET):  # noqa: PTH110 - a socket's path, asked at every run
            _send(JOURNAL_SOCKET, _native(text, fields))
        elif os.path.exists(SYSLOG_SOCKET):  # noqa: PTH110 - as above
            _send(SYSLOG_SOCKET, f"<{_AUTHPRIV * 8 + _NOTICE}>pgops[{os.getpid()}]: {text}".encode())
    except OSError as error:
        return f"{log_file or 'the system log'}: {error.strerror}"
    return None


def _append(path: str, text: str, fields: dict[str, str]) -> None:
    moment = datetime.now(timezone.utc).isoformat(timespec="seconds")
    line = f"{moment} pgops[{os.getpid()}] {text} {' '.join(f'{k.lower()}={v}' for k, v in fields.items())}\n"
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o640)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)


def _native(text: str, fields: dict[str, str]) -> bytes:
    """journald's own protocol: a field a line; every value here is one line."""
    pairs = {"MESSAGE": text, "PRIORITY": str(_NOTICE), "SYSLOG_IDENTIFIER": "pgops"}
    pairs |= {f"PGOPS_{name.upper()}": " ".join(value.split()) for name, value in fields.items()}
    return "".join(f"{name}={value}\n" for name, value in pairs.items()).encode()


def _send(path: str, datagram: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.5)
        sock.sendto(datagram, path)
