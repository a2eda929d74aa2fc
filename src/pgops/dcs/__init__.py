"""The DCS behind one small interface; etcd v3 and etcd v2 are the drivers of the suite, plugins may give others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

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


@dataclass(frozen=True)
class Compare:
    """A condition of a transaction: the key's mod_revision equals `revision`; 0: the key must be absent."""

    key: str
    revision: int


@dataclass(frozen=True)
class Put:
    """A change: `key` gets `value`; with a `lease` it goes when the lease does, without one it stays."""

    key: str
    value: str
    lease: int | None = None


@dataclass(frozen=True)
class Delete:
    """A change: `key` goes; where it is absent, nothing happens."""

    key: str


@dataclass(frozen=True)
class Transaction:
    """The answer to a transaction.

    `succeeded`: every compare held and all changes were made, at `revision`: the store's revision of this write, which
    is the mod_revision of every key put. Otherwise nothing was changed, `revision` is the store's at that look and
    `found` has every compared key as it was then; None: absent.
    """

    succeeded: bool
    revision: int
    found: Mapping[str, DcsKey | None]


class DcsFault(Exception):
    """The DCS gave no usable answer; the text is a clause for a person and holds no secret.

    Raised by a write, and not `DcsOutcomeUnknown`: nothing was written.
    """


class DcsOutcomeUnknown(DcsFault):
    """The write may or may not have happened, or may yet happen: its answer was lost."""


class Dcs(Protocol):
    """A DCS driver. Every call has a deadline; a fault is raised as `DcsFault`. Reads are linearizable where offered.

    A write goes to one endpoint at a time. It may be called from several threads.
    """

    def __init__(self, config: DcsConfig, *, timeout_s: float) -> None: ...

    def read_prefix(self, prefix: str) -> dict[str, DcsKey]:
        """All keys under `prefix` (which ends with `/`), by their full name, from the first endpoint that answers."""
        ...

    def read_keys(self, keys: Sequence[str]) -> dict[str, DcsKey]:
        """Those of these exact keys that exist, all as of one moment."""
        ...

    def transact(self, compares: Sequence[Compare], changes: Sequence[Put | Delete]) -> Transaction:
        """Make all changes if every compare holds, else none. Raises `DcsOutcomeUnknown` when the answer was lost."""
        ...

    def grant_lease(self, ttl_s: int) -> int:
        """A new lease's id; it ends `ttl_s` seconds after its last keeping. A lost answer leaves one that ends unused."""
        ...

    def keep_lease(self, lease: int) -> int:
        """Let it begin anew; the seconds left, as granted. 0: the lease is gone."""
        ...

    def revoke_lease(self, lease: int) -> None:
        """End it, and with it the keys put under it. A lease already gone is no fault."""
        ...

    def health(self) -> DcsHealth:
        """Every member asked itself, all at once."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


@runtime_checkable
class Overlapping(Protocol):
    """A driver that lets its caller work while the DCS is at a transaction."""

    def transact_during(
        self, compares: Sequence[Compare], changes: Sequence[Put | Delete], work: Callable[[], None]
    ) -> Transaction:
        """As `Dcs.transact`; `work` is done meanwhile. What it raises is raised, and the transaction may then be made or not.

        Where a fault of the transaction is raised, `work` may not have been done.
        """
        ...
