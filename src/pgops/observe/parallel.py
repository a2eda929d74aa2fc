"""Runs probes at the same time and waits for each no longer than a common deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

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
