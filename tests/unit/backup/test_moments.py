"""Times as they are typed."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from pgops_backup.moments import NoMoment, format_exact, format_target, parse_moment

UTC = timezone.utc


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("2026-11-23T03:04:05+00:00", datetime(2026, 11, 23, 3, 4, 5, tzinfo=UTC)),
        ("2026-11-23 03:04:05.123456+00", datetime(2026, 11, 23, 3, 4, 5, 123456, tzinfo=UTC)),
        ("2026-11-23 03:04:05.5Z", datetime(2026, 11, 23, 3, 4, 5, 500000, tzinfo=UTC)),
        ("2026-11-23 03:04 UTC", datetime(2026, 11, 23, 3, 4, tzinfo=UTC)),
        (" 2026-11-23T03:04:05-0330 ", datetime(2026, 11, 23, 6, 34, 5, tzinfo=UTC)),
        ("2026-11-23t03:04:05 +01:00", datetime(2026, 11, 23, 2, 4, 5, tzinfo=UTC)),
    ],
)
def test_times(typed: str, meant: datetime) -> None:
    assert parse_moment(typed) == meant


@pytest.mark.parametrize("typed", ["2026-11-23T03:04:05", "2026-11-23 03:04", "2026-11-23 03:04:05.123"])
def test_without_a_zone_it_is_refused_and_told_how(typed: str) -> None:
    with pytest.raises(NoMoment, match=r"no zone.*\+00:00"):
        parse_moment(typed)


@pytest.mark.parametrize(
    "typed", ["", "yesterday", "2026-13-01T00:00:00Z", "2026-11-23", "2026-11-23T25:00:00Z", "1763866800"]
)
def test_what_is_no_time(typed: str) -> None:
    with pytest.raises(NoMoment):
        parse_moment(typed)


def test_out_again() -> None:
    moment = datetime(2026, 11, 23, 4, 4, 5, 7, tzinfo=timezone(timedelta(hours=1)))
    assert format_target(moment) == "2026-11-23 03:04:05.000007+00"
    assert parse_moment(format_target(moment)) == moment
    assert parse_moment(format_exact(moment)) == moment
