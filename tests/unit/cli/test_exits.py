"""Exit codes and error messages of the real command line, in the environments that it meets."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from unit.cli.shell import BARE, PGOPS, bash, pgops
from unit.plugins.left import site_directory, write_plugin


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A cluster of which nothing answers."""
    path = tmp_path / "pgops.yml"
    path.write_text("version: 1\nclusters: {zürich: {scope: z, dcs: {kind: etcd3, endpoints: ['127.0.0.1:1']}}}\n")
    return str(path)


@pytest.fixture
def quiet_env(tmp_path: Path) -> dict[str, str]:
    """No configuration and no plugin of this machine counts."""
    return {"HOME": str(tmp_path), "PGOPS_PLUGIN_DIR": str(tmp_path / "none")}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--version"], 0, ""),
        (["-V"], 0, ""),
        (["--help"], 0, ""),
        (["-h"], 0, ""),
        (["health", "-h"], 0, ""),
        ([], 2, "Usage: pgops"),
        (["--bogus"], 2, "No such option"),
        (["-c"], 2, "requires an argument"),
        (["helth"], 2, "No such command 'helth'. Did you mean 'health'?"),
        (["xyzzy"], 2, "No such command 'xyzzy'."),
        (["plugins"], 2, "Usage: pgops plugins"),
        (["plugins", "lst"], 2, "No such command 'lst'"),
        (["plugins", "list", "--bogus"], 2, "pgops plugins list --help"),
        (["lab", "up", "--members", "9"], 2, "'--members'"),
        (["salvage"], 2, "Missing argument 'RUN'"),
        (["salvage", "20261122-0300-abcdef", "extra"], 2, "unexpected extra argument (extra)"),
        (["salvage", "20261122-0300-abcdef", "--node", "n1"], 2, "there is no configuration"),
        (["salvage", "--node", "n1", "20261122-0300-abcdef"], 2, "there is no configuration"),
        (["salvage", "--node", "n1", "apply", "x"], 2, "apply is a command: it comes first"),
        (["salvage", "apply"], 2, "Missing argument 'RUN'"),
        (["salvage", "apply", "x", "--dry-run"], 2, "there is no configuration"),
        (["salvage", "remove", "x", "--superuser", "y"], 2, "No such option"),
        (["health", "--bogus"], 3, "No such option"),
        (["--bogus", "health"], 3, "No such option"),
        (["health", "extra"], 3, "unexpected extra argument"),
        (["health", "-f", "xml"], 3, "'xml' is not one of"),
        (["health", "--quick", "--deep"], 3, "exclude each other"),
        (["health", "--check", "primry"], 3, "did you mean primary?"),
        (["health"], 3, "there is no configuration"),
        (["-c", "/no/such.yml", "health"], 3, "/no/such.yml"),
        (["health", "-c", "/no/such.yml"], 3, "/no/such.yml"),
    ],
)
def test_codes(arguments: list[str], code: int, said: str, quiet_env: dict[str, str]) -> None:
    result = pgops(*arguments, env=quiet_env)
    assert result.exit_code == code, result.stderr
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert bool(result.stdout) is (code == 0)


def test_nothing_answers(config: str) -> None:
    """Every way to ask: unknown or critical, never 0, and no traceback."""
    for form in ("table", "json", "yaml", "tsv", "nagios", "prometheus"):
        result = pgops("-c", config, "health", "-f", form)
        assert result.exit_code in (2, 3), form
        assert result.stdout and "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "env",
    [
        {"LANG": "C"},
        {"LC_ALL": "POSIX"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1:strict"},
        {"TERM": "dumb"},
        {"NO_COLOR": "1", "COLUMNS": "20"},
        {"COLUMNS": "0"},
        {"COLUMNS": "wide"},
        {"TERM": ""},
    ],
)
def test_environments(config: str, env: dict[str, str]) -> None:
    result = pgops("-c", config, "health", env=env)
    assert result.exit_code in (2, 3), result.stderr
    assert "rich (scope z): " in result.stdout
    assert "\x1b" not in result.stdout + result.stderr
    assert pgops("health", "-c", "/nö/such.yml", env=env).exit_code == 3
    assert pgops("h\udcff", env=env).exit_code == 2


