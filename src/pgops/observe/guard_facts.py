"""What is seen of the guard before pg_rewind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class BindingFacts:
    """How a Patroni stands to a directory of links as its `bin_dir`, which it reads in its own file when it starts.

    `files` are the files that the Patronis there were started with, `processes` names each of them so that one that was
    restarted has another name (pid, start, boot), `postmaster` the server of the data directory likewise (None: none
    runs). `kill_mode` is systemd's for the unit of that Patroni (None: it is in none). `owned`: the owner of PostgreSQL's
    files may replace the file. `stage`, from what pgops noted beside the file: None, nothing; `bound`, the file is the one
    that was written then, and names `directory`; `restored`, it was set back; `changed`, anything else. `deaf` are the
    processes that ran when the file was last written, and so have not read it. `links` are the names of the links there,
    `missing` those of programs of the real directory that have none, and `stale` links whose program is gone.
    """

    files: tuple[str, ...] = ()
    processes: tuple[str, ...] = ()
    postmaster: str | None = None
    kill_mode: str | None = None
    owned: bool = False
    stage: Literal["bound", "restored", "changed"] | None = None
    directory: str | None = None
    deaf: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()

    @property
    def is_deaf(self) -> bool:
        """Whether a Patroni that runs there has not read its file as it is now."""
        return bool(set(self.deaf) & set(self.processes))


@dataclass(frozen=True)
class GuardFacts:
    """The guard before pg_rewind on a host. `settings` is what it was told (None: there is none).

    `programs` gives the SHA-256 of each of its programs that is there (`unusable`: it may not be run), `heard` what the
    member's Patroni last heard to call in pg_rewind's place, and `overrides` names what there takes the place of the
    dynamic configuration. `binding` is how Patroni's own file stands to it, where that is the way.
    """

    settings: Mapping[str, Any] | None
    programs: Mapping[str, str]
    heard: str | None
    overrides: tuple[str, ...] = ()
    binding: BindingFacts = field(default_factory=BindingFacts)

    @property
    def is_by_links(self) -> bool:
        """Whether it was installed as a directory of links, for a Patroni that knows no `bin_name`."""
        return bool(self.settings and self.settings.get("by") == "bin_dir")
