"""The DCS behind one small interface; etcd v3 and etcd v2 are the drivers of the suite, plugins may give others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pgops.config.model import DcsConfig
from pgops.readings import Reading


@dataclass(frozen=True)
class DcsKey:
    """One key. `revision` is etcd's mod_revision (v2: modifiedIndex). `lease` is None when the key does not expire.

    `lease_ttl_s` is what is left of it, in seconds, where the DCS says so without another call (v2), else None.
    """

    key: str
    value: str
    revision: int
    lease: int | None = None
    lease_ttl_s: int | None = None


@dataclass(frozen=True)
class DcsMember:
    """One member of the DCS itself, asked directly at its own client URL.

    Sizes are bytes. `quota_bytes` None: the member does not tell. `leader_id` None: it sees no leader. `started` False:
    listed but never joined. `alarms` are names such as `NOSPACE`, `CORRUPT`.
    """

    name: str
    member_id: str
    client_urls: tuple[str, ...]
    started: bool = True
    healthy: bool = True
    fault: str | None = None
    version: str | None = None
    leader_id: str | None = None
    raft_term: int | None = None
    raft_index: int | None = None
    raft_applied_index: int | None = None
    db_size_bytes: int | None = None
    quota_bytes: int | None = None
    alarms: tuple[str, ...] = ()


@dataclass(frozen=True)
class DcsHealth:
    """The DCS as a cluster: its members, who answered, what it complains of.

    `answered_by` is the endpoint that gave the member list. `alarms` are (member id, alarm name).
    """

    answered_by: str
    members: tuple[DcsMember, ...]
    alarms: Reading[tuple[tuple[str, str], ...]]


class DcsFault(Exception):
    """The DCS gave no usable answer; the text is a clause for a person and holds no secret."""


class Dcs(Protocol):
    """A DCS driver. Every call has a deadline; a fault is raised as `DcsFault`. Reads are linearizable where offered."""

    def __init__(self, config: DcsConfig, *, timeout_s: float) -> None: ...

    def read_prefix(self, prefix: str) -> dict[str, DcsKey]:
        """All keys under `prefix` (which ends with `/`), by their full name, from the first endpoint that answers."""
        ...

    def health(self) -> DcsHealth:
        """Every member asked itself, all at once."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...
