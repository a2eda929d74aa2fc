"""The schedule that a host has, beside the one that is wished for. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import unified_diff

from pgops.config.model import CRON_DIR, ClusterConfig
from pgops.observe.facts import CronState
from pgops.observe.schedules import KINDS, cron_path, link_path, schedule_paths
from pgops_backup.schedules import Wishes, wished_files

_SHOWN_LINES = 12
_WORD = r"""(?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^\s'"\\])+"""
_OWN = (
    (re.compile(r"^(PATH=|Environment=).*$", re.MULTILINE), r"\1"),
    (re.compile(rf" --config {_WORD}"), ""),
)
"""What is of the pgops that installed it, and not of the policy."""


def timer_links(cluster: ClusterConfig, node: str) -> dict[str, str]:
    """Path of an enabled timer's link -> the timer's name."""
    return {path: path.rpartition("/")[2] for path in (link_path(cluster, node, kind) for kind in KINDS)}


def find_wrong(cluster: ClusterConfig, node: str, there: Mapping[str, str], wished: Mapping[str, str]) -> list[str]:
    """The paths whose file is not as it is wished. A link counts by being there."""
    links = timer_links(cluster, node)
    return [
        path
        for path in schedule_paths(cluster, node)
        if (path in there) != (path in wished) or (path not in links and there.get(path) != wished.get(path))
    ]


def describe_wrong(path: str, there: Mapping[str, str], wished: Mapping[str, str]) -> str:
    """What is wrong with a file, as a clause: with its lines where it is another."""
    if path not in there:
        return f"{path} is not there"
    if path not in wished:
        return f"{path} is there"
    changed = [
        line
        for line in unified_diff(there[path].splitlines(), wished[path].splitlines(), n=0, lineterm="")
        if not line.startswith(("---", "+++", "@@"))
    ]
    more = f" and {len(changed) - _SHOWN_LINES} lines more" if len(changed) > _SHOWN_LINES else ""
    shown = ", ".join(f"{line[0]} {line[1:]!r}" for line in changed[:_SHOWN_LINES]) or "line ends"
    return f"{path} is another, and is replaced (- what it says, + what is wished): {shown}{more}"


def is_unread(cluster: ClusterConfig, node: str, files: Mapping[str, str], cron: CronState) -> bool:
    """Whether there is a table that no cron reads. Of another `cron_dir` the site itself says that something reads it."""
    return cron_path(cluster, node) in files and cron != "runs" and cluster.backup.cron_dir == CRON_DIR


def find_departures(cluster: ClusterConfig, node: str, there: Mapping[str, str]) -> list[str]:
    """How the schedule of a host departs from the policy, in clauses: whichever pgops and configuration it calls."""
    keeper = "cron" if cron_path(cluster, node) in there else "systemd"
    wished = _without_own(wished_files(cluster, node, Wishes(keeper, None, "")))
    found = _without_own(there)
    links = timer_links(cluster, node)
    told = []
    for path in find_wrong(cluster, node, found, wished):
        if path in links:
            told.append(f"the timer {links[path]} is {'not enabled' if path in wished else 'enabled'}")
        elif path not in found:
            told.append(f"{path} is not there")
        elif path not in wished:
            told.append(f"{path} is there as well")
        else:
            told.append(f"{path} is not as the policy wants it")
    return told


def _without_own(files: Mapping[str, str]) -> dict[str, str]:
    plain = dict(files)
    for pattern, instead in _OWN:
        plain = {path: pattern.sub(instead, text) for path, text in plain.items()}
    return plain
