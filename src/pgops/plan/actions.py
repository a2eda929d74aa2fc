"""Effects as data, from a closed set. An action does nothing by itself; the engine performs it.

An action knows its exact rendering, which holds no secret, since no field of it may; two are equal by value.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from hashlib import sha256
from typing import Any

from pgops.dcs import Compare, Delete, Put
from pgops.hosts.host import Identity

ANY_MEMBER = None
"""The member of a REST call that any live member may answer; it is chosen when performing."""


class Again(str, Enum):
    """What may be done about an action that was begun and then cut off.

    SEEN: its step's check shows whether it happened, and it is performed again only where it did not.
    SAFE: performing it once more does no harm.
    NEVER: neither; where the check does not show that it happened, the run ends as "outcome unknown".
    """

    SEEN = "seen"
    SAFE = "safe"
    NEVER = "never"


@dataclass(frozen=True)
class Hole:
    """A value that only the run will tell (a backup label, an LSN). Compared around, filled by the observed value."""

    name: str


Word = str | Hole

SEEN_FIRST = Hole("what was seen when the plan was made")
"""The content of a `WriteFile` that the engine fills when it performs it: the plan's first snapshot, which no digest has."""


@dataclass(frozen=True)
class RunCommand:
    """Run `argv` on `host`. `accepts` are the exit codes that count as done; by default 0 alone."""

    host: str
    argv: tuple[Word, ...]
    identity: Identity = Identity.OWNER
    again: Again = Again.SEEN
    timeout_s: float = 30.0
    accepts: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class StartJob:
    """Start long work on `host` that outlives the connection and pgops. `name` is the once-only key."""

    host: str
    name: str
    argv: tuple[Word, ...]
    identity: Identity = Identity.OWNER
    again: Again = Again.SAFE
    timeout_s: float = 30.0


@dataclass(frozen=True)
class StopJob:
    """Ask a job on `host` to end (SIGTERM to all of it) and wait for that. One that ended, or never was, is fine."""

    host: str
    name: str
    identity: Identity = Identity.OWNER
    again: Again = Again.SAFE
    timeout_s: float = 120.0


@dataclass(frozen=True)
class ForgetJob:
    """Remove the account that an ended job left on `host`, its log with it, which frees its name. A running one stays."""

    host: str
    name: str
    identity: Identity = Identity.OWNER
    again: Again = Again.SAFE
    timeout_s: float = 30.0


@dataclass(frozen=True)
class CallRest:
    """Call Patroni's REST API of `member`, or of any live one. `accepts` are the HTTP statuses that count as done."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    member: str | None = ANY_MEMBER
    again: Again = Again.SEEN
    timeout_s: float = 15.0
    accepts: tuple[int, ...] = (200,)

    def __hash__(self) -> int:
        return hash((self.method, self.path, self.member, json.dumps(self.body, sort_keys=True)))


@dataclass(frozen=True)
class RunSql:
    """Run one statement on `member`. `parameters` travel apart from the text."""

    member: str
    statement: str
    parameters: tuple[str, ...] = ()
    again: Again = Again.SEEN
    timeout_s: float = 30.0


@dataclass(frozen=True)
class PutLater:
    """Stands in a plan for the `Put` of a value that only the run will know; in its place a `Put` of that key is made."""

    key: str
    value: Hole


@dataclass(frozen=True)
class ChangeKeys:
    """Change DCS keys in one transaction, only while every compared key has its revision and the lock is ours."""

    compares: tuple[Compare, ...]
    changes: tuple[Put | Delete | PutLater, ...]
    again: Again = Again.SEEN
    timeout_s: float = 10.0


@dataclass(frozen=True)
class WriteFile:
    """Write `content` to `path` on `host`, atomically and durably; None removes the file, and `SEEN_FIRST` is filled in."""

    host: str
    path: str
    content: str | Hole | None
    mode: int = 0o600
    identity: Identity = Identity.OWNER
    again: Again = Again.SAFE
    timeout_s: float = 30.0


@dataclass(frozen=True)
class SaveKeys:
    """Write Patroni's keys of this cluster in the DCS, as they are then, to `path` on `host`; no plan or journal has them."""

    host: str
    path: str
    identity: Identity = Identity.OWNER
    again: Again = Again.SAFE
    timeout_s: float = 30.0


