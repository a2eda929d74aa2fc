"""Sizes and durations as people write them."""

from __future__ import annotations

import re

_SIZES = {"": 1, "B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}
_DURATIONS = {"": 1.0, "ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_FORM = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([A-Za-z]*)")

SIZE_FORMS = 'a size such as 16777216, "16MiB" or "8GiB"'
DURATION_FORMS = 'a duration such as 90, "90s", "15min", "26h" or "8d"'


def parse_size(text: str) -> int | None:
    """Bytes, or None when it is no size. MB is refused: PostgreSQL means 1024² by it, disks mean 1000²."""
    size = _parse(text, {unit: float(factor) for unit, factor in _SIZES.items()})
    return None if size is None else round(size)


def parse_duration(text: str) -> float | None:
    """Seconds, or None when it is no duration. PostgreSQL's units, and weeks."""
    return _parse(text, _DURATIONS)


def _parse(text: str, factors: dict[str, float]) -> float | None:
    form = _FORM.fullmatch(text.strip())
    if form is None or form.group(2) not in factors:
        return None
    return float(form.group(1)) * factors[form.group(2)]
