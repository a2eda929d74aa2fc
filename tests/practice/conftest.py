"""Real clusters on loopback for the tests: each lab is brought up at its first use and taken down at that of the next."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pgops.hosts.process import CommandResult, run

PGOPS = str(Path(sys.executable).parent / "pgops")


@dataclass(frozen=True)
class LabUnderTest:
    """A running lab and pgops on it, as a person would call it."""

    name: str
    config: str

    def pgops(self, *arguments: str, timeout_s: float = 240.0, env: dict[str, str] | None = None) -> CommandResult:
        """Run pgops with the lab's configuration."""
        return run([PGOPS, "-c", self.config, *arguments], timeout_s=timeout_s, env={**os.environ, **(env or {})})

    def lab(self, *arguments: str) -> CommandResult:
        """`pgops lab ...` on this lab; fails the test when it fails."""
        result = run([PGOPS, "lab", *arguments, "--name", self.name], timeout_s=400)
        assert result.exit_code == 0, f"pgops lab {' '.join(arguments)}: {result.stdout}\n{result.stderr}"
        return result

    def health(self, *arguments: str) -> tuple[int | None, dict[str, Any]]:
        """Exit code and the one cluster's record of `pgops health -f json`."""
        result = self.pgops("health", "-f", "json", *arguments)
        assert result.stdout, result.stderr
        document = json.loads(result.stdout)
        assert document["exit_code"] == result.exit_code
        cluster: dict[str, Any] = document["clusters"][0]
        return result.exit_code, cluster


class Labs:
    """The labs of this process, one at a time: each takes its share of a machine that other tests run on as well."""

    def __init__(self) -> None:
        self._running: dict[str, LabUnderTest] = {}

    def named(self, stem: str, *options: str) -> LabUnderTest:
        """The lab of that name, as whoever used it last left it; a fresh one, where another lab was used meanwhile."""
        if stem not in self._running:
            self.take_down()
            self._running[stem] = _bring_up(stem, *options)
        return self._running[stem]

    def take_down(self) -> None:
        """Leave none."""
        while self._running:
            _, lab = self._running.popitem()
            result = run([PGOPS, "lab", "down", "--name", lab.name], timeout_s=120)
            assert result.exit_code == 0, result.stderr


def _bring_up(stem: str, *options: str) -> LabUnderTest:
    """Bring a fresh lab up. Its name is this process's own: another run of the tests may be under way."""
    name = f"{stem}-{os.getpid()}"
    result = run([PGOPS, "lab", "up", "--name", name, *options], timeout_s=300)
    assert result.exit_code == 0, f"{result.stdout}\n{result.stderr}"
    shown = run([PGOPS, "lab", "path", "--name", name], timeout_s=30)
    return LabUnderTest(name, shown.stdout.strip())


@pytest.fixture(scope="session")
def labs() -> Iterator[Labs]:
    """The labs of this process; none is left at the end."""
    running = Labs()
    yield running
    running.take_down()
