"""Names and places: no name and no home leads out of the lab home or into a shell."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgops.errors import ConfigError, Refused
from pgops_lab import places


@pytest.mark.parametrize("name", ["demo", "a", "it-first-123", "x" * 31])
def test_a_good_name_is_taken(name: str) -> None:
    assert places.check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "..", "../demo", "a/b", "/etc", "Demo", "1st", "-rf", "a b", "a;b", "a\n", "$(id)", "x" * 32, ".demo"]
)
def test_a_name_that_could_play_tricks_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        places.lab_dir(name)


def test_the_home_is_what_the_variable_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PGOPS_LAB_HOME", str(tmp_path))
    assert places.lab_dir("demo") == tmp_path / "labs" / "demo"
    assert places.environment_dir("3.0") == tmp_path / "envs" / "patroni-3.0"


def test_root_and_others_have_homes_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGOPS_LAB_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/anna")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert (places.home(), places.lab_user()) == (Path("/var/lib/pgops-lab"), "postgres")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert (places.home(), places.lab_user()) == (Path("/home/anna/.local/share/pgops/lab"), None)


@pytest.mark.parametrize("home", ["relative", "/with space", "/a%b", '/a"b', "/a;b", "/a/../b", "/a\nb"])
def test_a_home_that_no_configuration_file_could_hold_is_refused(monkeypatch: pytest.MonkeyPatch, home: str) -> None:
    monkeypatch.setenv("PGOPS_LAB_HOME", home)
    with pytest.raises(ConfigError):
        places.home()


def test_a_path_too_long_for_a_socket_is_refused() -> None:
    places.check_socket_room(Path("/var/lib/pgops-lab/labs") / ("x" * 31))
    with pytest.raises(Refused, match="too long"):
        places.check_socket_room(Path("/" + "d" * 90))
