"""Incidents: real faults, caused on purpose, and how each is undone.

`break_incident` and `mend` are what the commands call, and what tests call: both return only when the state they
promise was seen.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable

from pgops.errors import ConfigError, PgopsError, Refused
from pgops_lab import record
from pgops_lab.incidents import archive, branches, dcs, disk, leftovers, replication, topology
from pgops_lab.incidents.incident import Incident, Scene
from pgops_lab.lab import Lab
from pgops_lab.locks import lab_locked

Tell = Callable[[str], None]
MODULES = (topology, branches, replication, dcs, archive, leftovers, disk)
INCIDENTS: dict[str, Incident] = {incident.name: incident for module in MODULES for incident in module.INCIDENTS}


def find(name: str) -> Incident:
    """The incident of this name; `ConfigError` names those there are."""
    if name not in INCIDENTS:
        raise ConfigError(
            "there is no such incident",
            where=name,
            why="there are: " + ", ".join(INCIDENTS),
            next_step="pgops lab break --list",
        )
    return INCIDENTS[name]


def refusal(lab: Lab, incident: Incident) -> str | None:
    """Why this incident cannot be caused in this lab by this user, or None when it can."""
    if incident.needs_root and os.geteuid() != 0:
        return "it mounts a file system, which needs root; skipped"
    if lab.size < incident.members:
        return f"it needs {incident.members} members, the lab has {lab.size}"
    if any(entry.incident == incident.name for entry in record.read(lab)):
        return "it is there already"
    return None


def break_incident(lab: Lab, name: str, *, node: str | None = None, tell: Tell) -> str:
    """Cause an incident, wait until it is seen to be there, and say what was done and what to look at.

    Raises `Refused` with nothing done, or `PgopsError` when it did not come about; it is then on record all the same,
    so that `mend` clears up what there is of it.
    """
    incident = find(name)
    with lab_locked(lab.name, tell):
        why = refusal(lab, incident)
        if why is not None:
            raise Refused(f"{name} is not caused", why=why, next_step="pgops lab break --list")
        return _cause(lab, incident, node, tell)


def _cause(lab: Lab, incident: Incident, node: str | None, tell: Tell) -> str:
    name = incident.name
    scene = Scene(lab, lab.member(node) if node else None, tell)
    record.add(lab, name, node, {})
    try:
        caused = incident.cause(scene)
    except (ConfigError, Refused):  # said before anything was done
        record.remove(lab, name)
        raise
    record.add(lab, name, caused.member, caused.facts)
    return f"{caused.text}\nlook at: {incident.look_at}\nundo: pgops lab mend --name {lab.name}"


def mend(lab: Lab, name: str | None = None, *, tell: Tell) -> str:
    """Undo one incident, or all, and wait until the lab is healthy again; gives a line that says so."""
    with lab_locked(lab.name, tell):
        return _mend(lab, name, tell)


def _mend(lab: Lab, name: str | None, tell: Tell) -> str:
    from pgops_lab.healing import heal

    entries = [entry for entry in record.read(lab) if name in (None, entry.incident)]
    if name is not None and not entries:
        find(name)
        raise Refused(f"{name} is not on record in the lab {lab.name}", next_step=f"pgops lab status --name {lab.name}")
    try:
        for entry in reversed(entries):
            tell(f"undoing {entry.incident}")
            undo = find(entry.incident).undo
            if undo is not None:
                undo(Scene(lab, None, tell, entry.facts))
        if name is None or len(entries) == len(record.read(lab)):
            heal(lab, tell)
    except PgopsError as error:
        raise PgopsError(
            f"the lab {lab.name} could not be mended: {error.what}",
            where=error.where,
            why=error.why,
            next_step=f"pgops lab mend once more, or pgops lab down {lab.name} and pgops lab up {lab.name}",
        ) from error
    for entry in entries:
        record.remove(lab, entry.incident)
    left = ", ".join(entry.incident for entry in record.read(lab))
    return f"the lab {lab.name} still has: {left}" if left else f"the lab {lab.name} is healthy"


def render_list() -> str:
    """Every incident with what it is, what one should see, and who may cause it."""
    parts = []
    for incident in INCIDENTS.values():
        notes = ["`mend` undoes it"]
        if incident.needs_root:
            notes.append("needs root")
        if incident.members > 1:
            notes.append(f"needs {incident.members} members")
        lines = (incident.summary, f"see: {incident.look_at}", "; ".join(notes))
        parts.append("\n".join([incident.name, *(textwrap.indent(line, "    ") for line in lines)]))
    return "\n".join(parts)
