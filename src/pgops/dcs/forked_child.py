"""The child's side of `pgops.dcs.forked`: answers requests from a socket until the socket ends."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, NoReturn, Protocol, runtime_checkable

from pgops.dcs import Dcs, DcsFault, DcsOutcomeUnknown

IGNORED = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
"""Signals that the parent answers."""

LOADED = 0
"""The number of the child's first answer, which nobody asked for: its libraries are loaded. Requests count from 1."""

_WORKERS = 8

_LENGTH = struct.Struct("!Q")

_METHODS = frozenset({"read_prefix", "read_keys", "transact", "grant_lease", "keep_lease", "revoke_lease", "health"})


@runtime_checkable
class Loading(Protocol):
    """A driver that can load its libraries ahead of its first call, so that no timeout of that call counts for it."""

    def load(self) -> None: ...


@runtime_checkable
class Warming(Protocol):
    """A driver that can load and connect ahead of its first call."""

    def warm_up(self) -> None: ...


def serve(make: Callable[[], Dcs], channel: socket.socket, mask: Iterable[int]) -> NoReturn:
    """Answer until the parent is gone, then leave at once, without running the parent's exit handlers.

    Called with the `IGNORED` signals blocked; `mask` is what is to be blocked from then on.
    """
    try:
        for ignored in IGNORED:
            signal.signal(ignored, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _Service(make, channel).run()
    finally:
        os._exit(0)


class _Service:
    def __init__(self, make: Callable[[], Dcs], channel: socket.socket) -> None:
        self._make = make
        self._channel = channel
        self._sending = threading.Lock()
        self._taking = threading.Lock()
        self._stream = channel.makefile("rb")
        self._made = threading.Event()
        self._dcs: Dcs | None = None
        self._fault: Exception | None = None

    def run(self) -> None:
        threading.Thread(target=self._begin, daemon=True).start()
        for _ in range(_WORKERS - 1):
            threading.Thread(target=self._work, daemon=True).start()
        self._work()

    def _begin(self) -> None:
        try:
            self._dcs = self._make()
            if isinstance(self._dcs, Loading):
                self._dcs.load()
        except Exception as error:  # told at every call
            self._fault = error
        finally:
            self._made.set()
        self._send((LOADED, "value", None))
        if isinstance(self._dcs, Warming):
            with suppress(Exception):  # what is wrong shows at the first call
                self._dcs.warm_up()

    def _work(self) -> None:
        """Take a request and answer it, over and over: whoever waits for the next one has nobody to be woken by."""
        while True:
            with self._taking:
                request = self._take()
            number, method, arguments = pickle.loads(request)  # noqa: S301 - written by our own parent
            self._send((number, *self._answer(method, arguments)))

    def _take(self) -> bytes:
        """The next request. Where the parent is gone there is none, and the process ends here."""
        header = self._stream.read(_LENGTH.size)
        if len(header) == _LENGTH.size:
            length = _LENGTH.unpack(header)[0]
            request = self._stream.read(length)
            if len(request) == length:
                return request
        os._exit(0)

    def _send(self, answer: tuple[int, str, Any]) -> None:
        frame = pickle.dumps(answer)
        with self._sending:
            try:
                self._channel.sendall(_LENGTH.pack(len(frame)) + frame)
            except OSError:  # the parent is gone
                os._exit(0)

    def _answer(self, method: str, arguments: tuple[object, ...]) -> tuple[str, Any]:
        self._made.wait()
        try:
            if self._fault is not None:
                raise self._fault
            if method not in _METHODS:
                raise ValueError(f"no such call: {method}")
            return "value", getattr(self._dcs, method)(*arguments)
        except DcsOutcomeUnknown as fault:
            return "unknown", str(fault)
        except DcsFault as fault:
            return "fault", str(fault)
        except ValueError as error:
            return "refused", str(error)
        except Exception as error:  # a driver may be a stranger's
            return "bug", f"{type(error).__name__}: {error}"
