"""The programs of `pgops_recover.remote` as commands for a host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pgops.hosts import programs


def source_of(name: str) -> str:
    """The text of the program, see `pgops.hosts.programs`."""
    return programs.source_of(f"pgops_recover.remote.{name}")


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
    return programs.command_of(f"pgops_recover.remote.{name}", wish)
