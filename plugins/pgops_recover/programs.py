"""The programs of `pgops_recover.remote` as commands for a host."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent / "remote"


_SHARED = re.compile(r"^from pgops_recover\.remote\.(\w+) import (?:\([^)]*\)|.*)\n", re.MULTILINE)
_FUTURE = "from __future__ import annotations\n"


@cache
def source_of(name: str) -> str:
    """The text of the program; a part of pgops itself, so that reading it is as good as having imported it.

    On a host there is no pgops: what it imports from its neighbours stands before it.
    """
    text = "".join(_SHARED.sub("", (_HERE / f"{each}.py").read_text("utf-8")) for each in _with_neighbours(name))
    head, future, rest = text.partition(_FUTURE)
    return head + future + rest.replace(_FUTURE, "")


def _with_neighbours(name: str) -> list[str]:
    """What the program is made of, each module once and behind those that it imports."""
    text = (_HERE / f"{name}.py").read_text("utf-8")
    names = [each for neighbour in _SHARED.findall(text) for each in _with_neighbours(neighbour)]
    return list(dict.fromkeys([*names, name]))


def archive_of(keep: str, stanza: str | None, config: str | None, until: str | None = None) -> dict[str, Any] | None:
    """How WAL that a copy misses is asked of the archive, as the program `account` wants it; None: there is no archive.

    `until` is the LSN from which on the archive may have another branch's WAL under the same number, None: nowhere.
    """
    if stanza is None:
        return None
    return {"argv": backrest_argv(stanza, config, f"{keep}/data"), "into": f"{keep}/wal", "until": until}


def backrest_argv(stanza: str, config: str | None, data_dir: str) -> list[str]:
    """pgBackRest for a data directory on its host, before the name of its command."""
    return [*repository_argv(stanza, config), f"--pg1-path={data_dir}", "--no-archive-async"]


def repository_argv(stanza: str, config: str | None) -> list[str]:
    """pgBackRest for its repositories alone, before the name of a command."""
    argv = ["pgbackrest", *([f"--config={config}"] if config else []), f"--stanza={stanza}"]
    return [*argv, "--log-level-console=warn", "--log-level-file=off"]


def argv_of(name: str, wish: Mapping[str, Any]) -> tuple[str, ...]:
    """The command that runs the program of this name with `wish` as its one argument, a JSON document."""
    return ("python3", "-I", "-c", source_of(name), json.dumps(wish, sort_keys=True))