def test_a_reader_that_goes_away(config: str) -> None:
    """`| head -1` is silent; and what was not delivered is not reported as an answer."""
    script = '"$PGOPS" -c "$CONFIG" health -v | head -1; echo "${PIPESTATUS[0]}"'
    result = bash(script, env={"CONFIG": config})
    assert result.stderr == ""
    assert result.stdout.splitlines()[-1] in ("2", "3")
    for command, code in (("--version", 1), ("--help", 1), ("health --list-checks", 3), ("plugins list", 1)):
        gone = bash(f'(sleep 0.7; exec "$PGOPS" {command}) | true; echo "${{PIPESTATUS[0]}}"')
        assert (gone.stdout, gone.stderr) == (f"{code}\n", ""), command


@pytest.mark.parametrize(
    ("command", "code"),
    [("--version", 1), ("--help", 1), ("plugins list", 1), ("health --list-checks", 3), ("health --schema", 3)],
)
def test_no_room_for_the_output(command: str, code: int) -> None:
    result = bash(f'"$PGOPS" {command} > /dev/full')
    assert result.exit_code == code
    assert "Traceback" not in result.stderr and "bug" not in result.stderr
    assert "Exception ignored" not in result.stderr


def test_closed_streams(config: str) -> None:
    for command in ("--version", "--help", "plugins list", "health --list-checks"):
        assert bash(f'"$PGOPS" {command} >&-').exit_code == 0, command
    assert bash('"$PGOPS" -c "$CONFIG" health >&-', env={"CONFIG": config}).exit_code in (2, 3)
    assert bash('"$PGOPS" xyzzy 2>&-').exit_code == 2
    assert bash('"$PGOPS" health --list-checks <&- | head -c 5').stdout == "CHECK"


def test_ctrl_c(config: str) -> None:
    """A real SIGINT while health sleeps between two rounds."""
    child = subprocess.Popen(
        [PGOPS, "-c", config, "health", "--quick", "--watch", "60"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=BARE,
    )
    assert child.stdout is not None
    assert child.stdout.readline()
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=20)
    assert child.returncode == 130
    assert said.strip() == b"pgops: interrupted"


def test_ctrl_c_at_any_moment_of_the_start(config: str) -> None:
    # A shell's background job, which the tests may be, has interrupts ignored and hands that down: `env` undoes it.
    argv = ["env", "--default-signal=INT", PGOPS, "-c", config, "health", "--watch", "60"]
    for number in range(1, 9):
        child = subprocess.Popen(
            argv,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**BARE, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        time.sleep(0.06 * number)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=20)
        # Until our first line Python itself answers, each time otherwise.
        python = b"Fatal Python error: init_" in said or b"from pgops.__main__ import main" in said
        if child.returncode != -signal.SIGINT and not python:
            assert child.returncode == 130, (number, said)
            assert b"Traceback" not in said, (number, said)


BUG = """
import click
from pgops.plugin import Command, Plugin
@click.command("buggy")
def buggy():
    raise KeyError("secret-canary")
plugin = Plugin("buggy", commands=(Command("buggy", buggy, "Is wrong.", speaks_nagios={nagios}),))
"""


@pytest.mark.parametrize(("nagios", "code"), [(False, 1), (True, 3)])
def test_a_bug(tmp_path: Path, nagios: bool, code: int) -> None:
    site = site_directory(tmp_path)
    write_plugin(site, "buggy.py", BUG.format(nagios=nagios))
    env = {"PGOPS_PLUGIN_DIR": str(site)}
    told = pgops("buggy", env=env)
    assert told.exit_code == code
    assert told.stderr.startswith("pgops: a bug in pgops: KeyError\n")
    assert "Traceback" not in told.stderr and "canary" not in told.stderr
    traced = pgops("buggy", env={**env, "PGOPS_DEBUG": "1"})
    assert traced.exit_code == code
    assert "Traceback" in traced.stderr


def test_from_an_empty_environment(config: str) -> None:
    result = bash(f"env -i PATH=/usr/bin:/bin {PGOPS} -c {config} health -f nagios")
    assert result.exit_code in (2, 3)
    assert "127.0.0.1:1: connection refused" in result.stdout
