"""Lock files: one at a time, told while waiting, gone afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgops.errors import ExitCode
from pgops_lab.locks import Busy, locked


def test_the_second_waits_says_so_and_gives_up(tmp_path: Path) -> None:
    path = tmp_path / "deep" / ".lock"
    said: list[str] = []
    with locked(path, waiting_for="the first", tell=said.append, timeout_s=1):
        assert said == []
        with pytest.raises(Busy) as caught, locked(path, waiting_for="the first", tell=said.append, timeout_s=0.3):
            pytest.fail("the lock was given twice")
    assert caught.value.exit_code is ExitCode.LOCKED
    assert said == ["waiting: the first"]
    assert not path.exists()
    with locked(path, waiting_for="nobody", tell=said.append, timeout_s=0):
        assert path.exists()
