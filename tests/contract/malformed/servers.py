"""Servers on loopback that answer as no good server would, for `pgops health` to look at."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator

GOOD = {
    "state": "running",
    "role": "primary",
    "server_version": 150020,
    "xlog": {"location": 67108864},
    "timeline": 1,
    "replication": [{"application_name": "n2", "state": "streaming", "sync_state": "async"}],
    "dcs_last_seen": 1795380375,
    "database_system_identifier": "7711099966935465950",
    "pending_restart_reason": {"max_connections": {"old_value": "100", "new_value": "50"}},
    "tags": {"nofailover": True},
    "patroni": {"version": "4.1.5", "scope": "demo", "name": "n1"},
}
"""A leader's GET /patroni, as Patroni 4.1.5 answers."""

Speak = Callable[[socket.socket], None]


def reply(body: bytes, *, status: str = "200 OK", kind: str = "application/json", length: int | None = None) -> Speak:
    """A whole answer, with a Content-Length of one's choice."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body) if length is None else length}\r\n\r\n"
    return lambda connection: connection.sendall(head.encode() + body)


def endless(connection: socket.socket) -> None:
    """A body of 100 MB."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")
    for _ in range(1600):
        connection.sendall(b" " * 65536)


def dripping(connection: socket.socket) -> None:
    """A byte of a good answer every half second, for as long as anybody listens."""
    body = json.dumps(GOOD).encode()
    connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode())
    for number in range(60):
        connection.sendall(body[number : number + 1])
        time.sleep(0.5)


@contextlib.contextmanager
def serving(address: str, speak: Speak) -> Iterator[str]:
    """A server on a port of its own at this loopback address that reads a request and speaks; yields its URL."""
    listener = socket.create_server((address, 0))
    listener.settimeout(0.2)
    over = threading.Event()

    def handle(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            connection.recv(65536)
            speak(connection)

    def accept() -> None:
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = listener.accept()
                threading.Thread(target=handle, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://{address}:{listener.getsockname()[1]}"
    finally:
        over.set()
        thread.join()
        listener.close()
