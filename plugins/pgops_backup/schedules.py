"""What cron or systemd is told, so that one backup a night is made whichever node leads. Pure.

Every node asks once an hour; `pgops backup` itself decides, by its window and by the age of what is in the repository.
Sources: crontab(5): `%` is a new line unless escaped; systemd.service(5): `%` and `$` are doubled.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from pgops.config.model import BackupPolicy, ClusterConfig
from pgops.observe.schedules import cron_path, link_path, unit_path

_MINUTES = {"full": 5, "diff": 25, "incr": 25}
"""In which minute of each hour: the full one first, so that the other finds it made, or under way."""

_NEVER_OVER = 1 / 6
"""What a limit may lie under the wished interval, as a share of it."""


@dataclass(frozen=True)
class Wishes:
    """`keeper`: cron or systemd. `config`: the configuration to name (None: found by itself); `path`: the search path."""

    keeper: str
    config: str | None
    path: str


def limit_s(policy: BackupPolicy, kind: str) -> float:
    """How old the newest backup must be for another: the interval less the window's length, whole minutes.

    With the interval itself, a backup that was made late in the window would push each next one later, and then out of it.
    """
    every_s = policy.full_every_s if kind == "full" else policy.every_s
    under_s = min(_window_s(policy.window), every_s * _NEVER_OVER)
    return (every_s - under_s) // 60 * 60


def command_of(cluster: ClusterConfig, node: str, kind: str, wishes: Wishes) -> tuple[str, ...]:
    """The command of one line."""
    policy = cluster.backup
    return (
        "pgops",
        *(("--config", wishes.config) if wishes.config else ()),
        "backup",
        *("--cluster", cluster.name, "--node", node, "--type", kind),
        *("--if-older-than", _format(limit_s(policy, kind)), "--window", policy.window),
        *("--timezone", policy.timezone),
        *(("--jitter", _format(policy.jitter_s)) if policy.jitter_s else ()),
        *(("--textfile", policy.textfile) if policy.textfile else ()),
        "-q",
    )


def render_cron(cluster: ClusterConfig, node: str, wishes: Wishes) -> str:
    """A table for cron.d."""
    policy = cluster.backup
    lines = [
        *(f"# {line}" for line in _explain(cluster, node)),
        "# cron goes by the host's own clock and zone, so the lines run in every hour, and --window decides.",
        f"# Nothing is printed unless something is wrong, and cron mails what is printed to {policy.mailto or policy.user};",
        "# backup.mailto in pgops.yml names somebody else.",
        "SHELL=/bin/sh",
        f"PATH={wishes.path}",
        *([f"MAILTO={policy.mailto}"] if policy.mailto is not None else []),
    ]
    for kind in kinds_of(policy):
        command = shlex.join(command_of(cluster, node, kind, wishes)).replace("%", "\\%")
        lines.append(f"{_MINUTES[kind]} * * * * {policy.user} {command}")
    return "".join(f"{line}\n" for line in lines)


def render_units(cluster: ClusterConfig, node: str, kind: str, wishes: Wishes) -> tuple[str, str]:
    """A service and its timer."""
    told = "".join(f"# {line}\n" for line in _explain(cluster, node))
    words = " ".join(map(_quote, command_of(cluster, node, kind, wishes)))
    what = f"{kind} backup of the cluster {cluster.name} on {node}".replace("%", "%%")
    service = (
        f"{told}[Unit]\nDescription={what}, where it is due and this node leads\nAfter=network-online.target\n"
        f"[Service]\nType=oneshot\nUser={cluster.backup.user}\nEnvironment={_quote_setting('PATH=' + wishes.path)}\n"
        f"ExecStart=/usr/bin/env {words}\n"
    )
    timer = (
        f"{told}[Unit]\nDescription={what}, asked for once an hour\n"
        f"[Timer]\nOnCalendar=*-*-* *:{_MINUTES[kind]:02d}:00\nAccuracySec=1min\n[Install]\nWantedBy=timers.target\n"
    )
    return service, timer


def wished_files(cluster: ClusterConfig, node: str, wishes: Wishes) -> Mapping[str, str]:
    """Every file to be there, by path; of a timer's link it counts that it is there."""
    if wishes.keeper == "cron":
        return {cron_path(cluster, node): render_cron(cluster, node, wishes)}
    files = {}
    for kind in kinds_of(cluster.backup):
        service, timer = render_units(cluster, node, kind, wishes)
        files[unit_path(cluster, node, kind, "service")] = service
        files[unit_path(cluster, node, kind, "timer")] = timer
        files[link_path(cluster, node, kind)] = timer
    return files


def kinds_of(policy: BackupPolicy) -> tuple[str, str]:
    """The full ones, and what is made between them."""
    return "full", policy.kind


def _explain(cluster: ClusterConfig, node: str) -> tuple[str, ...]:
    policy = cluster.backup
    return (
        f"Backups of the cluster {cluster.name}, asked for on {node}. `pgops backup schedule --install` replaces this file.",
        f"A full one every {_format(policy.full_every_s)} and any every {_format(policy.every_s)}, "
        f"made in the window {policy.window} {policy.timezone}.",
        "Every node runs this: the leader makes the backup where one is due, the others end at once and say nothing.",
    )


def _window_s(window: str) -> float:
    first, last = (int(text[:2]) * 3600 + int(text[3:]) * 60 for text in window.split("-"))
    return float((last - first) % 86400)


def _format(seconds: float) -> str:
    """As pgops reads it, in one unit."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


def _quote_setting(text: str) -> str:
    """A variable of systemd's Environment=, where `$` has no meaning. Source: systemd.exec(5)."""
    return _in_quotes(text.replace("%", "%%"))


def _quote(word: str) -> str:
    """A word of a command line of systemd."""
    word = word.replace("%", "%%").replace("$", "$$")
    return word if re.fullmatch(r"[\w%$@+=:,./-]+", word) else _in_quotes(word)


def _in_quotes(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
