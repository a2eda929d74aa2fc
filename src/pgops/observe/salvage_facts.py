"""What is known of salvage folders, of their scripts, and of what was brought back by them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True)
class AppliedScript:
    """A script that was run on a leader to its COMMIT. `sha256` is the script's, `xid` its transaction's (64 bits).

    `outcome` `unknown`: it was cut off at its COMMIT, and the server cannot tell any more how that ended. `at` is aware;
    the rows are what psql told.
    """

    database: str
    sha256: str
    outcome: Literal["committed", "unknown"]
    xid: int
    at: datetime
    by: str
    leader: str
    inserted: int
    updated: int
    deleted: int
    fault: str | None = None
    """What went wrong behind its COMMIT."""


@dataclass(frozen=True)
class BegunScript:
    """A script that came to its COMMIT, and of which nobody noted the outcome. `text` is the record as it stands there."""

    database: str
    sha256: str
    text: str


@dataclass(frozen=True)
class FailedScript:
    """A script that changed nothing, and why not; `run` is the run of pgops that ran it."""

    database: str
    sha256: str
    run: str
    reason: str


@dataclass(frozen=True)
class SalvageScript:
    """A script in a salvage folder. `ends` None: it is none that could be run as one transaction, and `fault` says why."""

    file: str
    database: str
    sha256: str
    ends: Literal["commit", "rollback"] | None
    fault: str | None = None


@dataclass(frozen=True)
class SalvageFolder:
    """The salvage folder of the copy in `keep`. `stamp` is another one when a file of it was written since."""

    keep: str
    stamp: str
    files: int
    size_bytes: int
    tables: int
    rows: int
    scripts: tuple[SalvageScript, ...]


@dataclass(frozen=True)
class CarriedFolder:
    """What lies on a host of a salvage folder that was carried there. `stamp` None: no whole folder lies there.

    `files` and `size_bytes` are of what may be rows, without pgops's own records.
    """

    path: str
    stamp: str | None
    files: int
    size_bytes: int
    applied: tuple[AppliedScript, ...] = ()
    begun: tuple[BegunScript, ...] = ()
    failed: tuple[FailedScript, ...] = ()


@dataclass(frozen=True)
class SalvageFacts:
    """All of that on one host."""

    folders: tuple[SalvageFolder, ...] = ()
    carried: tuple[CarriedFolder, ...] = ()
