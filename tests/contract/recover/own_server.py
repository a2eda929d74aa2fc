"""A place and the programs for PostgreSQL servers of a test's own, kept by an unprivileged user."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def place_for_servers(word: str) -> Iterator[tuple[Path, Path]]:
    """(a directory whose owner may run PostgreSQL, where its newest programs are); the directory goes at the end."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if not found:
        pytest.skip("needs PostgreSQL's programs")
    top = Path(tempfile.mkdtemp(prefix=f"pgops-{word}-", dir="/tmp"))
    if os.geteuid() == 0:
        shutil.chown(top, "postgres", "postgres")
    try:
        yield top, found[-1].parent
    finally:
        shutil.rmtree(top, ignore_errors=True)
