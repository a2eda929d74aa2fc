"""Walks against a recovery that is played segment by segment, as PostgreSQL goes about it, in many random archives."""

from __future__ import annotations

import random

import pytest

from pgops.observe.facts import ArchiveFacts, Backup
from pgops.observe.timelines import Path, path_to
from pgops_backup.windows import find_windows
from unit.backup.archives import SEGMENT, archive, backup, history

END = 40
"""No segment has a greater number."""


def play(holds: ArchiveFacts, path: Path, made: Backup, first: int) -> tuple[list[tuple[int, int]], int | None]:
    """The files that recovery reads rightly, from segment `first` on, and where the last one must be left.

    Of the timelines on the way that have begun in a segment, and are not older than the one that was read last, the newest
    whose file is there is read (XLogFileReadAnyTLI). A file of a timeline that was left within or before it ends the way.
    """
    stored = {(each.timeline, number) for each in holds.ranges for number in range(each.first, each.last + 1)}
    read: list[tuple[int, int]] = []
    oldest = made.timeline or 1
    for number in range(first, END + 2):
        begun = [
            piece for piece in reversed(path) if piece.begins_bytes // SEGMENT <= number and piece.timeline >= oldest
        ]
        found = next((piece for piece in begun if (piece.timeline, number) in stored), None)
        if found is None:
            return read, None
        if found is begun[0]:
            read.append((found.timeline, number))
            oldest = found.timeline
            continue
        assert found.ends_bytes is not None
        left = found.ends_bytes // SEGMENT == number and found.ends_bytes % SEGMENT != 0
        return ([*read, (found.timeline, number)], found.ends_bytes) if left else (read, None)
    raise AssertionError("no archive is as long")


def random_world(dice: random.Random) -> tuple[ArchiveFacts, list[Backup]]:
    """Up to four timelines, each forked from an earlier one, with segments lost here and there."""
    ancestors: dict[int, tuple[tuple[int, int], ...]] = {1: ()}
    for timeline in range(2, dice.randint(1, 4) + 1):
        parent = dice.choice(sorted(ancestors))
        lowest = ancestors[parent][-1][1] if ancestors[parent] else SEGMENT
        switch = lowest + dice.randint(1, 8) * SEGMENT // dice.choice((1, 3)) // 8 * 8
        ancestors[timeline] = (*ancestors[parent], (parent, switch))
    ranges = []
    for timeline, forks in ancestors.items():
        number = forks[-1][1] // SEGMENT if forks else 1
        last = min(END, number + dice.randint(0, 12))
        ranges += [(timeline, each, each) for each in range(number, last + 1) if dice.random() > 0.07]
    backups = []
    for number in range(dice.randint(1, 5)):
        timeline = dice.choice(sorted(ancestors))
        begun = ancestors[timeline][-1][1] // SEGMENT + 1 if ancestors[timeline] else 1
        first = begun + dice.randint(0, 6)
        last = first + dice.randint(0, 2)
        backups.append(backup(f"B{number}", first, last, 10 * (last * 8 + timeline) + number, timeline=timeline))
    histories = {timeline: history(*forks) for timeline, forks in ancestors.items() if forks}
    return archive(*ranges, histories=histories), backups


@pytest.mark.parametrize("seed", range(400))
def test_a_span_is_what_recovery_reads(seed: int) -> None:
    dice = random.Random(seed)
    holds, backups = random_world(dice)
    for window in find_windows(backups, holds, SEGMENT):
        path = path_to(window.timeline, holds.histories)
        usable = {item.label for span in window.spans for item in span.backups}
        for span in window.spans:
            for made in span.backups:
                assert made.start_lsn_bytes is not None and made.stop_lsn_bytes is not None
                first = made.start_lsn_bytes // SEGMENT
                read, leave_bytes = play(holds, path, made, first)
                walked = [
                    (each.timeline, number)
                    for each in span.walk.stretches
                    for number in range(each.first, (each.last or 0) + 1)
                    if number >= first
                ]
                assert (read, leave_bytes) == (walked, span.walk.leave_bytes)
                assert read[-1][1] >= made.stop_lsn_bytes // SEGMENT, "it becomes consistent on the way"
        flawed = {flaw.label for flaw in window.flaws}
        assert not usable & flawed
        for made in backups:
            piece = next((piece for piece in path if piece.timeline == made.timeline), None)
            assert made.stop_lsn_bytes is not None and made.start_lsn_bytes is not None
            on_path = piece is not None and (piece.ends_bytes is None or made.stop_lsn_bytes <= piece.ends_bytes)
            if made.label not in usable and on_path:
                read, _ = play(holds, path, made, made.start_lsn_bytes // SEGMENT)
                assert not read or read[-1][1] < made.stop_lsn_bytes // SEGMENT, "it was left out for no reason"
                assert made.label in flawed
