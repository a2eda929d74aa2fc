"""What the programs of hosts set for their own process must not outlive a test that calls them in this one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """Put the umask back: files of later tests may have to be read by another user."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)
