"""A DCS driver in a forked child: its library loads while the parent does something else, and can be killed when stuck."""

from __future__ import annotations

import os
import pickle
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from pgops.dcs import Compare, Dcs, DcsFault, DcsHealth, DcsKey, DcsOutcomeUnknown, Delete, Put, Transaction
from pgops.dcs.forked_child import IGNORED, LOADED, serve

GRACE_S = 1.0
"""Beyond the driver's own timeout: a driver that asks twice within its bounds."""

START_S = 10.0
"""What the child may take to load its libraries, on a machine that starves; no call's own limit counts for it."""

_LENGTH = struct.Struct("!Q")

_CHUNK_BYTES = 1 << 16
"""Room for one reading. It is made anew each time: a large one costs more than the answers of many calls."""


def may_fork() -> bool:
    """Whether this process bears a fork, which copies the calling thread alone.

    gRPC has threads of its own that Python does not count, and locks that they hold: in the child it hangs, or aborts.
    """
    return threading.active_count() == 1 and "grpc" not in sys.modules


class ForkedDcs:
    """Forwards each call to the child, from any thread; slow calls do not hold up others.

    Made only while this process may fork (`may_fork`). The child ignores SIGINT, SIGHUP and SIGTERM, which the parent
    answers, and ends with the parent, however that ends.
    """

    def __init__(self, make: Callable[[], Dcs], *, timeout_s: float) -> None:
        if not may_fork():
            raise RuntimeError("a process with several threads cannot be forked safely")
        self._limit_s = timeout_s + GRACE_S
        self._socket, theirs = socket.socketpair()
        # Until the child has set them aside, a signal to the whole group must not end it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, IGNORED)
        try:
            self._pid = os.fork()
            if self._pid == 0:
                self._socket.close()
                serve(make, theirs, before)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self._sending = threading.Lock()
        self._turn = threading.Condition()
        self._reading = False
        self._ended = False
        self._last = 0
        self._awaited = {LOADED}
        self._answers: dict[int, tuple[str, Any]] = {}
        self._received = bytearray()

    def read_prefix(self, prefix: str) -> dict[str, DcsKey]:
        """See `pgops.dcs.Dcs`."""
        keys: dict[str, DcsKey] = self._call("read_prefix", prefix)
        return keys

    def read_keys(self, keys: Sequence[str]) -> dict[str, DcsKey]:
        """See `pgops.dcs.Dcs`."""
        found: dict[str, DcsKey] = self._call("read_keys", tuple(keys))
        return found

    def transact(self, compares: Sequence[Compare], changes: Sequence[Put | Delete]) -> Transaction:
        """See `pgops.dcs.Dcs`."""
        done: Transaction = self._call("transact", tuple(compares), tuple(changes), writes=True)
        return done

    def transact_during(
        self, compares: Sequence[Compare], changes: Sequence[Put | Delete], work: Callable[[], None]
    ) -> Transaction:
        """See `pgops.dcs.Overlapping`."""
        done: Transaction = self._call("transact", tuple(compares), tuple(changes), writes=True, work=work)
        return done

    def grant_lease(self, ttl_s: int) -> int:
        """See `pgops.dcs.Dcs`."""
        lease: int = self._call("grant_lease", ttl_s, writes=True)
        return lease

    def keep_lease(self, lease: int) -> int:
        """See `pgops.dcs.Dcs`."""
        seconds: int = self._call("keep_lease", lease, writes=True)
        return seconds

    def revoke_lease(self, lease: int) -> None:
        """See `pgops.dcs.Dcs`."""
        self._call("revoke_lease", lease, writes=True)

    def health(self) -> DcsHealth:
        """See `pgops.dcs.Dcs`."""
        health: DcsHealth = self._call("health")
        return health

    def close(self) -> None:
        """End the child, whatever it is at."""
        with self._turn:
            self._ended = True
            self._turn.notify_all()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._pid:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
            self._pid = 0

    def _call(
        self, method: str, *arguments: object, writes: bool = False, work: Callable[[], None] | None = None
    ) -> Any:
        if self._await(LOADED, time.monotonic() + START_S) is None:
            raise DcsFault(
                f"the process that asks the DCS {'ended' if self._ended else 'could not load its libraries'}"
            )
        deadline = time.monotonic() + self._limit_s
        with self._turn:
            self._last += 1
            number = self._last
            self._awaited.add(number)
        lost = DcsOutcomeUnknown if writes else DcsFault
        try:
            self._send(pickle.dumps((number, method, arguments)), deadline)
            if work is not None:
                work()
                deadline = time.monotonic() + self._limit_s  # an answer that came while it was at that counts
            answer = self._await(number, deadline)
        finally:
            with self._turn:
                self._awaited.discard(number)
                self._answers.pop(number, None)
        if answer is None:
            said = "ended" if self._ended else f"gave no answer within {self._limit_s:g} s"
            raise lost(f"the process that asks the DCS {said}")
        kind, value = answer
        if kind == "value":
            return value
        if kind == "bug":
            raise lost(f"a bug in the DCS driver: {value}")
        raise {"fault": DcsFault, "unknown": DcsOutcomeUnknown, "refused": ValueError}[kind](value)

    def _send(self, request: bytes, deadline: float) -> None:
        """Raises `DcsFault`: an incomplete request is one that the child does nothing of."""
        if not self._sending.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise DcsFault("the process that asks the DCS takes no requests")
        try:
            if self._ended:
                raise DcsFault("the process that asks the DCS ended")
            rest = memoryview(_LENGTH.pack(len(request)) + request)
            while rest:
                try:
                    rest = rest[self._socket.send(rest, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL) :]
                except BlockingIOError:
                    if not _ready(self._socket, select.POLLOUT, deadline):
                        self._end()  # nothing that follows half a request could be read
                        raise DcsFault("the process that asks the DCS takes no requests") from None
                except OSError:
                    self._end()
                    raise DcsFault("the process that asks the DCS ended") from None
        finally:
            self._sending.release()

    def _await(self, number: int, deadline: float) -> tuple[str, Any] | None:
        """The answer of that number; None when it does not come. One of the waiting threads reads for all of them."""
        with self._turn:
            while number not in self._answers:
                left_s = deadline - time.monotonic()
                if self._ended or left_s <= 0:
                    return None
                if self._reading:
                    self._turn.wait(left_s)
                    continue
                self._reading = True
                self._turn.release()
                try:
                    answers = self._receive(deadline)
                finally:
                    self._turn.acquire()
                    self._reading = False
                    self._turn.notify_all()
                self._answers.update({key: answer for key, answer in answers.items() if key in self._awaited})
            return self._answers[LOADED] if number == LOADED else self._answers.pop(number)

    def _receive(self, deadline: float) -> dict[int, tuple[str, Any]]:
        """What came, once something came. Only one thread at a time is here."""
        if not _ready(self._socket, select.POLLIN, deadline):
            return {}
        try:
            chunk = self._socket.recv(_CHUNK_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return {}
        except OSError:
            chunk = b""
        if not chunk:
            self._end()
        self._received += chunk
        found = {}
        while len(self._received) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._received)[0]
            if len(self._received) < end:
                break
            frame = bytes(self._received[_LENGTH.size : end])
            number, kind, value = pickle.loads(frame)  # noqa: S301 - written by our own child
            found[number] = (kind, value)
            del self._received[:end]
        return found

    def _end(self) -> None:
        with self._turn:
            self._ended = True
            self._turn.notify_all()


def _ready(channel: socket.socket, event: int, deadline: float) -> bool:
    poll = select.poll()
    poll.register(channel, event)
    return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