@dataclass(frozen=True)
class CarryFolder:
    """Bring the files of the folder `source_path` on `source` to `path` on `host`, through pgops, in pieces of bounded size.

    Every file is compared by its SHA-256 before it gets its name. `whole`: the folder there becomes what the source is, at
    once; else its files are put among those that are there. With a `stamp` (see `pgops.hosts.remote.files`) nothing is
    carried where the source is not as it was looked at; None: whatever it holds then. Cut off, it begins anew.
    """

    source: str
    source_path: str
    host: str
    path: str
    stamp: str | None = None
    whole: bool = True
    identity: Identity = Identity.OWNER
    again: Again = Again.SAFE
    timeout_s: float = 3600.0


Action = (
    RunCommand | StartJob | StopJob | ForgetJob | CallRest | RunSql | ChangeKeys | WriteFile | SaveKeys | CarryFolder
)


def render_action(action: Action) -> str:  # noqa: PLR0911 - one kind of action a return
    """The literal command, call, statement or change, on one line."""
    if isinstance(action, RunCommand):
        return f"{_place(action.host, action.identity)} {_words(action.argv)}"
    if isinstance(action, StartJob):
        return f"{_place(action.host, action.identity)} (job {action.name}) {_words(action.argv)}"
    if isinstance(action, StopJob):
        return f"{_place(action.host, action.identity)} stop the job {action.name}"
    if isinstance(action, ForgetJob):
        return f"{_place(action.host, action.identity)} forget the ended job {action.name}"
    if isinstance(action, CallRest):
        body = "" if action.body is None else f" {json.dumps(action.body, sort_keys=True)}"
        return f"[Patroni of {action.member or 'any member'}] {action.method} {action.path}{body}"
    if isinstance(action, RunSql):
        parameters = f" with {', '.join(action.parameters)}" if action.parameters else ""
        return f"[PostgreSQL of {action.member}] {' '.join(action.statement.split())}{parameters}"
    if isinstance(action, ChangeKeys):
        conditions = ", ".join(
            f"{item.key} {'is absent' if item.revision == 0 else f'has revision {item.revision}'}"
            for item in action.compares
        )
        return f"[DCS] {'; '.join(map(_change, action.changes))}{f' (only if {conditions})' if conditions else ''}"
    if isinstance(action, SaveKeys):
        return f"{_place(action.host, action.identity)} write {shlex.quote(action.path)}: Patroni's keys in the DCS"
    if isinstance(action, CarryFolder):
        there, how = shlex.quote(action.path), "carry" if action.whole else "carry the files of"
        only = f" (only while its stamp is {action.stamp[:12]})" if action.stamp else ""
        into = "to" if action.whole else "into"
        return (
            f"{_place(action.host, action.identity)} {how} {shlex.quote(action.source_path)} of {action.source} "
            f"{into} {there}{only}"
        )
    if action.content is None:
        return f"{_place(action.host, action.identity)} remove {shlex.quote(action.path)}"
    if isinstance(action.content, Hole):
        shown = f"<{action.content.name}>"
    else:
        shown = shlex.quote(action.content.rstrip("\n")).replace("\n", "\\n")
    return f"{_place(action.host, action.identity)} write {shlex.quote(action.path)} (mode {action.mode:04o}): {shown}"


def shorten_action(action: Action) -> Action:
    """For people: a script of many lines is told by its size and digest. Plans in JSON and journals have it in full."""
    if isinstance(action, WriteFile) and isinstance(action.content, str) and action.mode & 0o111:
        return replace(action, content=f"<{_told(action.content)}>")
    if not isinstance(action, (RunCommand, StartJob)):
        return action
    return replace(action, argv=tuple(map(_shorten, action.argv)))


def _shorten(word: Word) -> Word:
    return word if isinstance(word, Hole) or word.count("\n") < 3 else Hole(_told(word))


def _told(script: str) -> str:
    lines, digest = len(script.strip().splitlines()), sha256(script.encode()).hexdigest()
    return f"a script of {lines} lines, SHA-256 {digest[:12]}; in full with -f json"


def _place(host: str, identity: Identity) -> str:
    who = {Identity.ROOT: " as root", Identity.OWNER: " as the owner of PostgreSQL's files", Identity.LOGIN: ""}
    return f"[{host}{who[identity]}]"


def _words(argv: tuple[Word, ...]) -> str:
    return " ".join(f"<{word.name}>" if isinstance(word, Hole) else shlex.quote(word) for word in argv)


def _change(change: Put | Delete | PutLater) -> str:
    if isinstance(change, PutLater):
        return f"put {change.key} <{change.value.name}>"
    return f"delete {change.key}" if isinstance(change, Delete) else f"put {change.key} {change.value}"
