"""What is made of the reader's output."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from pgops.hosts.process import CommandResult
from pgops.observe.fields import ShapeFault
from pgops.readings import Known, Unknown
from pgops_backup.last_commit import LastEnd, parse_last_end
from unit.backup.archives import name


def answer(*lines: str, err: str = "") -> CommandResult:
    return CommandResult(("sh",), 0, "".join(f"{line}\n" for line in lines), err, 0.1)


def test_an_end() -> None:
    at = datetime(2026, 11, 23, 8, 36, 26, 43114, tzinfo=timezone.utc)
    found = parse_last_end(answer(f"dump 1 {name(5)}", "end 2026-11-23T08:36:26.043114+00:00 COMMIT"))
    assert found == Known(LastEnd(at, True, 1, name(5)))
    older = parse_last_end(
        answer(f"dump 0 {name(5)}", f"dump 1 {name(4)}", "end 2026-11-23T08:36:26.043114+00:00 ABORT")
    )
    assert older == Known(LastEnd(at, False, 2, name(4)))


def test_no_end() -> None:
    assert parse_last_end(answer(f"dump 0 {name(5)}", f"dump 0 {name(4)}")) == Known(LastEnd(None, False, 2, name(4)))


def test_what_went_wrong() -> None:
    missing = parse_last_end(answer(f"fetch 1 {name(5)}"))
    assert isinstance(missing, Unknown) and "is not in the archive of the present database" in missing.reason
    stopped = parse_last_end(answer(f"fetch 62 {name(5)}", err="ERROR: [062]: stop file exists\x1b[31m\n"))
    assert isinstance(stopped, Unknown) and "stop file exists" in stopped.reason and "\x1b" not in stopped.reason
    absent = parse_last_end(answer(f"dump 127 {name(5)}", "said sh: 1: pg_waldump: not found"))
    assert isinstance(absent, Unknown) and "bin_dir" in absent.reason
    foreign = parse_last_end(
        answer(f"dump 1 {name(5)}", "said pg_waldump: error: could not find a valid record after 0/5000000")
    )
    assert isinstance(foreign, Unknown) and "version" in foreign.reason


def test_rubbish() -> None:
    with pytest.raises(ShapeFault):
        parse_last_end(answer())
    with pytest.raises(ShapeFault):
        parse_last_end(answer(f"dump 0 {name(5)}", "end yesterday COMMIT"))
