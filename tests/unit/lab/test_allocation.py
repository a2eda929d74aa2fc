"""Which number a new lab gets, and who is named when none will do."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from pgops.errors import Refused
from pgops_lab import allocation, ports
from pgops_lab.lab import Lab
from unit.lab.samples import sample

Endpoint = tuple[str, int]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A short path: the sockets of a lab below it must fit, whatever number pytest's own directory has by now."""
    with TemporaryDirectory(prefix="pl") as directory:
        yield Path(directory)


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PGOPS_LAB_HOME", str(tmp_path))
    monkeypatch.setattr(ports, "taken", lambda endpoints: ())


def _allocate(name: str, tmp_path: Path) -> Lab:
    return allocation.allocate(
        name, size=3, patroni="4.1", pg_bin="/bin", environment=tmp_path / "env", tell=lambda _: None
    )


def test_labs_made_at_the_same_moment_differ(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: _allocate(f"lab{number}", tmp_path), range(8)))
    assert sorted(lab.index for lab in made) == list(range(1, 9))
    assert not (tmp_path / ".lock").exists()


def test_a_number_whose_ports_are_taken_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "taken", lambda endpoints: tuple(e for e in endpoints if e == ("127.20.1.12", 8008)))
    assert _allocate("demo", tmp_path).index == 2


def test_a_port_taken_everywhere_is_told_with_its_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "taken", lambda endpoints: tuple(e for e in endpoints if e[1] == 5432))
    monkeypatch.setattr("pgops_lab.processes.listener", lambda address, port: "process 7 (postgres)")
    with pytest.raises(Refused) as caught:
        _allocate("demo", tmp_path)
    assert "127.20.1.11:5432 by process 7 (postgres)" in str(caught.value)
    assert not (tmp_path / "labs/demo").exists()


def test_a_directory_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "labs/demo").mkdir(parents=True)
    with pytest.raises(Refused, match="not touched"):
        _allocate("demo", tmp_path)


def test_a_real_listener_is_seen_and_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    with socket.socket() as listener:
        listener.bind(("127.20.254.201", 0))
        listener.listen()
        endpoint = listener.getsockname()
        assert ports.taken([endpoint, ("127.20.254.202", endpoint[1])]) == (endpoint,)
        with pytest.raises(Refused) as caught:
            ports.refuse_taken(sample(tmp_path), (endpoint,))
    assert f"process {os.getpid()} (" in str(caught.value)
