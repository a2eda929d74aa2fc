"""The policy of backups of one cluster."""

from __future__ import annotations

import re
from typing import Any

from pgops.config.model import BackupPolicy
from pgops.config.section import Section
from pgops.config.words import refuse_path, refuse_text, refuse_user

_WINDOW = re.compile(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d")
_SHORTEST_S = 1800.0
"""The schedule looks once an hour."""
_LONGEST_JITTER_S = 1800.0


def read_backup(section: Section | None) -> BackupPolicy:
    """What is not said is as the model has it."""
    if section is None:
        return BackupPolicy()
    values: dict[str, Any] = {}
    for key in ("full_every", "every"):
        value = section.duration(key)
        if value is not None and value < _SHORTEST_S:
            section.faults.at(section.table.entries[key], "must be at least 30min")
        elif value is not None:
            values[f"{key}_s"] = value
    jitter_s = section.duration("jitter")
    if jitter_s is not None and jitter_s > _LONGEST_JITTER_S:
        section.faults.at(section.table.entries["jitter"], "must be at most 30min")
    elif jitter_s is not None:
        values["jitter_s"] = jitter_s
    texts = {
        "kind": section.choice("kind", ("diff", "incr")),
        "window": section.text("window", _refuse_window),
        "timezone": section.text("timezone", _refuse_zone),
        "cron_dir": section.text("cron_dir", refuse_path),
        "user": section.text("user", refuse_user),
        "mailto": section.text("mailto", _refuse_address),
        "textfile": section.text("textfile", refuse_path),
    }
    values.update({key: text for key, text in texts.items() if text is not None})
    policy = BackupPolicy(**values)
    if policy.full_every_s < policy.every_s:
        node = section.table.entries["full_every" if "full_every_s" in values else "every"]
        section.faults.at(node, "full_every must not be less than every")
    section.close()
    return policy


def _refuse_window(text: str) -> str | None:
    whole = _WINDOW.fullmatch(text) is not None and text[:5] != text[6:]
    return None if whole else "not a span of the day such as 01:00-05:00"


def _refuse_zone(text: str) -> str | None:
    if text == "UTC":
        return None
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        return "not a time zone that this machine knows, such as Europe/Rome"
    return None


def _refuse_address(text: str) -> str | None:
    return refuse_text(text) or ("must not hold spaces or quotes" if re.search(r"[\s'\"\\]", text) else None)
