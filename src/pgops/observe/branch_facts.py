"""What is known of branches of history: whose WAL is whose, and what was kept of a branch that lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pgops.observe.salvage_facts import AppliedScript
from pgops.readings import Reading, Skipped


@dataclass(frozen=True)
class BranchFacts:
    """What a data directory tells of its branch. `serving`: a postmaster uses it. `histories` are its history files.

    `end_bytes` and `end_timeline` are the true end of WAL of a directory that nobody uses, None where it is used or has no
    WAL that can be read. `there` False: there is no data directory. `fixed` says of it, and of what its links lead to, why
    it cannot be moved aside.
    """

    there: bool
    serving: bool
    histories: Mapping[int, str] = field(default_factory=dict)
    end_bytes: int | None = None
    end_timeline: int | None = None
    fixed: tuple[str, ...] = ()


@dataclass(frozen=True)
class StoredWal:
    """A WAL file in the archive: its repository, its path there, the segment's name, and the SHA-1 of its raw content.

    Of the two members that are compared, `holders` have a file of that name with just this content, and `strangers` cannot
    have pushed it: theirs has another content, or they did not come that far.
    """

    repo_key: int
    path: str
    name: str
    sha1: str
    holders: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()


NOT_PARTED = Skipped("their WAL does not part")


@dataclass(frozen=True)
class SameTimeline:
    """Two members and the last timeline that their histories share. `fork_bytes` is where their WAL of it parts all the
    same; Known None: nowhere, as far as both have it.

    `stored` is what the archive has of that timeline from there on.
    """

    one: str
    other: str
    timeline: int
    fork_bytes: Reading[int | None]
    stored: Reading[tuple[StoredWal, ...]] = NOT_PARTED


@dataclass(frozen=True)
class Proof:
    """What opening a working copy of a kept data directory came to. `opened` None: it was too large to be tried.

    `text` says what was seen, or why it does not open, or does not hold what its WAL tells.
    """

    opened: bool | None
    text: str


@dataclass(frozen=True)
class CopyFacts:
    """A safety copy of pgops on a host: its directory, who made it why and when, and its parts (what, path).

    `run` is the run that made it. `accounted`: what only it holds has been counted into its account; `incomplete`: that
    account says that some of it is not known; `salvaged`: its rows have been read into its folder `salvage`; `quarantined`:
    what it pushed under a number that the survivor uses as well was taken out of the archive. `papers` are the files beside
    it that tell of the incident, and `proof` whether it opens, None: not tried. `bin_dir` is where PostgreSQL's programs are
    (None: on the search path), and `timeline` the one on which its branch ends (None: not known). `applied` is what was
    brought back of it, oldest first.
    """

    path: str
    run: str
    procedure: str
    node: str
    made_at: datetime
    by: str
    reason: str
    parts: tuple[tuple[str, str], ...]
    accounted: bool = False
    salvaged: bool = False
    quarantined: bool = False
    papers: tuple[str, ...] = ()
    proof: Proof | None = None
    incomplete: bool = False
    bin_dir: str | None = None
    timeline: int | None = None
    applied: tuple[AppliedScript, ...] = ()

    def has(self, what: str) -> bool:
        """Whether it has a part of this kind."""
        return any(kind == what for kind, _ in self.parts)
