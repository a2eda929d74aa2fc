"""What a start loads: `--version` next to nothing, `--help` and TAB no client of anything."""

from __future__ import annotations

import re
import sys

import pytest

from pgops.hosts.process import run
from unit.cli.shell import BARE

THEIRS = {"httpx", "httpcore", "psycopg", "etcd3", "grpc", "google", "tabulate", "yaml", "_yaml"}
# On Python 3.10 click loads subprocess by itself, by way of uuid and platform.
CLIENTS = THEIRS | {"ssl"} | ({"subprocess"} if sys.version_info >= (3, 11) else set())
START = "import sys; sys.argv[0] = 'pgops'; from pgops.__main__ import main; main()"
_LINE = re.compile(r"^import time:\s+\d+ \|\s+\d+ \| +(\S+)$", re.MULTILINE)


def loaded(*arguments: str, **env: str) -> tuple[set[str], str]:
    """The modules and packages that a start of pgops with these arguments imports, as Python tells, and its output."""
    argv = [sys.executable, "-X", "importtime", "-c", START, *arguments]
    result = run(argv, timeout_s=60, env={**BARE, "PGOPS_PLUGIN_DIR": "/nonexistent", **env})
    assert result.exit_code == 0, result.stderr[-2000:]
    assert "Traceback" not in result.stderr
    names = _LINE.findall(result.stderr)
    return {*names, *(name.partition(".")[0] for name in names)}, result.stdout


def test_version_loads_nothing() -> None:
    modules, said = loaded("--version")
    assert said.startswith("pgops ")
    assert (
        modules & {*CLIENTS, "click", "importlib.metadata", "pathlib", "dataclasses", "inspect", "pgops_health"}
        == set()
    )


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ("-c", "x", "--version")])
def test_help_loads_no_client_and_no_command(arguments: tuple[str, ...]) -> None:
    modules, said = loaded(*arguments)
    assert "click" in modules and "pgops" in said
    assert modules & {*CLIENTS, "json", "email", "pgops_health.command", "pgops_lab.command"} == set()


@pytest.mark.parametrize("arguments", [("health", "--help"), ("lab", "--help"), ("plugins", "--help")])
def test_help_of_a_command_loads_no_client(arguments: tuple[str, ...]) -> None:
    modules, _ = loaded(*arguments)
    assert modules & CLIENTS == set()


@pytest.mark.parametrize(
    ("words", "count", "expected"),
    [
        ("pgops he", "1", "plain,health"),
        ("pgops ", "1", "plain,lab"),
        ("pgops health --che", "2", "plain,--check"),
        ("pgops health -f pro", "3", "plain,prometheus"),
        ("pgops lab br", "2", "plain,break"),
    ],
)
def test_a_tab_press_loads_no_client(words: str, count: str, expected: str) -> None:
    modules, said = loaded(_PGOPS_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=count)
    assert expected in said.splitlines()
    assert modules & CLIENTS == set()
    commands = {"pgops_health.command", "pgops_lab.command"} if count == "1" else set()
    assert modules & commands == set()
