"""The lab's passwords: made once, kept in one file that only the caller reads."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from pgops_lab.files import write

FILE = "passwords.json"


@dataclass(frozen=True, repr=False)
class Passwords:
    """One password for each role of the lab; the fields are the roles' names. Never printed."""

    postgres: str
    replicator: str
    rewind: str
    monitor: str
    app: str
    rest: str


def make(directory: Path) -> Passwords:
    """The passwords of the lab in `directory`, made when they are not there yet."""
    path = directory / FILE
    if not path.exists():
        made = Passwords(*(secrets.token_urlsafe(18) for _ in fields(Passwords)))
        write(path, json.dumps(asdict(made)), mode=0o600)
    return read(directory)


def read(directory: Path) -> Passwords:
    """The passwords of the lab in `directory`."""
    return Passwords(**json.loads((directory / FILE).read_text()))
