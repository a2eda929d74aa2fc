"""What the status codes of `pgbackrest info` mean, of a repository or of a whole stanza.

Source of the codes: pgBackRest, src/command/info/info.c. The text of code 99 is the error itself, led by its class in
brackets.
"""

from __future__ import annotations

from pgops.pgbackrest.exit_codes import explain_class

UNREADABLE = 99

_NAMES = (
    "compare the stanza's name in pgops.yml and pgbackrest.conf, and repo1-path on each host: is the repository mounted? "
    "stanza-create only for a new cluster"
)
_STATUSES = {
    1: ("no stanza of this name in the repository", _NAMES),
    2: ("no valid backup", "pgops backup --type full"),
    3: (
        "the stanza's own files are missing",
        "look for backup.info and archive.info in the repository, and their copies",
    ),
    4: ("the repositories disagree", "see each repository: pgops backup list"),
    5: (
        "the repositories hold different databases",
        "STOP: find which repository is of this cluster: pgops health; was one left out at a stanza-upgrade?",
    ),
    6: ("the backup that was asked for is not there", "pgops backup list"),
}


def explain_status(code: int, message: str) -> tuple[str, str]:
    """A sentence and what to do, of a code that is not 0; `message` is what `info` says beside it."""
    first = message.splitlines()[0].rstrip(":").strip() if message.strip() else ""
    if code in _STATUSES:
        return _STATUSES[code]
    if code == UNREADABLE and first not in ("", "other"):
        meaning, next_step = explain_class(message)
        return f"it cannot be read, {meaning}: {first[:300]}", next_step
    return first[:300] or "unknown status", "pgbackrest info on the member's host"
