"""pgops's own records of a cluster as values; they stand in the DCS outside of Patroni's prefix."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True)
class PauseRecord:
    """Who paused the cluster with pgops, and why; kept outside Patroni's own prefix."""

    owner: str
    reason: str
    since: datetime
    expires: datetime | None


@dataclass(frozen=True)
class LeftOutRecord:
    """Members that a recovery left as they are; until they are recovered it lets Patroni rewind nobody.

    `run` is the recovery that left them out last, `by` whoever ran it.
    """

    members: tuple[str, ...]
    run: str
    by: str
    since: datetime


@dataclass(frozen=True)
class RunRecord:
    """The acting run of pgops that is under way in this cluster, or was left unfinished.

    `by`, `host` and `pid` are the operator, the machine and the process that work on it, `since` its beginning (aware).
    `step` is the present step's id, the `step_number`th of `steps`; 0 before the first. `state` `stopped`: it ended
    midway by itself, and `why` says why; `running`: it works, or its process died, which only its lock can tell.
    `digest` is the plan's, `token` the lock's revision, `journal` a path on `host`. `action` is the action of the step
    that was begun last, from 0; `back`: the run is being aborted, and the step is one of its way back. `journal_digest` is
    that of a line which the journal surely has: it was on the disk when this was written, and says that this action
    begins, or the one before it.
    """

    id: str
    procedure: str
    goal: str
    by: str
    host: str
    pid: int
    since: datetime
    state: Literal["running", "stopped"]
    step: str
    step_number: int
    steps: int
    why: str
    digest: str
    token: int
    journal: str
    action: int = 0
    back: bool = False
    journal_digest: str = ""


@dataclass(frozen=True)
class LockRecord:
    """A lock that is held now: it goes with its lease. `name` is one of `pgops.observe.records.LOCKS`, `run` None: for
    no run.

    `by`, `host` and `pid` are the holder, `what` says what for, `since` is aware.
    """

    name: str
    run: str | None
    by: str
    host: str
    pid: int
    what: str
    since: datetime


@dataclass(frozen=True)
class RestRecord:
    """Where a procedure came to rest, since a person must decide how it goes on. The cluster may stay so.

    `state` names it for the procedures that answer; `text` says how things stand, and `answers` are the commands to choose
    from. `run` is the run that left it, by `by` on `host`; `since` is aware.
    """

    state: str
    text: str
    answers: tuple[str, ...]
    procedure: str
    run: str
    by: str
    host: str
    since: datetime


@dataclass(frozen=True)
class DrillCheck:
    """One proof of a drill. `passed` None: it was not made, and `text` says why."""

    name: str
    passed: bool | None
    text: str


@dataclass(frozen=True)
class DrillRecord:
    """The last drill: the backup `label` of repository `repo_key`, restored on `node` at `began_at` (aware) by `run`.

    `outcome` `unmade`: the drill itself could not be made, which says nothing about the backup. Seconds and bytes are
    measured, None where that was not reached. `replay_s` is from the start of PostgreSQL until it takes connections.
    `proven_at` is when a restore was last proven, by this drill or an earlier one, and `proven_label` of which backup.
    """

    run: str
    by: str
    host: str
    began_at: datetime
    node: str
    label: str
    repo_key: int
    outcome: Literal["passed", "failed", "unmade"]
    checks: tuple[DrillCheck, ...]
    restore_s: float | None
    restore_bytes: int | None
    replay_s: float | None
    replay_bytes: int | None
    proven_at: datetime | None
    proven_label: str | None


@dataclass(frozen=True)
class GuardRecord:
    """Which `members` take pg_rewind out of the guard's links, as their Patronis were seen to when `run` wrote this.

    A DCS says nothing of it where `bin_name` is not known: it stands in each member's own file. `since` is aware.
    """

    members: tuple[str, ...]
    run: str
    by: str
    host: str
    since: datetime
