"""`--at TIME`: the way there, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from pgops.observe.facts import ArchiveFacts, Backup
from pgops.readings import Known, Reading, Unknown
from pgops_backup.answers import NoWay, Way, find_way
from pgops_backup.last_commit import LastEnd
from pgops_backup.reaches import Line, Tail, find_reaches
from pgops_backup.windows import find_windows
from unit.backup.archives import SEGMENT, archive, at, backup, history, name

FORK = 5 * SEGMENT + 160
BACKUPS = (backup("A", 2, 3, 10), backup("B", 6, 7, 40, timeline=2))
FORKED = archive((1, 1, 8), (2, 5, 9), histories={2: history((1, FORK))})
ENDS = {name(8): 35.0, name(9, 2): 60.0}


def lines(holds: ArchiveFacts, ends: Mapping[str, float | None], *backups: Backup) -> tuple[Line, ...]:
    def read(tail: Tail) -> Reading[LastEnd]:
        minutes = ends[tail.names[0]]
        return Unknown("it is dark") if minutes is None else Known(LastEnd(at(minutes), True, 1, tail.names[0]))

    return find_reaches(find_windows(backups, holds, SEGMENT), SEGMENT, read)


def way(found: Way | NoWay) -> Way:
    assert isinstance(found, Way), found
    return found


def no(found: Way | NoWay) -> NoWay:
    assert isinstance(found, NoWay), found
    return found


def test_the_present_timeline_and_the_newest_backup_before() -> None:
    found = way(find_way(lines(FORKED, ENDS, *BACKUPS), at(50), 2))
    assert (found.line.window.timeline, found.backup.label, found.others) == (2, "B", ())
    earlier = way(find_way(lines(FORKED, ENDS, *BACKUPS), at(20), 2))
    assert (earlier.line.window.timeline, earlier.backup.label) == (2, "A")
    assert [line.window.timeline for line in earlier.others] == [1]


def test_in_the_very_second_of_its_stop_a_backup_is_not_taken() -> None:
    assert way(find_way(lines(FORKED, ENDS, *BACKUPS), at(40), 2)).backup.label == "A"
    assert way(find_way(lines(FORKED, ENDS, *BACKUPS), at(40) + timedelta(seconds=1), 2)).backup.label == "B"


def test_another_timeline_where_the_present_one_does_not_lead_there() -> None:
    holds = archive((1, 1, 8), histories={2: history((1, FORK))})
    found = way(find_way(lines(holds, {name(8): 35.0, name(5): 12.0}, BACKUPS[0]), at(30), 2))
    assert found.line.window.timeline == 1


def test_before_the_first() -> None:
    why = no(find_way(lines(FORKED, ENDS, *BACKUPS), at(10), 2)).why
    assert why.startswith("it is before") and "2026-11-23T12:10:01+00:00" in why


def test_after_the_end() -> None:
    why = no(find_way(lines(FORKED, ENDS, *BACKUPS), at(60), 2)).why
    assert why.startswith("it is after") and "2026-11-23T12:59:59.999999+00:00" in why


def test_in_a_gap() -> None:
    holds = archive((1, 1, 6), (1, 9, 14))
    gapped = lines(holds, {name(6): 25.0, name(14): 60.0}, backup("A", 2, 3, 10), backup("C", 10, 11, 40))
    assert way(find_way(gapped, at(20), 1)).backup.label == "A"
    assert way(find_way(gapped, at(50), 1)).backup.label == "C"
    why = no(find_way(gapped, at(30), 1)).why
    assert name(7) in why and "1 more" in why
    assert "12:24:59.999999" in why and "12:40:01" in why


def test_where_an_end_is_unknown() -> None:
    found = no(find_way(lines(archive((1, 1, 6)), {name(6): None}, backup("A", 2, 3, 10)), at(20), 1))
    assert not found.certain and "it is dark" in found.why
    early = no(find_way(lines(archive((1, 1, 6)), {name(6): None}, backup("A", 2, 3, 10)), at(5), 1))
    assert early.certain


def test_no_usable_backup_and_no_transaction() -> None:
    assert "no backup" in no(find_way(lines(archive((1, 1, 6)), {}), at(20), 1)).why
    still = lines(archive((1, 1, 6)), {name(6): 5.0}, backup("A", 2, 3, 10))
    assert "no transaction that ended after A" in no(find_way(still, at(20), 1)).why


def test_the_first_repository_of_two() -> None:
    both = [
        *lines(archive((1, 1, 6), repo_key=2), {name(6): 30.0}, backup("A", 2, 3, 10, repo_key=2)),
        *lines(archive((1, 1, 6)), {name(6): 30.0}, backup("A", 2, 3, 10)),
    ]
    found = way(find_way(both, at(20), None))
    assert (found.line.window.repo_key, len(found.others)) == (1, 1)
