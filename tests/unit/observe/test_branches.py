"""What cannot be moved aside is found before anything is done: the script, run as PostgreSQL's user would run it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgops.observe.branches import _READ, parse_branch

NOBODY = 65534


@pytest.fixture
def data() -> Iterator[Path]:
    """A data directory in use, of a user who is not root."""
    with tempfile.TemporaryDirectory(prefix="pgops-test-") as top:
        found, programs = Path(top, "data"), Path(top, "bin")
        for place in (found / "pg_wal", found / "pg_tblspc", programs):
            place.mkdir(parents=True)
        (found / "PG_VERSION").write_text("17\n")
        (programs / "pg_ctl").write_text("#!/bin/sh\nexit 0\n")
        (programs / "pg_ctl").chmod(0o755)
        if os.geteuid() == 0:
            for place in (Path(top), *Path(top).rglob("*")):
                os.chown(place, NOBODY, NOBODY)
        yield found


def run(data: Path, programs: Path) -> subprocess.CompletedProcess[str]:
    as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []
    argv = [*as_nobody, "sh", "-c", _READ, "pgops-branch", str(data), f"{programs}/"]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)


def read(data: Path) -> tuple[str, ...]:
    """What of it, and of what its links lead to, cannot be moved aside."""
    ended = run(data, data.parent / "bin")
    assert ended.returncode == 0, ended.stderr
    return parse_branch(ended.stdout).fixed


def test_what_can_be_moved_is_not_named(data: Path) -> None:
    (data.parent / "space").mkdir()
    (data / "pg_tblspc/16400").symlink_to(data.parent / "space")
    assert read(data) == ()


def test_a_tablespace_in_a_directory_of_roots(data: Path) -> None:
    (data / "pg_tblspc/16400").symlink_to("/usr/share")
    (data / "pg_tblspc/16401").symlink_to("/proc")
    assert read(data) == (
        "/usr/share lies in a directory that PostgreSQL's user may not write",
        "/proc lies in a directory that PostgreSQL's user may not write",
        "/proc is a mount point",
    )


def test_a_data_directory_that_is_a_link_or_in_a_directory_of_roots(data: Path) -> None:
    (data.parent / "named").symlink_to(data)
    assert read(data.parent / "named") == (
        f"{data.parent}/named is a link: name the directory itself as hosts.NAME.data_dir",
    )
    data.parent.chmod(0o555)
    try:
        assert read(data) == (f"{data} lies in a directory that PostgreSQL's user may not write",)
    finally:
        data.parent.chmod(0o755)


def test_programs_that_are_not_there_are_told_with_their_setting(data: Path) -> None:
    """Debian has them on no search path."""
    ended = run(data, data.parent / "nowhere")
    assert ended.returncode == 74
    assert f"there is no {data.parent}/nowhere/pg_ctl; set hosts.NAME.bin_dir in pgops.yml" in ended.stderr
