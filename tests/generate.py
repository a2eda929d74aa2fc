"""Writes completions/ and man/ from the live command line.

Usage: .venv/bin/python tests/generate.py [DIRECTORY], by default the project's. A test compares what is committed with what
this makes. Plugins that happen to be installed here do not count.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main(target: Path) -> None:
    """Write every generated file below `target`, and remove pages of commands that are gone."""
    os.environ["PGOPS_PLUGIN_DIR"] = os.devnull
    from manual.command_pages import command_pages
    from manual.completions import completion_scripts
    from manual.configuration_page import configuration_page

    pages = {**command_pages(), "pgops.yml.5": configuration_page()}
    for folder, texts in (("completions", completion_scripts()), ("man", pages)):
        directory = target / folder
        directory.mkdir(parents=True, exist_ok=True)
        for stale in {path.name for path in directory.iterdir()} - set(texts):
            (directory / stale).unlink()
        for name, text in texts.items():
            (directory / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
