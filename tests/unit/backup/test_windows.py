"""Which backups and which WAL lead where, by timeline."""

from __future__ import annotations

from pgops.observe.facts import ArchiveFacts, Backup
from pgops.observe.timelines import Stretch
from pgops_backup.windows import Flaw, Gap, TimelineWindow, find_windows
from unit.backup.archives import SEGMENT, archive, at, backup, history, name

FORK = 5 * SEGMENT + 160


def windows(holds: ArchiveFacts, *backups: Backup) -> dict[int, TimelineWindow]:
    return {window.timeline: window for window in find_windows(backups, holds, SEGMENT)}


def labels(window: TimelineWindow) -> list[list[str]]:
    return [[item.label for item in span.backups] for span in window.spans]


def test_one_timeline_without_a_gap() -> None:
    found = windows(archive((1, 1, 9)), backup("A", 2, 3, 10), backup("B", 5, 6, 20))
    assert list(found) == [1]
    window = found[1]
    assert (window.option, labels(window), window.gaps, window.flaws) == ("1", [["A", "B"]], (), ())
    span = window.spans[0]
    assert span.begins == at(10) + (at(1) - at(0)) / 60, "the second behind the one in which the first one stopped"
    assert span.first_bytes == 3 * SEGMENT + 256
    assert span.walk.stretches == (Stretch(1, 2, 9),)


def test_a_gap_ends_a_span_and_a_later_backup_opens_another() -> None:
    found = windows(
        archive((1, 1, 6), (1, 9, 14)), backup("A", 2, 3, 10), backup("B", 5, 6, 20), backup("C", 10, 11, 30)
    )
    assert labels(found[1]) == [["A", "B"], ["C"]]
    assert found[1].gaps == (Gap(name(7), 2, "C"),)


def test_a_gap_behind_which_there_is_no_backup() -> None:
    found = windows(archive((1, 1, 6), (1, 9, 14)), backup("A", 2, 3, 10))
    assert found[1].gaps == (Gap(name(7), 2, None),)
    assert found[1].spans[0].walk.end == 7


def test_a_gap_within_a_backup() -> None:
    found = windows(
        archive((1, 1, 6), (1, 8, 14)), backup("A", 2, 3, 10), backup("B", 6, 8, 20), backup("C", 10, 11, 30)
    )
    assert labels(found[1]) == [["A"], ["C"]]
    assert found[1].flaws == (Flaw("B", f"its own WAL is not whole: {name(7)} is missing"),)
    assert found[1].gaps == (Gap(name(7), 1, "C"),)


def test_the_last_segment_of_a_backup_is_missing() -> None:
    found = windows(archive((1, 1, 4)), backup("A", 2, 5, 10))
    assert found[1].spans == ()
    assert found[1].flaws == (Flaw("A", f"its own WAL is not whole: {name(5)} is missing"),)


def test_over_a_fork_and_along_the_old_timeline() -> None:
    holds = archive((1, 1, 7), (2, 5, 9), histories={2: history((1, FORK))})
    found = windows(holds, backup("A", 2, 3, 10), backup("late", 6, 6, 30), backup("B", 6, 7, 40, timeline=2))
    assert list(found) == [2, 1]
    assert labels(found[2]) == [["A", "B"]]
    assert found[2].spans[0].walk.stretches == (Stretch(1, 2, 4), Stretch(2, 5, 9))
    fork = found[2].fork
    assert fork is not None and (fork.timeline, fork.ends_bytes) == (1, FORK)
    assert labels(found[1]) == [["A", "late"]], "what the old primary went on to write"
    assert found[1].spans[0].walk.stretches == (Stretch(1, 2, 7),)


def test_a_fork_below_an_existing_timeline() -> None:
    """A restore to an earlier time made timeline 3 out of 1, while 2 had gone on."""
    holds = archive(
        (1, 1, 7), (2, 7, 12), (3, 4, 6), histories={2: history((1, 7 * SEGMENT + 9)), 3: history((1, 4 * SEGMENT + 9))}
    )
    made = [
        backup("A", 2, 2, 10),
        backup("B", 5, 6, 20),
        backup("C", 8, 8, 30, timeline=2),
        backup("D", 5, 5, 40, timeline=3),
    ]
    found = windows(holds, *made)
    assert labels(found[3]) == [["A", "D"]], "B was made on timeline 1 after the point at which 3 left it"
    assert labels(found[2]) == [["A", "B", "C"]]
    assert labels(found[1]) == [["A", "B"]]


def test_a_backup_in_the_segment_of_the_fork() -> None:
    holds = archive((1, 1, 5), (2, 5, 9), histories={2: history((1, FORK))})
    before, behind = backup("A", 4, 4, 10), backup("B", 4, 5, 20)
    found = windows(holds, before, behind)
    assert labels(found[1]) == [["A", "B"]]
    assert labels(found[2]) == [["A"]], "B stopped at byte 256 of the segment that was left at byte 160"
    later = archive((1, 1, 4), (2, 5, 9), histories={2: history((1, FORK + 1000))})
    assert labels(windows(later, before, behind)[2]) == [["A", "B"]], "its last segment is read from timeline 2"
    assert windows(later, before, behind)[1].flaws == (Flaw("B", f"its own WAL is not whole: {name(5)} is missing"),)


def test_where_positions_are_unknown_whole_segments_must_do() -> None:
    holds = archive((1, 1, 5), (2, 5, 9), histories={2: history((1, FORK + 1000))})
    assert labels(windows(holds, backup("A", 4, 4, 10, lsns=False))[2]) == [["A"]]
    assert labels(windows(holds, backup("B", 4, 5, 10, lsns=False))[2]) == []


