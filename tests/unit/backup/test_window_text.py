"""What `pgops backup window` prints."""

from __future__ import annotations

import json

from pgops.observe.record_facts import DrillRecord
from pgops.readings import Known, Reading, Unknown
from pgops_backup import answer_text, window_text
from pgops_backup.answers import NoWay, Way, find_way
from pgops_backup.estimates import Estimate, estimate
from pgops_backup.last_commit import LastEnd
from pgops_backup.reaches import Line, Tail, find_reaches
from pgops_backup.replay import Replay
from pgops_backup.seeing import Seen
from pgops_backup.windows import find_windows
from unit.backup.archives import SEGMENT, archive, at, backup, history, name

SEEN = Seen("demo", "n2", at(60), 2)
HOLDS = archive(
    (1, 1, 6), (1, 9, 12), (2, 9, 11), (4, 1, 2), histories={2: history((1, 9 * SEGMENT + 160)), 3: "rubbish"}
)
BACKUPS = (
    backup("A", 2, 3, 10),
    backup("B", 5, 5, 15),
    backup("C", 10, 10, 40, timeline=2),
    backup("D", 11, 11, 50, kind="diff", timeline=2, references=("gone",)),
)


def read(tail: Tail) -> Reading[LastEnd]:
    ends = {name(6): 25.0, name(11, 2): 60.0}
    if tail.names[0] not in ends:
        return Unknown("it is dark")
    return Known(LastEnd(at(ends[tail.names[0]]), True, 1, tail.names[0]))


def lines() -> tuple[Line, ...]:
    return find_reaches(find_windows(BACKUPS, HOLDS, SEGMENT), SEGMENT, read)


def told(minutes: float, pace: Reading[Estimate], *, exact: bool = True) -> answer_text.Told:
    way = find_way(lines(), at(minutes), 2)
    assert isinstance(way, Way)
    return answer_text.Told(way, at(minutes), Replay(name(5), name(6), 2, exact), SEGMENT, pace)


def test_the_table() -> None:
    text = window_text.render(SEEN, lines(), ("mind",))
    for part in (
        "2 (present)",
        "2026-11-23T12:24:59.999999+00:00",
        "A and 1 later",
        "--target-timeline=2",
        f"gap on timeline 2 of repository 1: {name(7)} and 1 more segments are missing; whole again from backup C on",
        f"gap on timeline 1 of repository 1: {name(7)} and 1 more segments are missing; no backup was made after it",
        "timeline 2 of repository 1 left timeline 1 at 0/90000A0",
        "timeline 3 of repository 1: its history file cannot be understood",
        "timeline 4 of repository 1: its history file is not archived",
        "repository 1: backup D cannot be used: it depends on gone, which is not there",
        "note: mind",
        "none usable",
    ):
        assert part in text, text
    assert "holds no WAL" in window_text.render(SEEN, (), ())


def test_an_end_that_is_not_known_or_not_there() -> None:
    holds = archive((1, 1, 5))
    dark = find_reaches(find_windows(BACKUPS[:1], holds, SEGMENT), SEGMENT, lambda _: Unknown("it is \x1bdark"))
    text = window_text.render(SEEN, dark, ())
    assert "from A on: where it ends is unknown: it is" in text and "\x1b" not in text
    still = Known(LastEnd(None, False, 3, name(3)))
    none = window_text.render(
        SEEN, find_reaches(find_windows(BACKUPS[:1], holds, SEGMENT), SEGMENT, lambda _: still), ()
    )
    assert "no time" in none and "no transaction that ended after A" in none


def test_the_document() -> None:
    record = json.loads(json.dumps(window_text.document(SEEN, lines(), ())))
    by_timeline = {line["timeline"]: line for line in record["windows"]}
    two = by_timeline[2]
    assert [span["until"] for span in two["spans"]] == [
        "2026-11-23T12:24:59.999999+00:00",
        "2026-11-23T12:59:59.999999+00:00",
    ]
    assert two["gaps"] == [{"first_segment": name(7), "segments": 2, "whole_from": "C"}]
    assert (two["parent_timeline"], two["fork_lsn"]) == (1, "0/90000A0")
    assert two["unusable_backups"] == [{"label": "D", "reason": "it depends on gone, which is not there"}]
    assert by_timeline[3]["fault"] and by_timeline[4]["target_timeline"] == "current"


def test_a_way() -> None:
    text = answer_text.render(SEEN, told(20, Known(Estimate(90.0, 30.0, "measured yesterday"))))
    for part in (
        "demo: 2026-11-23T12:20:00+00:00 can be restored",
        "B (full, repository 1, 1000 B)",
        "2, the present one",
        f"2 segments, 32.0 MiB: {name(5)} to {name(6)}",
        "restore about 1m 30s, replay about 30s (measured yesterday)",
        "--repo=1 --set=B --type=time '--target=2026-11-23 12:20:00.000000+00' --target-timeline=2",
        "also on   timeline 1 of repository 1",
    ):
        assert part in text, text
    unmeasured = answer_text.render(SEEN, told(20, Unknown("not measured yet: pgops drill restore"), exact=False))
    assert "at most 2 segments" in unmeasured and "not measured yet: pgops drill restore" in unmeasured
    astray = answer_text.render(
        Seen("demo", "n2", at(60), 7), told(20, Known(Estimate(90.0, None, "measured yesterday")))
    )
    assert "NOT the present one, which is 7" in astray and "replay unknown" in astray


def test_a_way_for_machines() -> None:
    record = json.loads(
        json.dumps(answer_text.document(SEEN, told(20, Known(Estimate(90.0, 30.0, "measured yesterday")))))
    )
    assert (record["backup"], record["timeline"], record["wal_segments"], record["wal_bytes"]) == (
        "B",
        2,
        2,
        2 * SEGMENT,
    )
    assert (record["restore_s"], record["replay_s"], record["estimate_fault"]) == (90.0, 30.0, None)


def test_no_way() -> None:
    no = NoWay("it is dark", certain=False)
    assert "cannot be told" in answer_text.refusal(at(1), no)
    assert answer_text.no_document(SEEN, at(1), no)["reachable"] is None
    assert answer_text.no_document(SEEN, at(1), NoWay("never"))["reachable"] is False


def drill(
    restore_s: float | None, restore_bytes: int | None, replay_s: float | None, replay_bytes: int | None
) -> DrillRecord:
    measured = (restore_s, restore_bytes, replay_s, replay_bytes)
    return DrillRecord("RUN", "ann", "desk", at(0), "n3", "A", 1, "passed", (), *measured, at(0), "A")


def test_estimates_are_by_proportion() -> None:
    known = estimate(drill(10.0, 100, 2.0, 4 * 1024 * 1024), 300, 8 * 1024 * 1024)
    assert isinstance(known, Known)
    assert (known.value.restore_s, known.value.replay_s) == (30.0, 4.0)
    assert "n3" in known.value.source and "4.0 MiB in 2s" in known.value.source
    little = estimate(drill(10.0, 100, 2.0, 100), 300, 1000)
    assert isinstance(little, Known) and (little.value.restore_s, little.value.replay_s) == (30.0, None)


def test_what_was_not_measured_is_said() -> None:
    for record in (None, drill(None, None, None, None), drill(0.0, 0, None, None)):
        found = estimate(record, 300, 1000)
        assert isinstance(found, Unknown) and "pgops drill restore" in found.reason
    assert isinstance(estimate(drill(10.0, 100, None, None), None, 1000), Unknown)
