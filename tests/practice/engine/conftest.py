"""A lab and a desk for these tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from practice.conftest import Labs, LabUnderTest
from practice.engine.desk import Desk


@pytest.fixture
def lab(request: pytest.FixtureRequest, labs: Labs) -> LabUnderTest:
    """The lab that the module names as `LAB`; modules of one name share it, and one worker."""
    return labs.named(request.module.LAB)


@pytest.fixture
def desk(lab: LabUnderTest, tmp_path: Path) -> Desk:
    """An operator's desk with no journal on it."""
    return Desk(lab, tmp_path / "state")
