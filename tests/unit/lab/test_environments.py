"""The shared Python environments: built aside, taken as they are when current, cleared of what nobody uses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pgops.errors import PgopsError
from pgops.hosts.process import CommandResult
from pgops_lab import environments
from pgops_lab import lab as labs
from unit.lab.samples import sample


class Builder:
    """Stands in for venv and pip: makes the directory, or fails at the named program."""

    def __init__(self, failing: str = "") -> None:
        self.failing = failing
        self.calls: list[tuple[str, ...]] = []

    def __call__(self, argv: list[str], **_: object) -> CommandResult:
        self.calls.append(tuple(argv))
        if argv[1:3] == ["-m", "venv"]:
            (Path(argv[3]) / "bin").mkdir(parents=True)
            (Path(argv[3]) / "bin/python").touch()
        code = 1 if self.failing and self.failing in argv else 0
        return CommandResult(tuple(argv), code, "", "no network" if code else "", 0.1)


@pytest.fixture
def builder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Builder:
    monkeypatch.setenv("PGOPS_LAB_HOME", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    builder = Builder()
    monkeypatch.setattr(environments, "run", builder)
    return builder


def test_it_is_built_once(builder: Builder, tmp_path: Path) -> None:
    said: list[str] = []
    first = environments.prepare("4.1", said.append)
    count = len(builder.calls)
    assert environments.prepare("4.1", said.append) == first == (tmp_path / "envs/patroni-4.1").resolve()
    assert len(builder.calls) == count
    assert "preparing Patroni 4.1" in said[0]


def test_a_failure_leaves_nothing_and_says_why(builder: Builder, tmp_path: Path) -> None:
    builder.failing = "pip"
    with pytest.raises(PgopsError) as caught:
        environments.prepare("3.0", lambda _: None)
    assert "no network" in str(caught.value)
    assert list((tmp_path / "envs").iterdir()) == []


def test_other_packages_mean_a_new_one_and_the_old_is_kept_while_a_lab_runs_on_it(
    builder: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = environments.prepare("4.1", lambda _: None)
    lab = replace(sample(tmp_path), environment=old)
    lab.directory.mkdir(parents=True)
    monkeypatch.setattr("pgops_lab.lab.os.geteuid", lambda: tmp_path.stat().st_uid)
    labs.save(lab)
    halfway = tmp_path / "envs/patroni-4.1.half"
    halfway.mkdir()
    monkeypatch.setitem(environments.REQUIREMENTS, "4.1", ("patroni==9",))
    monkeypatch.setattr("time.time", lambda: 12345.0)
    new = environments.prepare("4.1", lambda _: None)
    assert new != old
    assert (old.exists(), halfway.exists()) == (True, False)
