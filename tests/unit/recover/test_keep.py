"""What is kept of a loser, on a real file system: WAL really copied, the directory moved with what its links lead to."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from pgops_recover.remote import keep

RUN = "20261123-0300-abcdef"
SEGMENT = 1 << 24


class Loser:
    """A data directory with a linked pg_wal and a tablespace. `running` is what its pg_ctl says."""

    def __init__(self, top: Path) -> None:
        self.top, self.data, self.keep = top, top / "data", top / f"data.pgops-{RUN}"
        self.wal, self.space = top / "wal-disk", top / "space"
        for place in (self.data / "pg_tblspc", self.wal / "archive_status", self.space / "PG_15_202209061"):
            place.mkdir(parents=True)
        (self.data / "PG_VERSION").write_text("15\n")
        (self.data / "pg_wal").symlink_to(self.wal)
        (self.data / "pg_tblspc" / "16500").symlink_to(self.space)
        (self.space / "PG_15_202209061" / "rows").write_text("rows")
        self.write("000000010000000000000002", 2)
        self.write("000000010000000000000004", 4)
        self.write("000000010000000000000005", 5)
        self.write("000000010000000000000006", 3)  # only renamed for later use: it says another place
        (self.wal / "00000002.history").write_text("1\t0/4000000\tx\n")
        (self.wal / "archive_status" / "000000010000000000000005.ready").touch()
        self.stop()

    def write(self, name: str, number: int, text: bytes = b"") -> None:
        """A segment whose first page says that it is the `number`th."""
        head = b"\x10\xd1\x06\x00" + (1).to_bytes(4, "little") + (number * SEGMENT).to_bytes(8, "little")
        (self.wal / name).write_bytes(head + text)

    def stop(self, code: int = 3) -> None:
        """Let pg_ctl end with this code: 3 where nothing runs, 0 where something does."""
        program = self.top / "pg_ctl"
        program.write_text(f"#!/bin/sh\nexit {code}\n")
        program.chmod(0o755)

    def run(self, stage: str) -> int:
        """One stage, as it is called on a host."""
        wish: dict[str, Any] = {
            "stage": stage,
            "data_dir": str(self.data),
            "keep": str(self.keep),
            "run": RUN,
            "from_segment": "0000000000000004",
            "segment_bytes": SEGMENT,
            "pg_ctl": str(self.top / "pg_ctl"),
            "manifest": {"schema": 1, "run": RUN},
        }
        before = os.umask(0o022)
        try:
            return keep.main([json.dumps(wish)])
        finally:
            os.umask(before)

    def parts(self) -> dict[str, str]:
        """The parts by kind, as the manifest tells them."""
        manifest = json.loads((self.keep / "manifest.json").read_text())
        return {part["what"]: part["path"] for part in manifest["parts"]}


@pytest.fixture
def loser(tmp_path: Path) -> Loser:
    return Loser(tmp_path)


def test_wal_from_the_fork_on_is_copied_for_real(loser: Loser) -> None:
    loser.stop(0)  # its server runs: that is when WAL is copied
    assert loser.run("wal") == 0
    kept = sorted(path.name for path in (loser.keep / "wal").iterdir())
    assert kept == ["000000010000000000000004", "000000010000000000000005", "00000002.history"]
    assert all((loser.keep / "wal" / name).stat().st_nlink == 1 for name in kept)
    assert (loser.keep / "not_archived.txt").read_text() == "000000010000000000000005\n"
    listed = [line.split("\t") for line in (loser.keep / "pg_wal.tsv").read_text().splitlines()]
    there = sorted(path.name for path in loser.wal.iterdir())
    assert [name for name, _, _ in listed] == there and len(there) > len(kept)
    assert all(int(size) == (loser.wal / name).stat().st_size and float(when) > 0 for name, size, when in listed)
    assert stat.S_IMODE(loser.keep.stat().st_mode) == 0o700
    assert loser.parts() == {"wal": f"{loser.keep}/wal"}
    assert loser.data.exists()


def test_the_directory_goes_with_what_its_links_lead_to(loser: Loser) -> None:
    assert loser.run("wal") == 0
    loser.write("000000010000000000000005", 5, b"written until the stop")
    loser.write("000000010000000000000004", 9)  # recycled by the shutdown checkpoint
    assert loser.run("data") == 0
    assert not loser.data.exists() and not loser.wal.exists() and not loser.space.exists()
    data = loser.keep / "data"
    assert (data / "pg_tblspc" / "16500" / "PG_15_202209061" / "rows").read_text() == "rows"
    assert str((data / "pg_wal").readlink()) == f"{loser.wal}.pgops-{RUN}"
    assert loser.parts() == {
        "wal": f"{loser.keep}/wal",
        "data": str(data),
        "wal-directory": f"{loser.wal}.pgops-{RUN}",
        "tablespace": f"{loser.space}.pgops-{RUN}",
    }
    assert b"written until the stop" in (loser.keep / "wal" / "000000010000000000000005").read_bytes()
    recycled = (loser.keep / "wal" / "000000010000000000000004").read_bytes()
    assert int.from_bytes(recycled[8:16], "little") == 4 * SEGMENT, "the copy from before the stop stays"


def test_every_stage_may_be_repeated(loser: Loser) -> None:
    for stage in ("wal", "wal", "data"):
        assert loser.run(stage) == 0
    before = loser.parts()
    loser.data.mkdir()  # the clone, which must not be touched
    (loser.data / "PG_VERSION").write_text("15\n")
    assert loser.run("data") == 0 and loser.run("wal") == 0
    assert loser.parts() == before and (loser.data / "PG_VERSION").exists()


def test_cut_off_between_its_renames_it_goes_on(loser: Loser, monkeypatch: pytest.MonkeyPatch) -> None:
    assert loser.run("wal") == 0
    for cut in range(1, 20):
        left = [cut]

        def rename(source: str, target: str, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
            Path(source).replace(target)

        with monkeypatch.context() as patch:
            patch.setattr(os, "rename", rename)
            try:
                assert loser.run("data") == 0
                break
            except KeyboardInterrupt:
                continue
    assert cut >= 4, "it was not cut off often enough"
    assert set(loser.parts()) == {"wal", "data", "wal-directory", "tablespace"}
    assert (loser.keep / "data" / "pg_tblspc" / "16500" / "PG_15_202209061" / "rows").exists()
    assert (loser.keep / "data" / "pg_wal").is_dir()


def test_what_still_runs_is_not_moved(loser: Loser, capsys: pytest.CaptureFixture[str]) -> None:
    assert loser.run("wal") == 0
    loser.stop(0)
    assert loser.run("data") == 74
    assert "a PostgreSQL may still use" in capsys.readouterr().err
    assert loser.data.exists() and loser.wal.exists() and loser.space.exists()


def test_a_data_directory_that_is_a_link_is_refused(loser: Loser, capsys: pytest.CaptureFixture[str]) -> None:
    real = loser.top / "elsewhere"
    loser.data.rename(real)
    loser.data.symlink_to(real)
    assert loser.run("wal") == 74
    assert "is a link" in capsys.readouterr().err
    assert not loser.keep.exists()
