"""What was measured is read from the lines that pgBackRest 2.45 and PostgreSQL 15 wrote on a lab."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from pgops.observe.facts import JobFacts
from pgops_drill.measures import (
    failed_checksums,
    last_line,
    replay_bytes,
    replay_seconds,
    restore_progress,
    restore_seconds,
    tell_restore,
    words,
)

RESTORE = """\
2026-11-23 08:51:42.100 P01 DETAIL: restore file /scratch/data/base/5/2619 (256KB, 12.34%) checksum 0a1b
2026-11-23 08:51:42.400 P02 DETAIL: restore file /scratch/data/base/5/2 (x, 99%) (8KB, 99.64%) checksum 0a1c
2026-11-23 08:51:42.663 P00 DETAIL: sync path '/scratch/data/pg_wal'
2026-11-23 08:51:42.664 P00   INFO: restore size = 29.2MB, file total = 1274
"""
END = "2026-11-23 08:51:42.664 P00   INFO: restore command end: completed successfully (3123ms)\n"
REPLAY = """\
2026-11-23 09:13:19.751 UTC [30245] LOG:  starting PostgreSQL 15.18 (Debian 15.18-0+deb12u1)
2026-11-23 09:13:19.971 UTC [30314] LOG:  redo starts at 0/4000028
2026-11-23 09:13:20.023 UTC [30314] LOG:  redo done at 1/5000050 system usage: CPU: user: 0.00 s, elapsed: 0.05 s
2026-11-23 09:13:21.001 UTC [30245] LOG:  database system is ready to accept connections
fetched_count 3
"""


def test_of_a_restore() -> None:
    assert restore_seconds(RESTORE + END) == 3.123
    assert restore_seconds(RESTORE) is None
    assert restore_progress(RESTORE) == pytest.approx(0.9964)
    assert restore_progress(END) is None


def test_how_far_a_restore_has_come() -> None:
    begun = datetime(2026, 11, 23, 3, 0, tzinfo=timezone.utc)
    job = JobFacts(True, None, begun, "P01 DETAIL: restore file /s/data/base/5/2619 (256KB, 25.00%) checksum 0a1b\n")
    later = begun + timedelta(minutes=5)
    assert tell_restore(2**30, job, later) == ("256.0 MiB of 1.0 GiB, 15m left", 0.25)
    assert tell_restore(2**30, job, begun - timedelta(hours=1)) == ("256.0 MiB of 1.0 GiB", 0.25), "clocks differ"
    assert tell_restore(None, job, later) == ("the restore runs, 15m left", 0.25)
    assert tell_restore(2**30, replace(job, log_tail=""), later) == ("the restore begins", None)


def test_of_a_replay() -> None:
    assert replay_seconds(REPLAY) == 1.25
    assert replay_bytes(REPLAY) == 0x1_05000050 - 0x4000028
    assert words(REPLAY)["fetched_count"] == "3"


@pytest.mark.parametrize(
    "log", ["", "redo starts at 0/4000028\n", REPLAY.replace("UTC", "CET").replace("redo done", "")]
)
def test_what_is_not_there_is_not_guessed(log: str) -> None:
    assert replay_seconds(log) is None and replay_bytes(log) is None


def test_a_backup_without_redo() -> None:
    assert replay_bytes("2026-11-23 09:13:19.971 UTC [30314] LOG:  redo is not required\n") == 0


def test_the_last_line_says_something() -> None:
    assert last_line("a\nb\n\n") == "b"
    assert last_line("\n") == "it said nothing"


def test_a_page_with_a_wrong_checksum_is_named() -> None:
    log = (
        'pg_checksums: error: checksum verification failed in file "/s/data/base/5/16384", block 7: '
        "calculated checksum E3D but block contains 8CBF\n"
        "Checksum operation completed\nFiles scanned:   1269\nBad checksums:  1\n"
    )
    assert failed_checksums(log) == "a page has a wrong checksum: base/5/16384, block 7"
    assert failed_checksums(log.replace("checksums:  1", "checksums:  3")) == (
        "3 pages have a wrong checksum: base/5/16384, block 7"
    )
    assert failed_checksums("Bad checksums:  0\n") is None
