"""The place of the journals is the operator's own, or it is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pgops.engine.journal import Journal, read_journal
from pgops.engine.state import open_owned, open_runs_directory, state_directory
from pgops.errors import Refused

RUN = "20261123-0300-abcdef"


def environ(place: Path) -> dict[str, str]:
    return {"PGOPS_STATE_DIR": str(place)}


def test_it_is_made_for_the_owner_alone(tmp_path: Path) -> None:
    made = open_runs_directory(environ(tmp_path / "a" / "b"))
    assert made == tmp_path / "a" / "b" / "runs"
    assert {place.stat().st_mode & 0o777 for place in (made, made.parent, made.parent.parent)} == {0o700}


def test_where_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert state_directory({}) == Path("/var/lib/pgops")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert state_directory({"XDG_STATE_HOME": "/x"}) == Path("/x/pgops")
    assert state_directory({"XDG_STATE_HOME": "relative"}) == Path.home() / ".local/state/pgops"
    assert state_directory({"PGOPS_STATE_DIR": "/y"}) == Path("/y")


def _open(place: Path) -> Path:
    directory = place / "state"
    open_runs_directory(environ(directory))
    return directory


def _link_runs(place: Path) -> None:
    (place / "runs").rmdir()
    (place.parent / "elsewhere").mkdir(mode=0o700)
    (place / "runs").symlink_to(place.parent / "elsewhere")


def _dangle(place: Path) -> None:
    (place / "runs").rmdir()
    (place / "runs").symlink_to(place.parent / "nowhere")


def _file(place: Path) -> None:
    (place / "runs").rmdir()
    (place / "runs").touch(mode=0o600)


def _fifo(place: Path) -> None:
    (place / "runs").rmdir()
    os.mkfifo(place / "runs")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_link_runs, "it is a symbolic link"),
        (_dangle, "it is a symbolic link"),
        (_file, "not a directory"),
        (_fifo, "not a directory"),
        (lambda place: (place / "runs").chmod(0o750), "mode 0750 lets others in"),
        (lambda place: place.chmod(0o777), "mode 0777 lets others in"),
        (lambda place: place.chmod(0o720), "mode 0720 lets others in"),
        (lambda place: place.parent.chmod(0o777), "others may write there"),
    ],
)
def test_what_others_could_reach_is_refused(tmp_path: Path, spoil: Callable[[Path], object], why: str) -> None:
    tmp_path.chmod(0o700)
    place = _open(tmp_path)
    spoil(place)
    with pytest.raises(Refused, match=why):
        open_runs_directory(environ(place))


def test_a_linked_state_directory_is_refused(tmp_path: Path) -> None:
    place = _open(tmp_path)
    (tmp_path / "link").symlink_to(place)
    with pytest.raises(Refused, match="it is a symbolic link"):
        open_runs_directory(environ(tmp_path / "link"))


def test_a_sticky_parent_will_do(tmp_path: Path) -> None:
    """As /tmp is: others may write there, but exchange nothing of ours."""
    place = _open(tmp_path)
    tmp_path.chmod(0o1777)
    open_runs_directory(environ(place))


def test_another_owner_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = _open(tmp_path)
    file = place / "runs" / "x.jsonl"
    os.close(open_owned(file, os.O_WRONLY | os.O_CREAT))
    own = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: own + 1)
    with pytest.raises(Refused, match=f"it belongs to uid {own}"):
        open_runs_directory(environ(place))
    with pytest.raises(Refused, match=f"it belongs to uid {own}"):
        open_owned(file, os.O_RDONLY)


@pytest.mark.parametrize(
    ("plant", "why"),
    [
        (lambda file, other: file.symlink_to(other), "symbolic link"),
        (lambda file, other: os.mkfifo(file, 0o600), "it is no plain file|No such device"),
        (lambda file, other: os.link(other, file), "a hard link"),
        (lambda file, other: (file.touch(), file.chmod(0o644)), "mode 0644 lets others in"),
        (lambda file, other: file.mkdir(), "directory|no plain file"),
    ],
)
def test_a_planted_journal_is_refused(tmp_path: Path, plant: Callable[[Path, Path], object], why: str) -> None:
    runs = open_runs_directory(environ(tmp_path / "state"))
    other = tmp_path / "other"
    other.write_text("mine\n")
    other.chmod(0o600)
    plant(runs / f"{RUN}.jsonl", other)
    with pytest.raises(Refused, match=why):
        read_journal(runs, RUN)
    with pytest.raises(Refused):
        Journal.reopen(runs, RUN)
    with pytest.raises(Refused):
        Journal.create(runs, RUN)
    assert other.read_text() == "mine\n"
