"""`pgops lab status`: what runs of a lab, what is held, what was broken on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pgops_lab import probes, processes, record, supervisor
from pgops_lab.lab import Lab


@dataclass(frozen=True)
class Status:
    """A lab as it is now. `supervised` False: supervisord does not answer; `orphans` counts processes without it."""

    lab: Lab
    supervised: bool
    programs: tuple[supervisor.Program, ...]
    held: frozenset[str]
    stopped: frozenset[str]
    roles: dict[str, str]
    incidents: tuple[record.Entry, ...]
    orphans: int

    @property
    def up(self) -> bool:
        """Every program runs and none is frozen."""
        return self.supervised and not self.stopped and all(each.state == "RUNNING" for each in self.programs)


def observe(lab: Lab) -> Status:
    """Look at the lab; nothing is changed."""
    try:
        seen = supervisor.programs(lab)
        supervised = True
    except supervisor.SupervisordDown:
        seen, supervised = (), False
    running = processes.of_lab(lab)
    frozen = {process.pid for process in running if process.stopped}
    return Status(
        lab=lab,
        supervised=supervised,
        programs=seen,
        held=frozenset(name for name in lab.programs if (lab.hold_dir / name).exists()),
        stopped=frozenset(program.name for program in seen if program.pid in frozen),
        roles={member.name: _role(lab, member.name) for member in lab.members} if running else {},
        incidents=record.read(lab),
        orphans=0 if supervised else len(running),
    )


def as_mapping(status: Status) -> dict[str, Any]:
    """The status for machines; keys carry their unit."""
    lab = status.lab
    return {
        "version": 1,
        "name": lab.name,
        "up": status.up,
        "supervised": status.supervised,
        "orphan_count": status.orphans,
        "patroni": lab.patroni,
        "directory": str(lab.directory),
        "config": str(lab.pgops_config),
        "proxy_address": lab.proxy_address,
        "members": [
            {"name": member.name, "address": member.address, "patroni_says": status.roles.get(member.name)}
            for member in lab.members
        ],
        "programs": [
            {
                "name": program.name,
                "state": program.state,
                "pid": program.pid,
                "uptime_s": program.uptime_s,
                "held": program.name in status.held,
                "frozen": program.name in status.stopped,
            }
            for program in status.programs
        ],
        "incidents": [
            {"name": entry.incident, "member": entry.member, "since": entry.at} for entry in status.incidents
        ],
    }


def _role(lab: Lab, name: str) -> str:
    code, body = probes.rest(lab, lab.member(name), "patroni", timeout_s=1)
    if code == 0 or not isinstance(body, dict):
        return "no answer"
    timeline = f", timeline {body['timeline']}" if "timeline" in body else ""
    return f"{body.get('role')}, {body.get('replication_state') or body.get('state')}{timeline}"
