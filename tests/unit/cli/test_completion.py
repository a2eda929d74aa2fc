"""TAB in real shells, with the committed scripts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pgops.hosts.process import run
from unit.cli.shell import BARE, PGOPS, ROOT

ENV = {**BARE, "PATH": f"{Path(PGOPS).parent}:{BARE['PATH']}", "PGOPS_PLUGIN_DIR": "/nonexistent", "LC_ALL": "C.UTF-8"}

BASH = """
source completions/pgops.bash
complete -p pgops >/dev/null || exit 9
COMP_WORDS=({words})
COMP_CWORD={index}
compopt() {{ echo "compopt $*"; }}
_pgops_completion pgops
printf '%s\\n' "${{COMPREPLY[@]}}"
"""

ZSH = """
compdef() {{ :; }}
_describe() {{ for each in $completions_with_descriptions; do print -r -- "${{each%%:*}}"; done; }}
compadd() {{ print -l -- $completions; }}
_path_files() {{ print files; }}
source completions/_pgops
words=({words})
CURRENT=$(({index} + 1))
_pgops_completion
"""


def bash_tab(*words: str) -> list[str]:
    """What bash offers at TAB after these words; the last one is being typed and may be empty."""
    quoted = " ".join(f"'{word}'" for word in words)
    script = BASH.format(words=quoted, index=len(words) - 1)
    result = run(["/bin/bash", "--norc", "-c", script], timeout_s=30, env=ENV, cwd=str(ROOT))
    assert result.exit_code == 0 and result.stderr == "", result.stderr
    return result.stdout.split()


COMMANDS = [
    "apply",
    "backup",
    "copies",
    "drill",
    "guard",
    "health",
    "lab",
    "node",
    "pause",
    "plugins",
    "recover",
    "resume",
    "runs",
    "salvage",
]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("pgops", "he"), ["health"]),
        (("pgops", ""), COMMANDS),
        (("pgops", "xyzzy"), []),
        (("pgops", "plugins", ""), ["list"]),
        (("pgops", "health", "--qu"), ["--quick"]),
        (("pgops", "health", "--format", "j"), ["json"]),
        (("pgops", "-c", "x", "la"), ["lab"]),
        (("pgops", "lab", "m"), ["mend"]),
        (("pgops", "salvage", ""), ["apply", "remove"]),
        (("pgops", "salvage", "x", "--no"), ["--node"]),
        (("pgops", "salvage", "apply", "x", "--sup"), ["--superuser"]),
    ],
)
def test_bash(words: tuple[str, ...], expected: list[str]) -> None:
    assert bash_tab(*words) == expected


def test_bash_offers_options_and_files() -> None:
    options = bash_tab("pgops", "health", "-")
    assert {"--format", "--cluster", "--check", "--quick", "--deep", "--watch", "--config", "--help"} <= set(options)
    assert bash_tab("pgops", "health", "--config", "/etc/pa") == ["compopt", "-o", "default"]


def test_a_broken_plugin_does_not_break_tab(tmp_path: Path) -> None:
    site = tmp_path / "plugins"
    site.mkdir(mode=0o755)
    (site / "sick.py").write_text("print('noise')\nraise RuntimeError\n")
    (site / "sick.py").chmod(0o644)
    script = BASH.format(words="pgops he", index=1)
    env = {**ENV, "PGOPS_PLUGIN_DIR": str(site)}
    result = run(["/bin/bash", "--norc", "-c", script], timeout_s=30, env=env, cwd=str(ROOT))
    assert result.stdout.split() == ["health"]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed here")
@pytest.mark.parametrize(
    ("words", "expected"), [("pgops he", ["health"]), ("pgops health --qu", ["--quick"]), ("pgops lab m", ["mend"])]
)
def test_zsh(words: str, expected: list[str]) -> None:
    script = ZSH.format(words=words, index=len(words.split()) - 1)
    result = run(["zsh", "-f", "-c", script], timeout_s=30, env=ENV, cwd=str(ROOT))
    assert result.stdout.split() == expected, result.stderr


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed here")
@pytest.mark.parametrize(
    ("line", "expected"), [("pgops he", "health"), ("pgops health --qu", "--quick"), ("pgops lab m", "mend")]
)
def test_fish(tmp_path: Path, line: str, expected: str) -> None:
    script = f"source completions/pgops.fish; complete --do-complete '{line}'"
    env = {**ENV, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    result = run(["fish", "--no-config", "-c", script], timeout_s=30, env=env, cwd=str(ROOT))
    assert [row.split("\t")[0] for row in result.stdout.splitlines()] == [expected], result.stderr
