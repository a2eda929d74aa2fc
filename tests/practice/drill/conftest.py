"""A lab, an operator's desk, and production as it is to stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from practice.conftest import Labs, LabUnderTest
from practice.drill.production import Production
from practice.engine.desk import Desk


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest, labs: Labs) -> LabUnderTest:
    """The lab that the module names as `LAB`."""
    return labs.named(request.module.LAB)


@pytest.fixture
def desk(lab: LabUnderTest, tmp_path: Path) -> Desk:
    """An operator's desk with no journal on it."""
    return Desk(lab, tmp_path / "state")


@pytest.fixture
def production(desk: Desk) -> Production:
    """The lab's files, processes and databases."""
    return Production(desk)
