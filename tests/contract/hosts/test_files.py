"""Files are written as a whole or not at all, and never where a planted link leads."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.hosts.conftest import Acted
from pgops.hosts.fence import FencedOff
from pgops.hosts.files import read_file, remove_file, write_file
from pgops.hosts.host import HostFault

CONTENT = bytes(range(256)) * 40


def write(acted: Acted, path: Path | str, content: bytes = CONTENT, *, mode: int = 0o640, token: int = 5) -> None:
    write_file(
        acted.host, str(path), content, mode=mode, identity=acted.identity, fence=acted.fence(token), timeout_s=10
    )


def read(acted: Acted, path: Path) -> bytes | None:
    return read_file(acted.host, str(path), identity=acted.identity, timeout_s=10)


def remove(acted: Acted, path: Path) -> None:
    remove_file(acted.host, str(path), identity=acted.identity, fence=acted.fence(), timeout_s=10)


def test_written_read_and_removed(acted: Acted) -> None:
    path = acted.place / "new" / "deep" / "it's a $file"
    assert read(acted, path) is None
    write(acted, path)
    assert (path.read_bytes(), path.stat().st_mode & 0o7777) == (CONTENT, 0o640)
    write(acted, path, b"", mode=0o600)
    assert (read(acted, path), path.stat().st_mode & 0o7777) == (b"", 0o600)
    write(acted, path)
    assert read(acted, path) == CONTENT
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    remove(acted, path)
    remove(acted, path)
    assert list(path.parent.iterdir()) == []
    remove(acted, acted.place / "none" / "at" / "all")


def test_an_overtaken_run_writes_and_removes_nothing(acted: Acted) -> None:
    path = acted.place / "file"
    write(acted, path, token=9)
    with pytest.raises(FencedOff):
        write(acted, path, b"old", token=8)
    with pytest.raises(FencedOff):
        remove(acted, path)
    assert path.read_bytes() == CONTENT


def test_a_planted_link_is_not_followed(acted: Acted) -> None:
    victim = acted.place / "victim"
    victim.write_bytes(b"mine")
    victim.chmod(0o666)
    link = acted.place / "link"
    link.symlink_to(victim)
    with pytest.raises(HostFault, match="is a symbolic link"):
        write(acted, link)
    (acted.place / "real").mkdir(mode=0o777)
    (acted.place / "real").chmod(0o777)
    (acted.place / "way").symlink_to(acted.place / "real")
    for act in (write, remove):
        (acted.place / "real" / "file").write_bytes(b"mine")
        with pytest.raises(HostFault, match="is a symbolic link"):
            act(acted, acted.place / "way" / "file")
        assert (acted.place / "real" / "file").read_bytes() == b"mine"
    assert victim.read_bytes() == b"mine"
    remove(acted, link)
    assert victim.exists() and not link.is_symlink()


@pytest.mark.parametrize("path", ["relative", "/a/../b", "/a/", "", "/a/./b"])
def test_a_path_that_leads_elsewhere_is_refused(acted: Acted, path: str) -> None:
    with pytest.raises(HostFault, match="is not the absolute path of a file"):
        write(acted, path)


def test_what_cannot_be_written_says_why_and_leaves_nothing(acted: Acted) -> None:
    with pytest.raises(HostFault, match="No such file or directory"):
        write(acted, acted.place / "a" / "b" / "c" / "file")
    assert not (acted.place / "a" / "b").exists()
    (acted.place / "directory").mkdir()
    with pytest.raises(HostFault, match="is not a file"):
        write(acted, acted.place / "directory")
    with pytest.raises(HostFault, match="it is not a file"):
        read(acted, acted.place / "directory")


def test_reading_what_is_not_ours_is_a_fault_and_no_absence(acted: Acted) -> None:
    if os.geteuid() != 0:
        pytest.skip("another user's file needs root")
    secret = acted.place / "private"
    secret.mkdir(mode=0o700)
    (secret / "file").write_bytes(b"x")
    with pytest.raises(HostFault, match="Permission denied"):
        read(acted, secret / "file")


@pytest.fixture
def small_disk(acted: Acted) -> Iterator[Path]:
    """A file system of 64 KiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    place = acted.place / "small"
    place.mkdir()
    subprocess.run(
        ["/bin/mount", "-t", "tmpfs", "-o", "size=64k,mode=0777", "pgops-test", str(place)], check=True, timeout=10
    )
    yield place
    subprocess.run(["/bin/umount", str(place)], check=True, timeout=10)


def test_a_full_disk_leaves_the_old_file(acted: Acted, small_disk: Path) -> None:
    path = small_disk / "file"
    write(acted, path, b"old")
    with pytest.raises(HostFault, match="No space left"):
        write(acted, path, b"x" * 200_000)
    assert path.read_bytes() == b"old"
    assert [each.name for each in small_disk.iterdir()] == ["file"]
