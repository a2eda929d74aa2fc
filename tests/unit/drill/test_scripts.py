"""The scripts of a drill, run for real in a directory of the test's own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pgops_drill.scripts import MARKER, PREPARE, REMOVE

CONFIG = """\
# a comment
[global]
repo1-path=/backups
repo1-cipher-pass=SECRET=1 # not a comment
  repo2-s3-key = KEY
log-level-console=info
spool-path=/var/spool/pgbackrest
lock-path=/tmp/pgbackrest
process-max=4
archive-async=y
[global:archive-push]
process-max=8
repo1-bundle=y
[global:restore]
process-max=16
[other]
repo1-path=/elsewhere
pg1-path=/other
[demo]
pg1-path=/var/lib/postgresql/data
repo1-storage-verify-tls=n
"""
KEPT = """\
[global]
repo1-path=/backups
repo1-cipher-pass=SECRET=1 # not a comment
  repo2-s3-key = KEY
process-max=4
[global:restore]
process-max=16
[demo]
repo1-storage-verify-tls=n
"""


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", script, "test", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
        umask=0o022,
    )


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A base directory, production's data directory and configuration beside it."""
    (tmp_path / "production/pg_tblspc").mkdir(parents=True)
    (tmp_path / "pgbackrest.conf").write_text(CONFIG)
    (tmp_path / "base").mkdir(mode=0o700)
    return tmp_path


def prepare(place: Path, base: Path | None = None, need: int = 1, *programs: str) -> subprocess.CompletedProcess[str]:
    scratch = (base or place / "base") / "pgops-drill-RUN"
    words = (str(scratch), str(place / "production"), str(place / "pgbackrest.conf"), "demo", str(need), "RUN")
    return run(PREPARE, *words, *programs)


def test_a_scratch_directory_is_private_marked_and_has_its_own_configuration(place: Path) -> None:
    done = prepare(place, None, 1, "sh")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("free_bytes ") and "SECRET" not in done.stdout + done.stderr
    scratch = place / "base/pgops-drill-RUN"
    assert (scratch / MARKER).read_text() == "RUN\n"
    text = (scratch / "pgbackrest.conf").read_text()
    own = (
        f"[global]\nlock-path={scratch}/lock\nspool-path={scratch}/spool\nlog-path={scratch}/log\narchive-async=n\n"
        f"[demo]\npg1-path={scratch}/data\n"
    )
    assert text == KEPT + own
    for path in (scratch, *scratch.iterdir()):
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize("where", ["production/x", "production", "link/x"])
def test_nothing_is_made_where_production_lies(place: Path, where: str) -> None:
    (place / "link").symlink_to(place / "production")
    (place / "production/x").mkdir()
    done = prepare(place, place / where)
    assert done.returncode == 74 and "which is production's" in done.stderr, done
    assert not list(place.rglob("pgops-drill-*"))


def test_nothing_is_made_in_a_tablespace(place: Path) -> None:
    (place / "space").mkdir()
    (place / "production/pg_tblspc/16400").symlink_to(place / "space")
    done = prepare(place, place / "space")
    assert done.returncode == 74 and "which is production's" in done.stderr, done


def test_too_little_room_is_told_in_numbers(place: Path) -> None:
    done = prepare(place, None, 2**60)
    assert done.returncode == 74 and f"needs {2**60}" in done.stderr and "bytes are free" in done.stderr
    assert not list(place.rglob("pgops-drill-*"))


def test_a_program_that_is_missing_is_named(place: Path) -> None:
    done = prepare(place, None, 1, "/nowhere/postgres")
    assert done.returncode == 74 and "there is no program /nowhere/postgres" in done.stderr


def test_a_directory_that_anybody_may_write_is_refused(place: Path) -> None:
    (place / "base").chmod(0o777)
    done = prepare(place)
    assert done.returncode == 74 and "can be written by anybody" in done.stderr
    (place / "base").chmod(0o1777)
    assert prepare(place).returncode == 0


def test_one_that_is_there_already_is_not_taken(place: Path) -> None:
    assert prepare(place).returncode == 0
    assert prepare(place).returncode != 0


def test_a_configuration_without_a_repository_is_refused(place: Path) -> None:
    (place / "pgbackrest.conf").write_text("[demo]\npg1-path=/x\n")
    done = prepare(place)
    assert done.returncode == 74 and "no repository is configured" in done.stderr


def made(place: Path) -> Path:
    assert prepare(place).returncode == 0
    return place / "base/pgops-drill-RUN"


def test_it_is_removed_and_what_links_lead_to_is_not(place: Path) -> None:
    scratch = made(place)
    kept = place / "production/kept"
    kept.write_text("x")
    (scratch / "data/link").symlink_to(place / "production")
    (scratch / "link").symlink_to(place / "production")
    os.chmod(scratch / "data", 0o500)  # noqa: PTH101 - as a restore leaves some
    done = run(REMOVE, str(scratch), "RUN")
    assert done.returncode == 0, done.stderr
    assert not scratch.exists() and kept.read_text() == "x"
    assert run(REMOVE, str(scratch), "RUN").returncode == 0, "what is gone is gone"


@pytest.mark.parametrize("state", ["no-marker", "other-run", "linked-marker", "link", "file", "server"])
def test_what_is_not_the_runs_own_is_left(place: Path, state: str) -> None:
    scratch = made(place)
    marker = scratch / MARKER
    if state == "no-marker":
        marker.unlink()
    elif state == "other-run":
        marker.write_text("OTHER\n")
    elif state == "linked-marker":
        shutil.move(marker, place / "marker")
        marker.symlink_to(place / "marker")
    elif state == "link":
        shutil.move(scratch, place / "elsewhere")
        scratch.symlink_to(place / "elsewhere")
        scratch = place / "elsewhere"
    elif state == "file":
        shutil.rmtree(scratch)
        scratch.write_text("x")
    else:
        (scratch / "data/postmaster.pid").write_text(f"{os.getpid()}\n")
    before = sorted(place.rglob("*"))
    done = run(REMOVE, str(place / "base/pgops-drill-RUN"), "RUN")
    assert done.returncode == 74 and done.stderr.strip(), done
    assert sorted(place.rglob("*")) == before


def test_one_that_was_cut_off_before_its_marker_is_removed(place: Path) -> None:
    scratch = place / "base/pgops-drill-RUN"
    scratch.mkdir()
    assert run(REMOVE, str(scratch), "RUN").returncode == 0
    assert not scratch.exists()
