"""What an incident is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pgops.errors import ConfigError, Refused
from pgops_lab import probes
from pgops_lab.lab import Lab, Member

Tell = Callable[[str], None]
Facts = dict[str, str]


@dataclass(frozen=True)
class Scene:
    """Where an incident plays. `node` is the member that the caller chose, or None.

    `facts` are, when it is undone, what its cause left on record; empty when the cause was cut off.
    """

    lab: Lab
    node: Member | None
    tell: Tell
    facts: Facts = field(default_factory=dict)

    def leader(self) -> Member:
        """The leader; `ConfigError` when the caller chose another member for what only a leader can suffer."""
        leader = self._leader()
        if self.node not in (None, leader):
            raise ConfigError("this incident is the leader's", where=f"--node {self.node.name}", why=_leads(leader))
        return leader

    def replica(self) -> Member:
        """The chosen replica, else the last one that runs."""
        if self.lab.size < 2:
            raise Refused("this incident needs a replica", why=f"the lab {self.lab.name} has one member")
        leader = self._leader()
        if self.node == leader:
            raise ConfigError("this incident is a replica's", where=f"--node {leader.name}", why=_leads(leader))
        if self.node is not None:
            return self.node
        found = probes.replicas(self.lab)
        if not found:
            raise Refused("this incident needs a running replica", next_step=f"pgops lab mend --name {self.lab.name}")
        return found[-1]

    def _leader(self) -> Member:
        leader = probes.leader(self.lab)
        if leader is None:
            raise Refused(
                f"the lab {self.lab.name} has no leader, which this incident needs",
                next_step=f"pgops lab mend --name {self.lab.name}",
            )
        return leader


@dataclass(frozen=True)
class Caused:
    """What was done, for a person, and what mending needs to know. `member` is who suffers it."""

    text: str
    member: str | None = None
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True)
class Incident:
    """A fault that can be caused. `cause` returns only when the fault was seen to be there.

    `summary` says what it is and `look_at` what one should see. `undo` prepares the way for the healing that always
    follows it (holds released, dead programs started, replicas that do not stream cloned anew), None when that is all
    there is to do; it must work also when `cause` was cut off. `needs_root`: it mounts a file system. `members` is
    the least size of a lab for it.
    """

    name: str
    summary: str
    look_at: str
    cause: Callable[[Scene], Caused]
    undo: Callable[[Scene], None] | None = None
    needs_root: bool = False
    members: int = 1


def _leads(member: Member) -> str:
    return f"{member.name} leads now"
