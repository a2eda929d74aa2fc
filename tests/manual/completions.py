"""Completion scripts for bash, zsh and fish, as click makes them for the live command line."""

from __future__ import annotations

from click.shell_completion import get_completion_class

from pgops.cli.root import root

FILES = {"bash": "pgops.bash", "zsh": "_pgops", "fish": "pgops.fish"}
"""zsh finds a completion by its file's name."""


def completion_scripts() -> dict[str, str]:
    """File name -> text. The scripts ask pgops itself at every TAB, so that they know the commands of plugins too."""
    scripts = {}
    for shell, file in FILES.items():
        maker = get_completion_class(shell)
        assert maker is not None, f"click knows no completion for {shell}"
        scripts[file] = maker(root, {}, "pgops", "_PGOPS_COMPLETE").source().rstrip("\n") + "\n"
    return scripts
