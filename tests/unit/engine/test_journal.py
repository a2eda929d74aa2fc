"""The journal: a chain of whole lines; a torn one is cut off, a changed one is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pgops.engine.journal import Journal, JournalFault, list_journals, read_journal
from pgops.errors import Refused

RUN = "20261123-0300-abcdef"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    directory = tmp_path / "state" / "runs"
    directory.mkdir(parents=True, mode=0o700)
    directory.parent.chmod(0o700)
    return directory


def written(runs: Path) -> Path:
    journal = Journal.create(runs, RUN)
    journal.append("run", durable=True, by="alice")
    journal.append("begun", durable=True, step="a", action=0)
    journal.append("done", step="a", reason="ü\n")
    journal.close()
    return journal.path


def test_what_is_written_is_read(runs: Path) -> None:
    path = written(runs)
    assert [entry.what for entry in read_journal(runs, RUN)] == ["run", "begun", "done"]
    assert read_journal(runs, RUN)[2].content["reason"] == "ü\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list_journals(runs) == [RUN]


def test_one_run_has_one_journal(runs: Path) -> None:
    written(runs)
    with pytest.raises(Refused):
        Journal.create(runs, RUN)


def test_a_torn_line_is_cut_off_and_the_chain_goes_on(runs: Path) -> None:
    path = written(runs)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"at":"2026-11-23T03')
    assert len(read_journal(runs, RUN)) == 3
    again = Journal.reopen(runs, RUN)
    again.append("ended", code=0)
    again.close()
    assert path.read_bytes().startswith(whole)
    assert [entry.what for entry in read_journal(runs, RUN)][-1] == "ended"


@pytest.mark.parametrize("line", [0, 1])
def test_an_edited_line_is_refused(runs: Path, line: int) -> None:
    path = written(runs)
    lines = path.read_text().splitlines()
    entry = json.loads(lines[line])
    lines[line] = json.dumps({**entry, "step": "other"}, sort_keys=True, separators=(",", ":"))
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(Refused, match="cannot be trusted") as caught:
        read_journal(runs, RUN)
    assert f"line {line + 2}" in str(caught.value)
    with pytest.raises(Refused):
        Journal.reopen(runs, RUN)


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (lambda lines: lines[1:], "missing or was changed"),
        (lambda lines: [lines[0], lines[2]], "missing or was changed"),
        (lambda lines: [lines[0], "not JSON", lines[2]], "not what pgops wrote"),
        (lambda lines: ["[]", *lines], "not what pgops wrote"),
        (lambda lines: [lines[0].replace('"schema":1', '"schema":99'), *lines[1:]], "newer pgops"),
    ],
)
def test_a_journal_that_is_not_whole_is_refused(runs: Path, edit, why: str) -> None:  # type: ignore[no-untyped-def]
    path = written(runs)
    path.write_text("\n".join(edit(path.read_text().splitlines())) + "\n")
    with pytest.raises(Refused, match=why):
        read_journal(runs, RUN)


def test_a_full_disk_is_a_fault_and_leaves_no_half_line(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(runs)
    whole = path.read_bytes()
    journal = Journal.reopen(runs, RUN)
    write = os.write

    def half(handle: int, content: bytes) -> int:
        return write(handle, content[: len(content) // 2])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(JournalFault, match="cannot be written, so nothing more is done"):
        journal.append("begun", durable=True, step="b")
    monkeypatch.undo()
    assert path.read_bytes() == whole
    journal.append("begun", durable=True, step="b")
    journal.close()
    assert len(read_journal(runs, RUN)) == 4


def test_a_disk_that_does_not_sync_is_a_fault(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_handle: int) -> None:
        raise OSError(5, "Input/output error")

    written(runs)
    journal = Journal.reopen(runs, RUN)
    monkeypatch.setattr(os, "fdatasync", fail)
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(JournalFault, match="Input/output error"):
        journal.append("begun", durable=True, step="b")
    journal.close()


@pytest.mark.parametrize("run_id", ["../etc/passwd", "", "-x", "a/b", "A", "a" * 65, "a\n"])
def test_what_is_no_id_is_refused(runs: Path, run_id: str) -> None:
    with pytest.raises(Refused, match="is not the id of a run"):
        Journal.create(runs, run_id)
    with pytest.raises(Refused, match="is not the id of a run"):
        read_journal(runs, run_id)
