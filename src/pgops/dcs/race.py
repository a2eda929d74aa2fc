"""Asks several endpoints at the same time: a dead one costs one timeout, not one each."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from pgops.dcs import DcsFault

T = TypeVar("T")

_GRACE_S = 0.2
"""A question that ends at the same deadline by itself says more than that there was no answer: it is awaited so long."""


class Asked(Generic[T]):
    """Questions under way, by name, each in a daemon thread; a question that never ends is left behind."""

    def __init__(self) -> None:
        self._answers: queue.SimpleQueue[tuple[str, T | BaseException]] = queue.SimpleQueue()
        self._open: set[str] = set()
        self.answers: dict[str, T] = {}
        self.faults: dict[str, str] = {}

    def ask(self, name: str, question: Callable[[], T]) -> None:
        """Start a question unless one of that name was asked already."""
        if name in self._open or name in self.answers or name in self.faults:
            return
        self._open.add(name)
        threading.Thread(target=self._work, args=(name, question), daemon=True).start()

    def await_one(self, deadline: float) -> bool:
        """Wait for one more answer or fault; False when there is none to come, or none until `deadline`."""
        if not self._open:
            return False
        try:
            name, answer = self._answers.get(timeout=max(0.0, deadline + _GRACE_S - time.monotonic()))
        except queue.Empty:
            return False
        self._open.discard(name)
        if isinstance(answer, DcsFault):
            self.faults[name] = str(answer)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            self.answers[name] = answer
        return True

    def await_all(self, deadline: float) -> None:
        """Wait for all of them; what has not answered by then becomes a fault."""
        while self.await_one(deadline):
            pass
        for name in self._open:
            self.faults[name] = "no answer in time"
        self._open = set()

    def _work(self, name: str, question: Callable[[], T]) -> None:
        try:
            self._answers.put((name, question()))
        except BaseException as error:  # handed to whoever waits
            self._answers.put((name, error))


def first_answer(questions: Mapping[str, Callable[[], T]], deadline: float) -> tuple[str, T]:
    """The name and answer of the first question that is answered. Raises `DcsFault` with every reason when none is."""
    asked: Asked[T] = Asked()
    for name, question in questions.items():
        asked.ask(name, question)
    while asked.await_one(deadline):
        for name, answer in asked.answers.items():
            return name, answer
    asked.await_all(deadline)
    reasons: dict[str, list[str]] = {}
    for name in questions:
        reasons.setdefault(asked.faults[name], []).append(name)
    raise DcsFault("; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items()))
