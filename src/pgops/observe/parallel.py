"""Runs probes at the same time and waits for each no longer than a common deadline."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar, Union

from pgops.dcs.forked import may_fork

T = TypeVar("T")


class Late(Exception):
    """A probe had no result at the deadline; it is left behind in its daemon thread."""


class Task(Generic[T]):
    """A function running in a daemon thread: a probe stuck in a library cannot keep pgops from ending."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._result: T | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            self._result = self._function()
        except BaseException as error:  # handed to whoever asks for the result
            self._error = error

    def result(self, deadline: float) -> T:
        """What the function returned or raised, waiting until `deadline` (time.monotonic). Raises `Late` after it."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            raise Late
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value] # set by the function, which returned


class Isolated(Generic[T]):
    """A function running in a forked child: its imports cost no time here, and one stuck in a C library can be killed.

    Made only while this process may fork (`pgops.dcs.forked.may_fork`). The result travels as a pickle, from our own child
    through a pipe of ours.
    """

    def __init__(self, function: Callable[[], T]) -> None:
        self._pipe, theirs = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            _answer(function, theirs)
        os.close(theirs)

    def result(self, deadline: float) -> T:
        """What the function returned, waiting until `deadline` (time.monotonic).

        Raises `Late` after it, and RuntimeError with its text when the function raised.
        """
        import pickle

        chunks = []
        poll = select.poll()  # select() itself knows no descriptor above 1,023
        poll.register(self._pipe, select.POLLIN)
        try:
            while True:
                if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                    raise Late
                chunk = os.read(self._pipe, 1 << 20)
                if not chunk:
                    break
                chunks.append(chunk)
        finally:
            os.close(self._pipe)
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        if not chunks:
            raise RuntimeError("its process ended without a result")
        result: T
        result, fault = pickle.loads(b"".join(chunks))  # noqa: S301 - written by our own child
        if fault is not None:
            raise RuntimeError(fault)
        return result


def _answer(function: Callable[[], T], pipe: int) -> None:
    """In the child: work, answer, and leave without running the parent's exit handlers."""
    import pickle

    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent answers Ctrl-C
        try:
            data = pickle.dumps((function(), None))
        except Exception as error:  # told to the parent, which says it
            data = pickle.dumps((None, f"{type(error).__name__}: {error}"))
        while data:
            data = data[os.write(pipe, data) :]
    finally:
        os._exit(0)


Running = Union[Task[T], Isolated[T]]  # noqa: UP007 - subscriptable at run time on Python 3.10


def start(function: Callable[[], T]) -> Running[T]:
    """Run `function` isolated where that is possible, else in a thread."""
    return Isolated(function) if may_fork() else Task(function)
