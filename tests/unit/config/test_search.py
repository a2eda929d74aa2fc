"""Which configuration is taken, in which order, and what is said when there is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pgops.config import search
from pgops.config.loader import load
from unit.config.texts import refusal, whole, write

_PGOPS = "version: 1\nclusters: {%s: {dcs: {kind: etcd3, endpoints: [h]}}}\n"
_PATRONI = "scope: %s\netcd3: {host: h}\n"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine whose /etc is a directory of ours."""
    monkeypatch.setattr(search, "SYSTEM_FILE", str(tmp_path / "etc/pgops/pgops.yml"))
    debian = tuple(str(tmp_path / "etc/patroni" / name) for name in ("config.yml", "patroni.yml"))
    monkeypatch.setattr(search, "DEBIAN_FILES", debian)
    for directory in ("etc/pgops", "etc/patroni", "home/.config/pgops", "home/.config/patroni", "xdg/pgops"):
        (tmp_path / directory).mkdir(parents=True)
    yield tmp_path


def test_the_order(machine: Path) -> None:
    """Every place is filled; each is taken, then removed, and the next one follows."""
    places = [
        (write(machine / "option.yml", _PGOPS % "option"), None),
        (write(machine / "variable.yml", _PGOPS % "variable"), "PGOPS_CONFIG"),
        (write(machine / "home/.config/pgops/pgops.yml", _PGOPS % "home"), None),
        (write(machine / "etc/pgops/pgops.yml", _PGOPS % "system"), None),
        (write(machine / "ctl.yml", _PATRONI % "ctl"), "PATRONICTL_CONFIG_FILE"),
        (write(machine / "home/.config/patroni/patronictl.yaml", _PATRONI % "patronictl"), None),
        (write(machine / "etc/patroni/config.yml", _PATRONI % "debian"), None),
        (write(machine / "etc/patroni/patroni.yml", _PATRONI % "patroni"), None),
    ]
    environ = {"HOME": str(machine / "home")}
    environ |= {variable: str(path) for path, variable in places if variable}
    taken = [load(str(places[0][0]), environ=environ).clusters[0].name]
    for path, variable in places[1:]:
        taken.append(load(None, environ=environ).clusters[0].name)
        if variable:
            del environ[variable]
        else:
            path.unlink()
    assert taken == ["option", "variable", "home", "system", "ctl", "patronictl", "debian", "patroni"]


def test_xdg_config_home(machine: Path) -> None:
    write(machine / "home/.config/pgops/pgops.yml", _PGOPS % "home")
    write(machine / "xdg/pgops/pgops.yml", _PGOPS % "xdg")
    environ = {"HOME": str(machine / "home"), "XDG_CONFIG_HOME": str(machine / "xdg")}
    assert load(None, environ=environ).clusters[0].name == "xdg"
    assert load(None, environ={**environ, "XDG_CONFIG_HOME": "relative"}).clusters[0].name == "home"


@pytest.mark.parametrize("variable", ["PGOPS_CONFIG", "PATRONICTL_CONFIG_FILE"])
def test_a_named_file_that_is_missing_is_not_passed_over(machine: Path, variable: str) -> None:
    write(machine / "etc/patroni/config.yml", _PATRONI % "debian")
    error = refusal(None, {"HOME": str(machine / "home"), variable: str(machine / "nowhere")})
    assert error.where == str(machine / "nowhere") and "No such file" in (error.why or "")


def test_nothing_found_tells_all_places_and_the_next_command(machine: Path) -> None:
    error = refusal(None, {"HOME": str(machine / "home"), "PGOPS_CONFIG": ""})
    for place in ("PGOPS_CONFIG", "PATRONICTL_CONFIG_FILE", "home/.config/pgops/pgops.yml", "etc/pgops/pgops.yml"):
        assert place in whole(error)
    assert "etc/patroni/config.yml" in whole(error) and "patronictl.yaml" in whole(error)
    assert "pgops lab up" in (error.next_step or "") and "clusters:" in (error.next_step or "")


def test_the_smallest_example_is_a_good_one(machine: Path) -> None:
    example = (refusal(None, {"HOME": str(machine / "home")}).next_step or "").partition("such as\n")[2]
    file = write(machine / "p.yml", example)
    assert load(str(file), environ={}).clusters[0].dcs.endpoints == (
        "http://db1.example:2379",
        "http://db2.example:2379",
    )


def test_debians_instances_are_named(machine: Path) -> None:
    write(machine / "etc/patroni/15-main.yml", _PATRONI % "main")
    write(machine / "etc/patroni/dcs.yml", "etcd3: {host: h}\n")
    said = refusal(None, {"HOME": str(machine / "home")}).next_step or ""
    assert f"pgops -c {machine}/etc/patroni/15-main.yml" in said and "dcs.yml" not in said


def test_the_environment_alone(machine: Path) -> None:
    home = {"HOME": str(machine / "home")}
    config = load(None, environ={**home, "PATRONI_SCOPE": "main", "PATRONI_ETCD3_HOSTS": "h1:2379,h2:2379"})
    assert config.source == "PATRONI_* variables"
    assert config.clusters[0].dcs.endpoints == ("http://h1:2379", "http://h2:2379")
    config = load(None, environ={**home, "PATRONI_CONFIGURATION": "{scope: main, etcd3: {host: h}}"})
    assert (config.source, config.clusters[0].scope) == ("PATRONI_CONFIGURATION", "main")
    error = refusal(None, {**home, "PATRONI_SCOPE": "a/b", "PATRONI_ETCD3_HOST": "h"})
    assert "PATRONI_SCOPE: scope: must not hold /" in (error.why or "")
