"""The commands of pgBackRest that pgops uses, each as one function that gives its argv.

Source: pgBackRest's command reference, 2.45 to 2.59. Options stand before the command's name, parameters after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["full", "diff", "incr"]
Standby = Literal["n", "y", "prefer"]

# What only reads opens no log file, so that it needs no right to write one.
_READS = ("--log-level-console=off", "--log-level-stderr=error", "--log-level-file=off")
# What works tells its way on standard output, from which progress and faults are read.
_WORKS = ("--log-level-console=info", "--log-level-stderr=off", "--log-timestamp")
# Each file that was restored is told with its share of the whole.
_TELLS_FILES = ("--log-level-console=detail", "--log-level-stderr=off", "--log-timestamp")


@dataclass(frozen=True)
class Stanza:
    """Which stanza, through which configuration file (None: pgBackRest's own default place)."""

    name: str
    config: str | None = None


def version_argv() -> tuple[str, ...]:
    """`pgbackrest version`."""
    return ("pgbackrest", "version")


def info_argv(stanza: Stanza) -> tuple[str, ...]:
    """`pgbackrest info` of the stanza, as JSON."""
    return _argv(stanza, "info", ("--output=json",), log=_READS)


def list_argv(
    stanza: Stanza,
    path: str,
    *,
    recurse: bool = False,
    filter: str | None = None,
    as_json: bool = False,
    repo: int | None = None,
) -> tuple[str, ...]:
    """`pgbackrest repo-ls` of a path inside the repository; `filter` is a regular expression on the names."""
    options = (
        *(("--output=json",) if as_json else ()),
        *(("--recurse",) if recurse else ()),
        *((f"--filter={filter}",) if filter is not None else ()),
        *_repo(repo),
    )
    return _argv(stanza, "repo-ls", options, (path,), log=_READS)


def read_argv(stanza: Stanza, path: str, *, repo: int | None = None) -> tuple[str, ...]:
    """`pgbackrest repo-get`: one file of the repository on standard output."""
    return _argv(stanza, "repo-get", _repo(repo), (path,), log=_READS)


def archive_get_argv(stanza: Stanza, name: str, destination: str, *, repo: int | None = None) -> tuple[str, ...]:
    """`pgbackrest archive-get` of one WAL segment or history file; exit code 1: the archive does not have it."""
    return _argv(stanza, "archive-get", _repo(repo), (name, destination), log=_READS)


def backup_argv(
    stanza: Stanza,
    kind: Kind,
    *,
    annotations: Mapping[str, str] | None = None,
    standby: Standby = "n",
    repo: int | None = None,
) -> tuple[str, ...]:
    """`pgbackrest backup`. What is due to expire stays: pgops expires in a step of its own.

    `standby`: `y` copies from a replica, `prefer` (pgBackRest 2.47 and later) where there is one.
    """
    told = tuple(f"--annotation={key}={value}" for key, value in (annotations or {}).items())
    source = {"n": (), "y": ("--backup-standby",), "prefer": ("--backup-standby=prefer",)}[standby]
    return _argv(stanza, "backup", (f"--type={kind}", "--no-expire-auto", *told, *source, *_repo(repo)), log=_WORKS)


def expire_argv(
    stanza: Stanza, *, backup_set: str | None = None, repo: int | None = None, dry_run: bool = False
) -> tuple[str, ...]:
    """`pgbackrest expire`: by the configured retention or, with `backup_set`, that backup and all that depend on it."""
    options = (
        *(("--dry-run",) if dry_run else ()),
        *((f"--set={backup_set}",) if backup_set is not None else ()),
        *_repo(repo),
    )
    return _argv(stanza, "expire", options, log=(*_WORKS, "--log-level-file=off") if dry_run else _WORKS)


def check_argv(stanza: Stanza, *, archive_timeout_s: int | None = None) -> tuple[str, ...]:
    """`pgbackrest check`: switches WAL on the primary and waits until it is archived, so long or as configured."""
    wait = () if archive_timeout_s is None else (f"--archive-timeout={archive_timeout_s}",)
    return _argv(stanza, "check", wait, log=_WORKS)


def restore_argv(
    stanza: Stanza,
    *,
    backup_set: str | None = None,
    repo: int | None = None,
    target_type: str = "default",
    target: str | None = None,
    target_timeline: str | None = None,
    target_action: str | None = None,
    archive_mode_off: bool = False,
    tablespace_map_all: str | None = None,
    delta: bool = False,
) -> tuple[str, ...]:
    """`pgbackrest restore`. Where to is what the configuration file says: that file must not be production's in a drill."""
    options = (
        f"--type={target_type}",
        *((f"--set={backup_set}",) if backup_set is not None else ()),
        *((f"--target={target}",) if target is not None else ()),
        *((f"--target-timeline={target_timeline}",) if target_timeline is not None else ()),
        *((f"--target-action={target_action}",) if target_action is not None else ()),
        *(("--archive-mode=off",) if archive_mode_off else ()),
        *((f"--tablespace-map-all={tablespace_map_all}",) if tablespace_map_all is not None else ()),
        *(("--delta",) if delta else ()),
        *_repo(repo),
    )
    return _argv(stanza, "restore", options, log=_TELLS_FILES)


def _repo(repo: int | None) -> tuple[str, ...]:
    return () if repo is None else (f"--repo={repo}",)


def _argv(
    stanza: Stanza,
    command: str,
    options: tuple[str, ...] = (),
    parameters: tuple[str, ...] = (),
    *,
    log: tuple[str, ...],
) -> tuple[str, ...]:
    place = (f"--config={stanza.config}",) if stanza.config else ()
    return ("pgbackrest", *place, f"--stanza={stanza.name}", *log, *options, command, *parameters)
