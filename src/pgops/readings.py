"""What was observed: known, unknown (with the reason), pending (a named step will tell) or skipped (not configured).

A reading is never a missing key and never a default. Null inside a known value means that the source said null.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar, Union

T = TypeVar("T")
U = TypeVar("U")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Known(Generic[T_co]):
    """The value was read."""

    value: T_co


@dataclass(frozen=True, slots=True)
class Unknown:
    """The value could not be read; `reason` is a clause that a person can act on."""

    reason: str


@dataclass(frozen=True, slots=True)
class Pending:
    """The value does not exist yet; the step with this id of the present plan will tell it."""

    step: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """The value was not asked for: nothing is configured there, or this run does not look there. No fault."""

    reason: str


Reading = Union[Known[T], Unknown, Pending, Skipped]  # noqa: UP007 - subscriptable at run time on Python 3.10


def known(reading: Reading[T]) -> T | None:
    """The value when it is known, else None. For values that are themselves never None."""
    return reading.value if isinstance(reading, Known) else None


def reason(reading: Reading[T]) -> str:
    """Why the value is not known, as a clause; empty when it is known."""
    if isinstance(reading, Known):
        return ""
    return f"step {reading.step} will tell" if isinstance(reading, Pending) else reading.reason


def within(reading: Reading[T], pick: Callable[[T], Reading[U]]) -> Reading[U]:
    """A reading inside a known value; where the outer one is not known, its reason is the inner one's."""
    return pick(reading.value) if isinstance(reading, Known) else reading
