"""The lab's pgBackRest: runs it on a member, reads its information."""

from __future__ import annotations

import json
from typing import Any

from pgops_lab import programs
from pgops_lab.lab import Lab, Member


def backrest(lab: Lab, member: Member, *words: str, timeout_s: float = 120) -> str:
    """Run pgBackRest on `member` with `words` (options, then the command) and give what it printed."""
    argv = ["pgbackrest", f"--config={member.pgbackrest_config}", f"--stanza={lab.name}", *words]
    return programs.check_run(lab, argv, timeout_s=timeout_s)


def stanza_info(lab: Lab, member: Member) -> dict[str, Any]:
    """The stanza as `pgbackrest info --output=json` tells it; an empty mapping when there is none."""
    told: list[dict[str, Any]] = json.loads(backrest(lab, member, "--output=json", "info", timeout_s=30))
    return told[0] if told else {}


def backups(lab: Lab, member: Member) -> list[dict[str, Any]]:
    """The stanza's backups, oldest first."""
    found: list[dict[str, Any]] = stanza_info(lab, member).get("backup", [])
    return found


def ensure_stanza(lab: Lab, leader: Member) -> None:
    """Make the stanza when it is not there."""
    if not (lab.repo_dir / "archive" / lab.name / "archive.info").exists():
        backrest(lab, leader, "stanza-create")
