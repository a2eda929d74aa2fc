"""A lab and a desk for each module of these tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from practice.conftest import LabUnderTest, bring_up
from practice.engine.desk import Desk


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest) -> Iterator[LabUnderTest]:
    """A fresh lab for the module, taken down after it."""
    stem = "eng-" + request.module.__name__.rpartition("test_")[2][:8].replace("_", "-")
    running = bring_up(stem)
    yield running
    running.lab("down")


@pytest.fixture
def desk(lab: LabUnderTest, tmp_path: Path) -> Desk:
    """An operator's desk with no journal on it."""
    return Desk(lab, tmp_path / "state")
