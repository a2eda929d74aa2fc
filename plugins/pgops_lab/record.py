"""What was broken on purpose in a lab: kept on disk, so that `mend` knows, and a person is told."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone

from pgops_lab.files import write
from pgops_lab.lab import Lab

FILE = "incidents.json"


@dataclass(frozen=True)
class Entry:
    """One incident that was caused and not undone. `facts` are what its mending needs; they hold no secret."""

    incident: str
    member: str | None
    at: str
    facts: dict[str, str] = field(default_factory=dict)


def read(lab: Lab) -> tuple[Entry, ...]:
    """The incidents of the lab, oldest first."""
    try:
        return tuple(Entry(**item) for item in json.loads((lab.directory / FILE).read_text()))
    except FileNotFoundError:
        return ()


def add(lab: Lab, incident: str, member: str | None, facts: dict[str, str]) -> Entry:
    """Note an incident. It is noted before it is caused, and again, with its facts, when it is there."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    entry = Entry(incident, member, now, facts)
    _save(lab, (*(each for each in read(lab) if each.incident != incident), entry))
    return entry


def remove(lab: Lab, incident: str) -> None:
    """Forget an incident that was undone."""
    _save(lab, tuple(each for each in read(lab) if each.incident != incident))


def _save(lab: Lab, entries: tuple[Entry, ...]) -> None:
    write(lab.directory / FILE, json.dumps([asdict(entry) for entry in entries], indent=2) + "\n", mode=0o600)
