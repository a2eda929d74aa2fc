"""Installed packages that offer plugins, seen through the real command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from unit.cli.shell import pgops
from unit.plugins.left import install, plugin_text


def with_path(*directories: Path) -> dict[str, str]:
    return {"PYTHONPATH": ":".join(str(each) for each in directories), "PGOPS_PLUGIN_DIR": "/nonexistent"}


def row(env: dict[str, str], name: str) -> list[str]:
    """Name, version, origin and the rest of one plugin in `pgops plugins list`."""
    shown = pgops("plugins", "list", env=env)
    assert shown.exit_code == 0, shown.stderr
    (found,) = [line.split(None, 3) for line in shown.stdout.splitlines() if line.split()[0] == name]
    return found


def test_an_entry_point(tmp_path: Path) -> None:
    install(tmp_path, "pgops_foo", {"foo": "pgops_foo:plugin"}, {"pgops_foo": plugin_text("foo")})
    env = with_path(tmp_path)
    assert row(env, "foo") == ["foo", "1.2", "pgops_foo", "commands: foo"]
    assert "Says hello from foo." in pgops("--help", env=env).stdout
    assert pgops("foo", env=env).stdout == "hello from foo\n"


def test_its_command_is_imported_only_when_it_is_called(tmp_path: Path) -> None:
    light = (
        "from pgops.plugin import Command, Plugin\n"
        "plugin = Plugin('late', commands=(Command('late', 'pgops_late_command:command', 'Comes late.'),))\n"
    )
    heavy = "raise SystemExit('not here')\n"
    install(tmp_path, "pgops_late", {"late": "pgops_late:plugin"}, {"pgops_late": light, "pgops_late_command": heavy})
    env = with_path(tmp_path)
    assert "Comes late." in pgops("--help", env=env).stdout
    refused = pgops("late", env=env)
    assert refused.exit_code == 1
    assert "the plugin late is broken" in refused.stderr and "SystemExit: not here" in refused.stderr


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("pgops_bar:missing", "AttributeError"),
        ("pgops_nowhere:plugin", "ModuleNotFoundError: No module named 'pgops_nowhere'"),
        ("pgops_ends:plugin", "ImportError: pgops_ends ends the process when it is imported (SystemExit: 3)"),
        ("pgops_bar:wrong", "is not a pgops.plugin.Plugin but of type dict"),
        ("pgops_bar:newer", "is made for plugin API 9; this pgops has 1"),
    ],
)
def test_a_broken_one(tmp_path: Path, target: str, reason: str) -> None:
    text = plugin_text("bar") + "wrong = {}\nnewer = Plugin('bar', api_version=9)\n"
    install(tmp_path, "pgops_bar", {"bar": target}, {"pgops_bar": text, "pgops_ends": "import sys; sys.exit(3)\n"})
    env = with_path(tmp_path)
    assert f"broken: {reason}" in row(env, "bar")[3]
    refused = pgops("bar", env=env)
    assert refused.exit_code == 1
    assert reason in refused.stderr


def test_a_stranger_takes_no_command_of_the_suite(tmp_path: Path) -> None:
    """Though its name sorts first, its entry point is named as the suite's, and it comes first on sys.path."""
    install(
        tmp_path,
        "aaa",
        {"aaa": "aaa:plugin", "health": "aaa:plugin"},
        {"aaa": plugin_text("health")},
    )
    env = with_path(tmp_path)
    assert "command health is health's already" in row(env, "aaa")[3]
    assert "exactly one member takes writes" in pgops("health", "--list-checks", env=env).stdout


def test_of_a_package_that_is_there_twice_the_first_counts(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for directory, name in ((first, "one"), (second, "two")):
        directory.mkdir()
        install(directory, "pgops_foo", {"foo": "pgops_foo:plugin"}, {"pgops_foo": plugin_text(name)})
    assert row(with_path(first, second), "foo")[3] == "commands: one"
    assert row(with_path(second, first), "foo")[3] == "commands: two"


def test_a_driver_of_a_plugin_and_none_for_a_kind(tmp_path: Path) -> None:
    text = (
        "from pgops.dcs import DcsFault\nfrom pgops.plugin import Plugin\n"
        "class Dcs:\n"
        "    def __init__(self, config, *, timeout_s): pass\n"
        "    def read_prefix(self, prefix): raise DcsFault('asked through the door')\n"
        "    def health(self): raise DcsFault('asked through the door')\n"
        "    def close(self): pass\n"
        "plugin = Plugin('consul', dcs_drivers={'consul': Dcs})\n"
    )
    config = tmp_path / "pgops.yml"
    config.write_text("version: 1\nclusters: {c: {dcs: {kind: consul, endpoints: ['127.0.0.1:1']}}}\n")
    arguments = ("-c", str(config), "health", "--quick", "-f", "tsv")
    without = pgops(*arguments, env=with_path())
    assert "no dcs driver for 'consul'" in without.stdout
    install(tmp_path, "pgops_consul", {"consul": "pgops_consul:plugin"}, {"pgops_consul": text})
    assert row(with_path(tmp_path), "consul")[3] == "DCS drivers: consul"
    assert "asked through the door" in pgops(*arguments, env=with_path(tmp_path)).stdout
