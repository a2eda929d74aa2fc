"""A lab and an operator's desk."""

from __future__ import annotations

import pytest

from practice.conftest import Labs, LabUnderTest
from practice.engine.desk import Desk


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest, labs: Labs) -> LabUnderTest:
    """The lab that the module names as `LAB`, with its `OPTIONS` if any; modules of one name share it, and one worker."""
    return labs.named(request.module.LAB, *getattr(request.module, "OPTIONS", ()))


@pytest.fixture(scope="module")
def desk(lab: LabUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """An operator's desk with no journal on it."""
    return Desk(lab, tmp_path_factory.mktemp("desk") / "state")
