"""Single files in the site's plugin directory, seen through the real command line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from unit.cli.shell import pgops
from unit.plugins.left import plugin_text, site_directory, write_plugin

WRONG_COMMANDS = "its commands are not a tuple of pgops.plugin.Command"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return site_directory(tmp_path)


def gives(site: Path, name: str) -> str:
    """The line of `pgops plugins list` for this plugin."""
    shown = pgops("plugins", "list", env={"PGOPS_PLUGIN_DIR": str(site)})
    assert shown.exit_code == 0, shown.stderr
    (line,) = [line for line in shown.stdout.splitlines() if line.split()[0] == name]
    return line


def test_a_good_one(site: Path) -> None:
    write_plugin(site, "greet.py", '__version__ = "2.1"\n' + plugin_text("greet"))
    env = {"PGOPS_PLUGIN_DIR": str(site)}
    assert "greet    Says hello from greet." in pgops("--help", env=env).stdout
    said = pgops("greet", env=env)
    assert (said.exit_code, said.stdout) == (0, "hello from greet\n")
    line = gives(site, "greet")
    assert "2.1" in line and str(site / "greet.py") in line and "commands: greet" in line


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import no_such_module_anywhere\n", "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ("def broken(:\n", "SyntaxError"),
        ("raise SystemExit(7)\n", "SystemExit: 7"),
        ("plugin = 42\n", "is not a pgops.plugin.Plugin but of type int"),
        ("plugin = object\n", "is not a pgops.plugin.Plugin but of type type"),
        ("x = 1\n", "defines no object named plugin"),
        (
            "from pgops.plugin import Plugin\nplugin = Plugin('sick', api_version=2)\n",
            "is made for plugin API 2; this pgops has 1",
        ),
        (
            "from pgops.plugin import Plugin\nplugin = Plugin('sick', commands=('x',))\n",
            WRONG_COMMANDS,
        ),
        (
            "from pgops.plugin import Plugin\nplugin = Plugin('sick', commands=None)\n",
            WRONG_COMMANDS,
        ),
        ("raise RuntimeError('\\x1b[31mred\\nsecond line')\n", "RuntimeError: \\x1b[31mred"),
    ],
)
def test_a_broken_one_is_a_placeholder_that_says_why(site: Path, text: str, reason: str) -> None:
    write_plugin(site, "sick.py", text)
    env = {"PGOPS_PLUGIN_DIR": str(site), "COLUMNS": "200"}
    assert f"broken: {reason}" in gives(site, "sick")
    assert f"(broken plugin: {reason}"[:60] in pgops("--help", env=env).stdout
    for arguments in (["sick"], ["sick", "--any", "thing"]):
        refused = pgops(*arguments, env=env)
        assert refused.exit_code == 1
        assert "the plugin sick is broken" in refused.stderr
        assert reason in refused.stderr
        assert "\x1b" not in refused.stderr
    assert pgops("health", "--list-checks", env=env).exit_code == 0


def test_a_file_that_others_may_write_is_not_run(site: Path) -> None:
    ran = site.parent / "ran"
    path = write_plugin(site, "open.py", f"open({str(ran)!r}, 'w')\n" + plugin_text("open"), mode=0o666)
    assert f"{path} is writable by others; chmod go-w {path}" in gives(site, "open")
    assert not ran.exists()


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
def test_a_directory_that_others_may_write(site: Path, mode: int) -> None:
    write_plugin(site, "greet.py", plugin_text("greet"))
    site.chmod(mode)
    assert f"{site} is writable by others" in gives(site, "greet")


def test_a_directory_above_that_others_may_write(tmp_path: Path) -> None:
    above = tmp_path / "above"
    above.mkdir()
    above.chmod(0o777)
    site = site_directory(above)
    write_plugin(site, "greet.py", plugin_text("greet"))
    assert f"{above} is writable by others" in gives(site, "greet")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_files_of_another_owner(site: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    target = write_plugin(elsewhere, "theirs.py", plugin_text("linked"))
    os.chown(target, 65534, 65534)
    (site / "linked.py").symlink_to(target)
    assert f"{site / 'linked.py'} is owned by uid 65534" in gives(site, "linked")
    os.chown(target, 0, 0)
    assert "commands: linked" in gives(site, "linked")
    os.chown(elsewhere, 65534, 65534)
    assert f"{elsewhere} is owned by uid 65534" in gives(site, "linked")


def test_a_link_to_nothing_and_files_that_are_no_plugins(site: Path) -> None:
    (site / "gone.py").symlink_to(site / "nowhere")
    write_plugin(site, "_private.py", "raise RuntimeError\n")
    write_plugin(site, "notes.txt", "raise RuntimeError\n")
    assert "cannot be read: No such file or directory" in gives(site, "gone")
    listed = pgops("plugins", "list", env={"PGOPS_PLUGIN_DIR": str(site)}).stdout
    assert "private" not in listed and "notes" not in listed


def test_a_command_that_is_taken_already(site: Path) -> None:
    write_plugin(site, "own_health.py", plugin_text("health"))
    write_plugin(site, "own_plugins.py", plugin_text("plugins"))
    write_plugin(site, "one.py", plugin_text("same"))
    write_plugin(site, "two.py", plugin_text("same"))
    assert "broken: command health is health's already" in gives(site, "own-health")
    assert "broken: command plugins is pgops's already" in gives(site, "own-plugins")
    assert "commands: same" in gives(site, "one")
    assert "broken: command same is one's already" in gives(site, "two")
    assert "all members" in pgops("health", "--list-checks", env={"PGOPS_PLUGIN_DIR": str(site)}).stdout


def test_what_a_plugin_prints_does_not_reach_standard_output(site: Path) -> None:
    write_plugin(site, "loud.py", "print('I am loaded')\n" + plugin_text("loud"))
    shown = pgops("health", "--schema", env={"PGOPS_PLUGIN_DIR": str(site)})
    assert shown.stdout.startswith("{")
    assert "I am loaded" in shown.stderr


def test_a_check_that_raises_is_unknown_and_hides_no_other(site: Path, tmp_path: Path) -> None:
    text = (
        "from pgops.checks import Check\nfrom pgops.observe.snapshot import View\nfrom pgops.plugin import Plugin\n"
        "def find(snapshot):\n    raise ValueError('no such thing')\n"
        "plugin = Plugin('odd', checks=(Check('odd', 'is odd', frozenset({View.DCS}), find),))\n"
    )
    write_plugin(site, "odd.py", text)
    config = tmp_path / "pgops.yml"
    config.write_text("version: 1\nclusters: {c: {dcs: {kind: etcd3, endpoints: ['127.0.0.1:1']}}}\n")
    env = {"PGOPS_PLUGIN_DIR": str(site), "PGOPS_CONFIG": str(config)}
    assert "1 checks" in gives(site, "odd")
    alone = pgops("health", "--quick", "--check", "odd", "-f", "tsv", env=env)
    assert "this check itself failed: ValueError: no such thing" in alone.stdout
    assert alone.exit_code == 3
    everything = pgops("health", "--quick", "-f", "tsv", env=env)
    assert "this check itself failed" in everything.stdout
    assert "127.0.0.1:1" in everything.stdout


def test_checks_that_cannot_be_loaded_are_a_finding(site: Path, tmp_path: Path) -> None:
    write_plugin(site, "odd.py", "from pgops.plugin import Plugin\nplugin = Plugin('odd', checks='no_such:CHECKS')\n")
    config = tmp_path / "pgops.yml"
    config.write_text("version: 1\nclusters: {c: {dcs: {kind: etcd3, endpoints: ['127.0.0.1:1']}}}\n")
    env = {"PGOPS_PLUGIN_DIR": str(site), "PGOPS_CONFIG": str(config)}
    assert "checks (broken: ModuleNotFoundError" in gives(site, "odd")
    shown = pgops("health", "--quick", "-f", "tsv", env=env)
    assert "the checks of plugin odd cannot be loaded: ModuleNotFoundError" in shown.stdout
