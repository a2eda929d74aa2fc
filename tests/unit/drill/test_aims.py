"""Which room is known before anything is done, and which names lie within others."""

from __future__ import annotations

import pytest

from pgops.observe.facts import DiskUsage
from pgops_drill.aims import free_bytes, lies_in


def disk(mount: str, free: int, *paths: str) -> DiskUsage:
    return DiskUsage(mount, paths, 10**12, free, 10.0, None)


ROOT = disk("/", 1, "/var/lib/pg/17/main", "/var/lib/pg/17/main/pg_wal")
OWN = disk("/pgdata", 2, "/pgdata")
SCRATCH = disk("/srv/drill", 3, "/srv/drill")


@pytest.mark.parametrize(
    ("disks", "place", "free"),
    [
        ((ROOT,), "/var/lib/pg/17", 1),
        ((ROOT,), "/var/lib/pg/17/main/x", 1),
        ((OWN,), "/pgdata/drill", 2),
        ((OWN,), "/", None),
        ((ROOT, SCRATCH), "/srv/drill", 3),
        ((ROOT, SCRATCH), "/srv/drill/deep/er", 3),
        ((ROOT,), "/srv/other", None),
        ((disk("/a", 1, "/a"), disk("/a/b", 2, "/a/b")), "/a/b/c", 2),
        ((disk("/a/b", 2, "/a/b"), disk("/a", 1, "/a")), "/a/b/c", 2),
        ((), "/srv", None),
    ],
)
def test_free_bytes(disks: tuple[DiskUsage, ...], place: str, free: int | None) -> None:
    assert free_bytes(disks, place) == free


@pytest.mark.parametrize(
    ("path", "directory", "inside"),
    [
        ("/a/b", "/a", True),
        ("/a", "/a", True),
        ("/a/", "/a", True),
        ("/ab", "/a", False),
        ("/a", "/a/b", False),
        ("/a", "/", True),
    ],
)
def test_lies_in(path: str, directory: str, inside: bool) -> None:
    assert lies_in(path, directory) is inside
