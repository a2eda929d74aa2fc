"""The section `backup` of a pgops.yml."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgops.config.loader import load
from pgops.config.model import BackupPolicy
from pgops.errors import ConfigError

DCS = "dcs: {kind: etcd3, endpoints: ['h:1']}"


def read(tmp_path: Path, section: str) -> BackupPolicy:
    path = tmp_path / "pgops.yml"
    path.write_text(f"version: 1\nclusters: {{c: {{{DCS}{section}}}}}\n")
    path.chmod(0o600)
    return load(str(path), environ={}).clusters[0].backup


def test_what_is_not_said(tmp_path: Path) -> None:
    assert read(tmp_path, "") == BackupPolicy() == read(tmp_path, ", backup: {}")


def test_all_of_it(tmp_path: Path) -> None:
    said = (
        ", backup: {full_every: 2w, every: 12h, kind: incr, window: '22:30-04:00', timezone: UTC, cron_dir: /srv/cron, "
        "user: postgres, mailto: 'a@b.example', textfile: /srv/metrics, jitter: 2min}"
    )
    assert read(tmp_path, said) == BackupPolicy(
        14 * 86400.0,
        43200.0,
        "incr",
        "22:30-04:00",
        "UTC",
        "/srv/cron",
        "postgres",
        "a@b.example",
        "/srv/metrics",
        120.0,
    )


@pytest.mark.parametrize(
    ("section", "fault"),
    [
        ("every: 5min", "backup.every: must be at least 30min"),
        ("full_every: 12h", "full_every must not be less than every"),
        ("every: 9d", "full_every must not be less than every"),
        ("kind: full", "expected one of diff, incr"),
        ("window: '1-5'", "not a span of the day such as 01:00-05:00"),
        ("window: '24:00-05:00'", "not a span of the day"),
        ("window: '01:00-01:00'", "not a span of the day"),
        ("timezone: Mars/Olympus", "not a time zone"),
        ("timezone: ../../etc/passwd", "not a time zone"),
        ("cron_dir: cron.d", "must be an absolute path"),
        ("jitter: 31min", "backup.jitter: must be at most 30min"),
        ("user: 'a b'", "not a user name"),
        ("mailto: 'a b'", "must not hold spaces or quotes"),
        ("weekly: 1", "unknown key weekly"),
    ],
)
def test_what_is_wrong(tmp_path: Path, section: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, f", backup: {{{section}}}")
    assert fault in f"{caught.value} {caught.value.why}"
