"""pgops's own records in the DCS, read and written here alone, so that what one pgops writes another can read.

They are JSON with a schema number. A record of a newer schema is refused, never guessed at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pgops.observe.fields import TEXT_LIMIT, ShapeFault, as_list, as_mapping, flag, integer, iso_moment, text
from pgops.observe.record_facts import (
    DrillCheck,
    DrillRecord,
    GuardRecord,
    LeftOutRecord,
    LockRecord,
    PauseRecord,
    RestRecord,
    RunRecord,
)

RECORD_SCHEMA = 1

TOPOLOGY = "topology"
LOCKS = (TOPOLOGY, "backup", "drill", "schedule", "salvage")
"""The locks of a cluster. Each has an unfinished run of its own at most; none stands in the way of `topology`."""

LEFT_OUT = "left-out"
"""The record of members that a recovery left as they are."""


@dataclass(frozen=True)
class HoldRecord:
    """Who holds a service of a node, and why; the content of the hold file on that host. `since` is aware."""

    owner: str
    reason: str
    since: datetime


def run_name(lock: str) -> str:
    """The record of the unfinished run under that lock."""
    return "run" if lock == TOPOLOGY else f"run/{lock}"


def parse_pause(value: object) -> PauseRecord:
    """The value under `pause`. Raises `ShapeFault`."""
    top = _known_schema(value)
    return PauseRecord(
        owner=text(top, "owner") or "",
        reason=text(top, "reason") or "",
        since=_moment(top, "since"),
        expires=iso_moment(text(top, "expires")),
    )


def parse_run(value: object) -> RunRecord:
    """The value under `run`. Raises `ShapeFault`."""
    top = _known_schema(value)
    state = _text(top, "state")
    if state not in ("running", "stopped"):
        raise ShapeFault(f"state is {state[:40]!r}, neither running nor stopped")
    return RunRecord(
        id=_run_id(top, "id"),
        procedure=_text(top, "procedure"),
        goal=_text(top, "goal"),
        by=_text(top, "by"),
        host=_text(top, "host"),
        pid=_integer(top, "pid"),
        since=_moment(top, "since"),
        state="running" if state == "running" else "stopped",
        step=_text(top, "step"),
        step_number=_integer(top, "step_number"),
        steps=_integer(top, "steps"),
        why=_text(top, "why"),
        digest=_text(top, "digest"),
        token=_integer(top, "token"),
        journal=_text(top, "journal"),
        action=integer(top, "action") or 0,
        back=flag(top, "back"),
        journal_digest=text(top, "journal_digest") or "",
    )


def parse_lock(name: str, value: object) -> LockRecord:
    """The value under `lock/NAME`. Raises `ShapeFault`."""
    top = _known_schema(value)
    return LockRecord(
        name=name,
        run=None if top.get("run") is None else _run_id(top, "run"),
        by=_text(top, "by"),
        host=_text(top, "host"),
        pid=_integer(top, "pid"),
        what=_text(top, "what"),
        since=_moment(top, "since"),
    )


def parse_hold(value: object) -> HoldRecord:
    """The content of a hold file. Raises `ShapeFault`."""
    top = _known_schema(value)
    return HoldRecord(owner=_text(top, "owner"), reason=_text(top, "reason"), since=_moment(top, "since"))


def parse_rest(value: object) -> RestRecord:
    """The value under `rest`. Raises `ShapeFault`."""
    top = _known_schema(value)
    answers = as_list(top.get("answers"), "answers")
    if not all(isinstance(answer, str) for answer in answers):
        raise ShapeFault("answers are not texts")
    return RestRecord(
        state=_text(top, "state"),
        text=_text(top, "text"),
        answers=tuple(answers),
        procedure=_text(top, "procedure"),
        run=_run_id(top, "run"),
        by=_text(top, "by"),
        host=_text(top, "host"),
        since=_moment(top, "since"),
    )


def parse_left_out(value: object) -> LeftOutRecord:
    """The value under `left-out`. Raises `ShapeFault`."""
    top = _known_schema(value)
    members = as_list(top.get("members"), "members")
    if not members or not all(isinstance(name, str) for name in members):
        raise ShapeFault("members are not names")
    return LeftOutRecord(tuple(members), _run_id(top, "run"), _text(top, "by"), _moment(top, "since"))


def left_out_value(record: LeftOutRecord) -> str:
    """What is written under `left-out`."""
    return _document(members=list(record.members), run=record.run, by=record.by, since=record.since.isoformat())


def parse_drill(value: object) -> DrillRecord:
    """The value under `drill`. Raises `ShapeFault`."""
    top = _known_schema(value)
    outcome = _text(top, "outcome")
    if outcome not in ("passed", "failed", "unmade"):
        raise ShapeFault(f"outcome is {outcome[:40]!r}, none that is known")
    return DrillRecord(
        run=_run_id(top, "run"),
        by=_text(top, "by"),
        host=_text(top, "host"),
        began_at=_moment(top, "began_at"),
        node=_text(top, "node"),
        label=_text(top, "label"),
        repo_key=_integer(top, "repo_key"),
        outcome="passed" if outcome == "passed" else "failed" if outcome == "failed" else "unmade",
        checks=tuple(map(_drill_check, as_list(top.get("checks"), "checks"))),
        restore_s=_seconds(top, "restore_s"),
        restore_bytes=integer(top, "restore_bytes"),
        replay_s=_seconds(top, "replay_s"),
        replay_bytes=integer(top, "replay_bytes"),
        proven_at=iso_moment(text(top, "proven_at")),
        proven_label=text(top, "proven_label"),
    )


def parse_guard_record(value: object) -> GuardRecord:
    """The value under `guard`. Raises `ShapeFault`."""
    top = _known_schema(value)
    members = as_list(top.get("members"), "members")
    if not all(isinstance(name, str) for name in members):
        raise ShapeFault("members are not names")
    return GuardRecord(
        members=tuple(members),
        run=_run_id(top, "run"),
        by=_text(top, "by"),
        host=_text(top, "host"),
        since=_moment(top, "since"),
    )


def _drill_check(value: object) -> DrillCheck:
    top = as_mapping(value, "a check")
    passed = top.get("passed")
    return DrillCheck(_text(top, "name"), passed if isinstance(passed, bool) else None, _text(top, "text"))


def rest_value(record: RestRecord) -> str:
    """What is written under `rest`."""
    return _document(
        state=record.state,
        text=record.text,
        answers=list(record.answers),
        procedure=record.procedure,
        run=record.run,
        by=record.by,
        host=record.host,
        since=record.since.isoformat(),
    )


def drill_value(record: DrillRecord) -> str:
    """What is written under `drill`."""
    checks = [{"name": item.name, "passed": item.passed, "text": item.text[:TEXT_LIMIT]} for item in record.checks]
    return _document(
        run=record.run,
        by=record.by,
        host=record.host,
        began_at=record.began_at.isoformat(),
        node=record.node,
        label=record.label,
        repo_key=record.repo_key,
        outcome=record.outcome,
        checks=checks,
        restore_s=record.restore_s,
        restore_bytes=record.restore_bytes,
        replay_s=record.replay_s,
        replay_bytes=record.replay_bytes,
        proven_at=record.proven_at.isoformat() if record.proven_at else None,
        proven_label=record.proven_label,
    )


def guard_value(record: GuardRecord) -> str:
    """What is written under `guard`."""
    return _document(
        members=list(record.members),
        run=record.run,
        by=record.by,
        host=record.host,
        since=record.since.isoformat(),
    )


def pause_value(record: PauseRecord) -> str:
    """What is written under `pause`."""
    expires = record.expires.isoformat() if record.expires else None
    return _document(owner=record.owner, reason=record.reason, since=record.since.isoformat(), expires=expires)


def run_value(record: RunRecord) -> str:
    """What is written under `run`."""
    return _document(
        id=record.id,
        procedure=record.procedure,
        goal=record.goal,
        by=record.by,
        host=record.host,
        pid=record.pid,
        since=record.since.isoformat(),
        state=record.state,
        step=record.step,
        step_number=record.step_number,
        steps=record.steps,
        why=record.why,
        digest=record.digest,
        token=record.token,
        journal=record.journal,
        action=record.action,
        back=record.back,
        journal_digest=record.journal_digest,
    )


def lock_value(record: LockRecord) -> str:
    """What is written under `lock/NAME`; the name stands in the key alone."""
    return _document(
        run=record.run,
        by=record.by,
        host=record.host,
        pid=record.pid,
        what=record.what,
        since=record.since.isoformat(),
    )


def hold_value(record: HoldRecord) -> str:
    """What is written into a hold file."""
    return _document(owner=record.owner, reason=record.reason, since=record.since.isoformat())


def _document(**fields: str | float | bool | list[str] | list[dict[str, Any]] | None) -> str:
    """Canonical JSON: sorted, without spaces, ASCII. A text is cut where the reader would refuse it as too long."""
    import json

    cut = {name: value[:TEXT_LIMIT] if isinstance(value, str) else value for name, value in fields.items()}
    return json.dumps({"schema": RECORD_SCHEMA, **cut}, sort_keys=True, separators=(",", ":"))


def _known_schema(value: object) -> Mapping[str, Any]:
    top = as_mapping(value, "the record")
    schema = integer(top, "schema")
    if schema is not None and schema > RECORD_SCHEMA:
        raise ShapeFault(f"schema {schema} is newer than this pgops knows ({RECORD_SCHEMA}); upgrade pgops")
    return top


def _text(top: Mapping[str, Any], key: str) -> str:
    value = text(top, key)
    if value is None:
        raise ShapeFault(f"no {key}")
    return value


def _integer(top: Mapping[str, Any], key: str) -> int:
    value = integer(top, key)
    if value is None:
        raise ShapeFault(f"no {key}")
    return value


def _seconds(top: Mapping[str, Any], key: str) -> float | None:
    value = top.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e12:
        raise ShapeFault(f"{key} is no time in seconds")
    return float(value)


def _moment(top: Mapping[str, Any], key: str) -> datetime:
    value = iso_moment(text(top, key))
    if value is None:
        raise ShapeFault(f"no {key}")
    return value


def _run_id(top: Mapping[str, Any], key: str) -> str:
    """It is shown inside a command to be typed, so it holds nothing that a shell or an option parser would take up."""
    value = _text(top, key)
    letters = value.replace("-", "")
    if not (letters.isascii() and letters.isalnum()) or value.startswith("-") or len(value) > 64:
        raise ShapeFault(f"{key} is {value[:40]!r}, not the id of a run")
    return value
