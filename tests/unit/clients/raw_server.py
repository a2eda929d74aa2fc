"""A TCP server on loopback that answers each connection as a test says, byte for byte."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from itertools import count

Answer = Callable[[socket.socket, bytes], None]

_numbers = count(1)


class RawServer:
    """`answer` gets the connection and the request's bytes; the connection is closed after it."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._socket = socket.socket()
        self._socket.bind((f"127.30.{10 + os.getpid() % 200}.{200 + next(_numbers) % 50}", 0))
        self._socket.listen(50)
        self.requests: list[bytes] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        address, port = self._socket.getsockname()
        return f"http://{address}:{port}"

    def close(self) -> None:
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            request = connection.recv(65536)
            self.requests.append(request)
            self._answer(connection, request)


def saying(body: bytes, status: str = "200 OK", headers: str = "") -> Answer:
    """A proper answer."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode()
    return lambda connection, _: connection.sendall(head + body)


def bytes_only(raw: bytes) -> Answer:
    """These bytes, whatever they are."""
    return lambda connection, _: connection.sendall(raw)


def endless(connection: socket.socket, _: bytes) -> None:
    """100 MB and more, without a length."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b" " * 65536)


def dripping(raw: bytes, pause_s: float = 0.1) -> Answer:
    """A byte at a time."""

    def answer(connection: socket.socket, _: bytes) -> None:
        for byte in raw:
            connection.sendall(bytes([byte]))
            time.sleep(pause_s)

    return answer


def silent(connection: socket.socket, _: bytes) -> None:
    """Accepts and says nothing."""
    time.sleep(30)


def hanging_up(_: socket.socket, __: bytes) -> None:
    """Takes the request and closes."""
