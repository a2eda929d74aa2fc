"""Names in an archive, as `repo-ls --recurse` prints them, as ranges."""

from __future__ import annotations

import pytest

from pgops.observe.archive import parse_archive
from pgops.observe.facts import WalRange

MIB = 1024 * 1024
SHA = "cc14a818ed8fe449c7469c2bafe48a192781f3de"


def stored(segment: str, suffix: str = ".gz") -> str:
    return f"{segment[:16]}/{segment}-{SHA}{suffix}"


def ranges(*names: str, segment_bytes: int = 16 * MIB) -> list[tuple[int, int, int]]:
    facts = parse_archive(names, 1, "15-1", segment_bytes)
    return [(each.timeline, each.first, each.last) for each in facts.ranges]


def test_a_run_goes_on_over_the_end_of_a_log() -> None:
    names = [stored(f"0000000100000000000000{end}") for end in ("FD", "FE", "FF")]
    names += [stored("000000010000000100000000"), stored("000000010000000100000001")]
    assert ranges(*reversed(names)) == [(1, 0xFD, 0x101)]


def test_a_log_of_smaller_segments_is_longer() -> None:
    # 1 MiB segments: 4096 in a log.
    names = [stored("000000010000000000000FFF"), stored("000000010000000100000000")]
    assert ranges(*names, segment_bytes=MIB) == [(1, 0xFFF, 0x1000)]
    assert ranges(stored("000000010000000000000003"), stored("000000010000000100000000"), segment_bytes=1024 * MIB) == [
        (1, 3, 4)
    ]


def test_gaps_divide() -> None:
    names = [stored(f"00000001000000000000000{end}") for end in "12467"]
    assert ranges(*names) == [(1, 1, 2), (1, 4, 4), (1, 6, 7)]


def test_timelines_stand_apart_and_in_order() -> None:
    names = [stored("0000000A0000000000000004"), stored("000000020000000000000003"), stored("000000010000000000000003")]
    assert ranges(*names) == [(1, 3, 3), (2, 3, 3), (10, 4, 4)]


@pytest.mark.parametrize("suffix", ["", ".gz", ".lz4", ".zst", ".bz2"])
def test_however_it_is_compressed(suffix: str) -> None:
    assert ranges(stored("000000010000000000000005", suffix)) == [(1, 5, 5)]


def test_a_segment_that_was_stored_twice_is_one() -> None:
    assert ranges(stored("000000010000000000000005"), stored("000000010000000000000005", ".zst")) == [(1, 5, 5)]


@pytest.mark.parametrize(
    "name",
    [
        ".",
        "0000000100000000",
        "archive.info",
        "archive.info.copy",
        "00000002.history",
        "0000000100000000/000000010000000000000002.00000028.backup",
        "0000000100000000/000000010000000000000002.00000028.backup-" + SHA + ".gz",
        "0000000100000000/000000010000000000000005-short.gz",
        "0000000100000000/000000010000000000000005-" + SHA + ".gz.pgbackrest.tmp",
        "0000000100000000/00000001000000000000000g-" + SHA,
        "",
        "\n",
    ],
)
def test_other_names_count_for_nothing(name: str) -> None:
    assert parse_archive([name], 1, "15-1", 16 * MIB).ranges == ()
    assert parse_archive([name], 1, "15-1", 16 * MIB).partial == ()


def test_partial_segments_are_named_and_fill_no_gap() -> None:
    partial = f"0000000100000000/000000010000000000000006.partial-{SHA}.gz"
    facts = parse_archive([stored("000000010000000000000005"), partial], 2, "17-3", 16 * MIB)
    assert facts.ranges == (WalRange(1, 5, 5),)
    assert facts.partial == ("000000010000000000000006.partial",)
    assert (facts.repo_key, facts.archive_id, facts.segment_bytes, facts.histories) == (2, "17-3", 16 * MIB, {})


def test_a_hundred_thousand_segments_are_one_range() -> None:
    names = (stored(f"00000001{number >> 8:08X}{number & 0xFF:08X}") for number in range(100_000))
    assert ranges(*names) == [(1, 0, 99_999)]


def test_nothing_at_all() -> None:
    assert ranges() == []
