"""A directory of links to PostgreSQL's programs, in which pgops's own stand in the place of some; or its links gone again.

Called with one JSON document: `stage` (`link` or `unlink`), `directory`, `bin_dir` (where the real programs lie), `earlier`
(where they lay before: a link that leads there by its own name is pgops's as well) and `own` (names that get no link). A link
is by name, so that it outlives a new minor release in the same place. What others put there stays. May be repeated.
Source: PostgreSQL, src/common/exec.c, find_my_exec (a program that is started over a link finds its files beside the real
one).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from pgops.hosts.remote.answering import Fault, answer
from pgops.hosts.remote.durable import flush_directory


def main(words: list[str]) -> int:
    """Do one stage. 74 and a sentence where it cannot be done."""
    return answer(lambda: _stage(json.loads(words[0])))


def _stage(wish: Mapping[str, Any]) -> None:
    directory, bin_dir = wish["directory"], wish["bin_dir"].rstrip("/")
    if os.path.realpath(directory) == os.path.realpath(bin_dir):
        raise Fault(f"{bin_dir} is the directory of links itself; set hosts.NAME.bin_dir to the real one")
    there = _links(directory, [bin_dir, *wish["earlier"]])
    if wish["stage"] == "link":
        _link(directory, bin_dir, set(wish["own"]), there)
    else:
        _unlink(directory, set(there))


def _link(directory: str, bin_dir: str, own: set[str], there: dict[str, str]) -> None:
    programs = {name for name in os.listdir(bin_dir) if not os.path.isdir(f"{bin_dir}/{name}")} - own
    if "postgres" not in programs:
        raise Fault(f"there is no postgres in {bin_dir}; see hosts.NAME.bin_dir")
    for name in sorted(programs):
        path, target = f"{directory}/{name}", f"{bin_dir}/{name}"
        if there.get(name) == target:
            continue
        if os.path.lexists(path) and name not in there:
            raise Fault(f"{path} is there already, and pgops did not put it there")
        fresh = f"{path}.pgops-new"
        if os.path.islink(fresh):  # left by one that was cut off
            os.unlink(fresh)
        os.symlink(target, fresh)
        os.rename(fresh, path)
    _unlink(directory, set(there) - programs)


def _links(directory: str, bin_dirs: list[str]) -> dict[str, str]:
    """Name to target of the links that are pgops's own."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return {}
    links = {name: os.readlink(f"{directory}/{name}") for name in names if os.path.islink(f"{directory}/{name}")}
    ours = {name: [f"{place.rstrip('/')}/{name.removesuffix('.pgops-new')}" for place in bin_dirs] for name in links}
    return {name: target for name, target in links.items() if target in ours[name]}


def _unlink(directory: str, names: set[str]) -> None:
    for name in sorted(names):
        os.unlink(f"{directory}/{name}")
    if os.path.isdir(directory):
        flush_directory(directory)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
