"""Makes a repository's backups older than they are: labels, times and checksums, so that pgBackRest accepts them all.

pgBackRest takes a backup's time from the database's clock and writes it into backup.info and backup.manifest, each
closed by a SHA-1 over its own content. Source: pgBackRest, src/info/info.c, INFO_CHECKSUM_* macros.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime, timedelta
from pathlib import Path

from pgops_lab import repository
from pgops_lab.files import write
from pgops_lab.lab import Lab, Member

_LABEL = re.compile(r"(?<![0-9A-Za-z])(\d{8}-\d{6})(?=[FDI](?:_|\b))")
_TIME = re.compile(r"(backup-timestamp-(?:copy-start|start|stop)\"?[=:])(\d+)")
_CHECKSUM = "backrest-checksum"


def age_backups(lab: Lab, member: Member, *, days: int) -> None:
    """Move every backup of the stanza `days` days into the past, and see that pgBackRest reads them so."""
    top = lab.repo_dir / "backup" / lab.name
    before = [backup["timestamp"]["stop"] for backup in repository.backups(lab, member)]
    for path in sorted(top.glob("*/backup.manifest*")) + sorted(top.glob("backup.info*")):
        write(path, _aged(path.read_text(), days), mode=0o640, user=lab.user)
    for path in sorted(top.iterdir()):
        if path.is_symlink():
            _relink(path, days)
        elif _LABEL.match(path.name):
            path.rename(path.with_name(shift_labels(path.name, days)))
    after = [backup["timestamp"]["stop"] for backup in repository.backups(lab, member)]
    if after != [moment - days * 86400 for moment in before]:
        raise AssertionError(f"pgBackRest reads {after} where {before} was moved by {days} days")


def shift_labels(text: str, days: int) -> str:
    """Every backup label in `text`, moved `days` days into the past."""

    def shifted(match: re.Match[str]) -> str:
        moment = datetime.strptime(match[1], "%Y%m%d-%H%M%S")  # noqa: DTZ007 - a label has no zone, and needs none to be shifted
        return (moment - timedelta(days=days)).strftime("%Y%m%d-%H%M%S")

    return _LABEL.sub(shifted, text)


def checksum(text: str) -> str:
    """The checksum that closes an info file: SHA-1 over its sections written as one JSON object, itself left out."""
    sections: dict[str, list[str]] = {}
    section = ""
    for line in text.splitlines():
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif line:
            key, _, value = line.partition("=")
            if key != _CHECKSUM:
                sections.setdefault(section, []).append(f"{json.dumps(key)}:{value}")
    content = ",".join(f"{json.dumps(name)}:{{{','.join(pairs)}}}" for name, pairs in sections.items())
    return hashlib.sha1(f"{{{content}}}".encode(), usedforsecurity=False).hexdigest()


def _aged(text: str, days: int) -> str:
    moved = _TIME.sub(lambda match: f"{match[1]}{int(match[2]) - days * 86400}", shift_labels(text, days))
    return re.sub(rf'^{_CHECKSUM}="[0-9a-f]+"$', f'{_CHECKSUM}="{checksum(moved)}"', moved, flags=re.MULTILINE)


def _relink(path: Path, days: int) -> None:
    target = shift_labels(str(path.readlink()), days)
    path.unlink()
    path.symlink_to(target)
