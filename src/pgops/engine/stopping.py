"""Ctrl-C, SIGHUP and SIGTERM during a run: the first lets the present effect end, a second stops at once."""

from __future__ import annotations

import signal
import time
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SLICE_S = 0.05
"""Python goes on sleeping after a signal was handled."""


class StopWish:
    """Heeds the signals while it is entered. `name` is the first signal that came, None while there was none."""

    def __init__(self) -> None:
        self.name: str | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopWish:
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._heed)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def sleep(self, seconds: float) -> None:
        """Sleep, but no longer than until a signal comes."""
        until = time.monotonic() + seconds
        while self.name is None and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE_S))

    def _heed(self, number: int, _frame: FrameType | None) -> None:
        if self.name is not None:
            raise KeyboardInterrupt
        self.name = signal.Signals(number).name


class Clock:
    """The time of a world, by which a run waits. A world that is no real one has a clock of its own."""

    def now_s(self) -> float:
        """Seconds since some moment; never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float, wish: StopWish) -> None:
        """Let so much time pass, but no more once a signal came."""
        wish.sleep(seconds)
