"""JSON from strangers: bounded depth, no NaN, and a clear word on what came instead."""

from __future__ import annotations

from math import isfinite
from typing import NoReturn

DEPTH_LIMIT = 64


def parse_json(body: bytes) -> object:
    """The JSON in `body`; integers of any size stay exact. Raises ValueError with a clause for a person."""
    import json

    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("the answer is not JSON (not UTF-8)") from None
    start = text[:1000].lstrip()
    if not start:
        raise ValueError("the answer is empty")
    if start.startswith("<"):
        raise ValueError("the answer is an HTML or XML page, not JSON")
    try:
        value: object = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("the answer is JSON nested too deeply") from None
    except json.JSONDecodeError as error:
        cut = error.pos >= len(text.rstrip()) or "Unterminated" in error.msg
        raise ValueError(
            f"the answer breaks off after {len(body)} bytes of JSON" if cut else "the answer is not JSON"
        ) from None
    if text.count("[") + text.count("{") > DEPTH_LIMIT and _too_deep(value):
        raise ValueError("the answer is JSON nested too deeply")
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"the answer is not JSON ({constant} stands for a number)")


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError("the answer holds a number that is too large")
    return number


def _too_deep(value: object) -> bool:
    """Level by level, without recursion."""
    level = [value]
    for _ in range(DEPTH_LIMIT):
        level = [
            child
            for item in level
            if isinstance(item, (dict, list))
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return True
