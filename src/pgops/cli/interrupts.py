"""Ctrl-C that cannot get lost.

Python swallows an exception that is raised in a weak reference's callback or a destructor, as imports run them; a
KeyboardInterrupt that falls there is printed as ignored, and a program that repeats itself would go on.
"""

from __future__ import annotations

import signal
from types import FrameType

_seen = False


def heed() -> None:
    """From now on remember that an interrupt came, beside raising KeyboardInterrupt as Python does."""
    signal.signal(signal.SIGINT, _interrupt)


def check() -> None:
    """Raise the KeyboardInterrupt that came and was swallowed."""
    if _seen:
        raise KeyboardInterrupt


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    global _seen  # noqa: PLW0603 - a signal belongs to the process
    _seen = True
    raise KeyboardInterrupt
