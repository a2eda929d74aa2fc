"""Numbers for people, with their unit."""

from __future__ import annotations

from datetime import datetime


def format_bytes(count: int) -> str:
    """`1536` -> `1.5 KiB`; binary units, one decimal, the sign kept."""
    size = float(abs(count))
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            break
        size /= 1024
    sign = "-" if count < 0 else ""
    return f"{sign}{size:.0f} {unit}" if unit == "B" else f"{sign}{size:.1f} {unit}"


def format_duration(seconds: float) -> str:
    """`93784` -> `1d 2h`; the two largest units, whole seconds below a minute."""
    left = int(abs(seconds))
    sign = "-" if seconds < 0 else ""
    if left < 60:
        return f"{sign}{left}s"
    days, left = divmod(left, 86400)
    hours, left = divmod(left, 3600)
    minutes, rest = divmod(left, 60)
    parts = [f"{value}{unit}" for value, unit in ((days, "d"), (hours, "h"), (minutes, "m"), (rest, "s")) if value]
    return sign + " ".join(parts[:2])


def format_time(moment: datetime) -> str:
    """ISO 8601 with offset, to the second."""
    return moment.isoformat(timespec="seconds")