def test_a_backup_over_a_timeline_switch() -> None:
    holds = archive((1, 1, 5), (2, 5, 9), histories={2: history((1, FORK))})
    found = windows(holds, backup("A", 4, 6, 10, timeline=1, last_timeline=2))
    assert labels(found[2]) == [["A"]]
    assert found[1].spans == () and found[1].flaws == (), "timeline 1 does not lead to its end"


def test_a_timeline_whose_first_segment_is_missing() -> None:
    holds = archive((1, 1, 5), (2, 6, 9), histories={2: history((1, FORK))})
    found = windows(holds, backup("A", 2, 3, 10), backup("B", 7, 7, 20, timeline=2))
    first, second = found[2].spans
    assert first.walk.stretches == (Stretch(1, 2, 4), Stretch(1, 5, 5)) and first.walk.leave_bytes == FORK
    assert second.walk.stretches == (Stretch(2, 7, 9),)
    assert found[2].gaps == (Gap(name(5, 2), 1, "B"),)


def test_a_timeline_without_its_history_file() -> None:
    found = windows(archive((1, 1, 5), (3, 6, 9)), backup("A", 2, 3, 10), backup("B", 7, 7, 20, timeline=3))
    assert (found[3].option, labels(found[3])) == ("current", [["B"]])
    assert found[3].fork is None


def test_a_timeline_that_only_a_history_file_knows() -> None:
    holds = archive((1, 1, 9), histories={2: history((1, FORK))})
    window = windows(holds, backup("A", 2, 3, 10))[2]
    assert window.spans[0].walk.leave_bytes == FORK and window.gaps == ()


def test_a_history_file_that_makes_no_sense() -> None:
    found = windows(archive((1, 1, 9), (2, 5, 9), histories={2: "rubbish"}), backup("A", 2, 3, 10))
    assert found[2].spans == () and "cannot be understood" in (found[2].fault or "")
    assert labels(found[1]) == [["A"]]


def test_chains_that_are_not_whole() -> None:
    full = backup("F", 2, 2, 10)
    diff = backup("F_D", 4, 4, 20, kind="diff", references=("F",))
    incr = backup("F_I", 6, 6, 30, kind="incr", references=("F", "F_D"))
    assert labels(windows(archive((1, 1, 9)), full, diff, incr)[1]) == [["F", "F_D", "F_I"]]
    no_full = windows(archive((1, 1, 9)), diff, incr)[1]
    assert no_full.spans == ()
    why = "it depends on F, which is not there"
    assert no_full.flaws == (Flaw("F_D", why), Flaw("F_I", why))
    no_diff = windows(archive((1, 1, 9)), full, incr)[1]
    assert labels(no_diff) == [["F"]]
    assert no_diff.flaws == (Flaw("F_I", "it depends on F_D, which is not there"),)


def test_errors_in_a_backup_and_below_one() -> None:
    full, diff = backup("F", 2, 2, 10, error=True), backup("F_D", 4, 4, 20, kind="diff", references=("F",))
    unknown = backup("G", 6, 6, 30, error=None)
    window = windows(archive((1, 1, 9)), full, diff, unknown)[1]
    assert labels(window) == [["G"]]
    assert window.flaws == (
        Flaw("F", "it has page checksum errors"),
        Flaw("F_D", "it depends on F, which has page checksum errors"),
    )


def test_repositories_are_reckoned_apart() -> None:
    one, two = archive((1, 1, 9)), archive((1, 4, 9), repo_key=2)
    made = [backup("A", 2, 3, 10), backup("A", 2, 3, 10, repo_key=2), backup("B", 5, 5, 20, repo_key=2)]
    assert labels(windows(one, *made)[1]) == [["A"]]
    assert labels(windows(two, *made)[1]) == [["B"]]
    assert windows(two, *made)[1].flaws == (Flaw("A", f"its own WAL is not whole: {name(2)} is missing"),)


def test_a_chain_in_the_other_repository_is_no_help() -> None:
    made = [backup("F", 2, 2, 10), backup("F_D", 4, 4, 20, kind="diff", references=("F",), repo_key=2)]
    assert windows(archive((1, 1, 9), repo_key=2), *made)[1].flaws == (
        Flaw("F_D", "it depends on F, which is not there"),
    )


def test_an_upgraded_database_has_an_archive_of_its_own() -> None:
    old, new = archive((1, 1, 9)), archive((1, 1, 4), archive_id="17-2")
    made = [backup("A", 2, 3, 10), backup("B", 2, 3, 90, database_id=2)]
    assert labels(windows(old, *made)[1]) == [["A"]]
    assert labels(windows(new, *made)[1]) == [["B"]]


def test_a_backup_that_overlaps_another_one() -> None:
    (span,) = windows(archive((1, 1, 9)), backup("A", 4, 5, 10), backup("long", 2, 6, 20))[1].spans
    assert span.walk.stretches == (Stretch(1, 2, 9),) and span.first_bytes == 5 * SEGMENT + 256


def test_over_the_end_of_a_log() -> None:
    window = windows(archive((1, 0xFD, 0x104)), backup("A", 0xFE, 0xFF, 10))[1]
    assert window.spans[0].walk.end == 0x105
    broken = windows(archive((1, 0xFD, 0xFF), (1, 0x101, 0x104)), backup("A", 0xFE, 0xFF, 10))[1]
    assert broken.gaps == (Gap("000000010000000100000000", 1, None),)


def test_nothing_at_all() -> None:
    assert windows(archive()) == {}
    assert windows(archive((1, 1, 9)))[1].spans == ()
