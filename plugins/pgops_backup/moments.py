"""Times as people type them and as pgBackRest takes them."""

from __future__ import annotations

import re
from datetime import datetime, timezone

_FORM = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(:\d\d)?(?:[.,](\d{1,6}))?\s?(?:(Z|UTC|GMT)|([+-]\d\d)(?::?(\d\d))?)?",
    re.IGNORECASE,
)


class NoMoment(Exception):
    """What was typed is no time; the text says what is missing."""


def parse_moment(typed: str) -> datetime:
    """An aware time. Raises `NoMoment`: without a zone nobody knows which of two dozen moments is meant."""
    match = _FORM.fullmatch(typed.strip())
    if match is None:
        raise NoMoment(f"{typed!r} is no time; write it like 2026-11-23T03:04:05+00:00")
    date, minutes, seconds, fraction, utc, hours, rest = match.groups()
    if not utc and not hours:
        raise NoMoment(f"{typed!r} has no zone: append it, as in {typed.strip()}+00:00 (UTC), +01:00 or Z")
    offset = "+00:00" if utc else f"{hours}:{rest or '00'}"
    try:
        return datetime.fromisoformat(f"{date}T{minutes}{seconds or ':00'}.{(fraction or '0').ljust(6, '0')}{offset}")
    except ValueError as error:
        raise NoMoment(f"{typed!r} is no time: {error}") from None


def format_target(moment: datetime) -> str:
    """For pgBackRest's --target, in UTC. Source: pgBackRest, src/common/type/convert.c, cvtZToTime."""
    return moment.astimezone(timezone.utc).isoformat(sep=" ", timespec="microseconds").replace("+00:00", "+00")


def format_exact(moment: datetime) -> str:
    """ISO 8601 in UTC with microseconds where there are any: a window's end is exact."""
    return moment.astimezone(timezone.utc).isoformat()
