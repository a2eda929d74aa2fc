"""What the options of `pgops backup` take: durations, a window of the day, a time zone.

Each parser raises `ValueError` with what is wanted instead.
"""

from __future__ import annotations

import re
from datetime import datetime, time

_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")

Window = tuple[time, time]
"""From the first time of the day to the second, which may be that of the next day."""


def parse_age(text: str) -> float:
    """Seconds, as `pgops.config.units` writes them."""
    from pgops.config.units import DURATION_FORMS, parse_duration

    seconds = parse_duration(text)
    if seconds is None:
        raise ValueError(DURATION_FORMS)
    return seconds


def parse_window(text: str) -> Window:
    """`01:00-05:00`; where the second time is the lesser one, the window goes over midnight."""
    match = _WINDOW.fullmatch(text)
    if match is None or match[1] + match[2] == match[3] + match[4]:
        raise ValueError("a window such as 01:00-05:00")
    first, last = (time(int(match[at]), int(match[at + 1])) for at in (1, 3))
    return first, last


def parse_zone(text: str) -> str:
    """The name of a time zone (`Europe/Rome`), or UTC."""
    if text != "UTC":
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(text)
        except (KeyError, ValueError, OSError):
            raise ValueError("a time zone that this machine knows, such as Europe/Rome") from None
    return text


def is_within(window: Window, moment: datetime) -> bool:
    """Whether the time of day lies in the window: its beginning counts, its end does not."""
    first, last = window
    at = moment.time().replace(tzinfo=None)
    return first <= at < last if first < last else at >= first or at < last
