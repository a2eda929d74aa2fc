"""A DCS in memory, true to etcd in what the engine builds on: revisions, transactions, leases by a clock of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pgops.config.model import DcsConfig
from pgops.dcs import (
    Compare,
    DcsFault,
    DcsHealth,
    DcsKey,
    DcsMember,
    DcsOutcomeUnknown,
    Delete,
    Put,
    Transaction,
)
from pgops.readings import Known

_VALUE_LIMIT_BYTES = 1_500_000
"""What etcd takes in one request by default. Source: etcd docs, system limits."""


@dataclass
class _Lease:
    """A lease: its time as granted, and the moment of the fake clock at which it ends."""

    ttl_s: int
    ends_at_s: float


class FakeDcs:
    """Implements `pgops.dcs.Dcs`. Time passes only by `advance`.

    `unreachable`: every call raises `DcsFault` and does nothing. `lose_answers`: that many of the next transactions are
    made and their answer is lost. `writes` counts the transactions that changed something. `lost_write` and
    `last_write` (by that count, from 0): the write whose answer is lost, and the one after which it is unreachable.
    """

    def __init__(self, config: DcsConfig | None = None, *, timeout_s: float = 2.0) -> None:
        self.unreachable = False
        self.lose_answers = 0
        self.lost_write: int | None = None
        self.last_write: int | None = None
        self.writes = 0
        self._keys: dict[str, DcsKey] = {}
        self._leases: dict[int, _Lease] = {}
        self._revision = 1
        self._clock_s = 0.0
        self._next_lease = 1000
        self._guard = threading.RLock()

    def advance(self, seconds: float) -> None:
        """Let time pass: leases end, and with each the keys put under it."""
        with self._guard:
            self._clock_s += seconds
            for lease in [lease for lease, item in self._leases.items() if item.ends_at_s <= self._clock_s]:
                self._end(lease)

    def read_prefix(self, prefix: str) -> dict[str, DcsKey]:
        """See `pgops.dcs.Dcs`."""
        with self._guard:
            self._answer()
            return {name: item for name, item in sorted(self._keys.items()) if name.startswith(prefix)}

    def read_keys(self, keys: Sequence[str]) -> dict[str, DcsKey]:
        """See `pgops.dcs.Dcs`."""
        with self._guard:
            self._answer()
            return {name: self._keys[name] for name in keys if name in self._keys}

    def transact(self, compares: Sequence[Compare], changes: Sequence[Put | Delete]) -> Transaction:
        """See `pgops.dcs.Dcs`."""
        with self._guard:
            self._answer()
            if sum(len(item.value) for item in changes if isinstance(item, Put)) > _VALUE_LIMIT_BYTES:
                raise DcsFault("more than etcd takes in one request")
            if any(self._revision_of(item.key) != item.revision for item in compares):
                found = {item.key: self._keys.get(item.key) for item in compares}
                return Transaction(False, self._revision, found)
            if any(isinstance(item, Put) and item.lease not in (None, *self._leases) for item in changes):
                raise DcsFault("the lease is gone")
            self._revision += 1
            self.writes += 1
            for item in changes:
                if isinstance(item, Put):
                    self._keys[item.key] = DcsKey(item.key, item.value, self._revision, item.lease)
                else:
                    self._keys.pop(item.key, None)
            self.unreachable = self.unreachable or self.last_write == self.writes - 1
            if self.lose_answers > 0 or self.lost_write == self.writes - 1:
                self.lose_answers = max(0, self.lose_answers - 1)
                raise DcsOutcomeUnknown("the answer was lost")
            return Transaction(True, self._revision, {})

    def transact_during(
        self, compares: Sequence[Compare], changes: Sequence[Put | Delete], work: Callable[[], None]
    ) -> Transaction:
        """See `pgops.dcs.Overlapping`; the work is done last, since what goes wrong then goes wrong after the write."""
        answer = self.transact(compares, changes)
        work()
        return answer

    def grant_lease(self, ttl_s: int) -> int:
        """See `pgops.dcs.Dcs`."""
        with self._guard:
            self._answer()
            self._next_lease += 1
            self._leases[self._next_lease] = _Lease(ttl_s, self._clock_s + ttl_s)
            return self._next_lease

    def keep_lease(self, lease: int) -> int:
        """See `pgops.dcs.Dcs`."""
        with self._guard:
            self._answer()
            kept = self._leases.get(lease)
            if kept is None:
                return 0
            kept.ends_at_s = self._clock_s + kept.ttl_s
            return kept.ttl_s

    def revoke_lease(self, lease: int) -> None:
        """See `pgops.dcs.Dcs`."""
        with self._guard:
            self._answer()
            if lease in self._leases:
                self._end(lease)

    def health(self) -> DcsHealth:
        """One member, which is well. Raises `DcsFault` while it is unreachable."""
        with self._guard:
            self._answer()
            member = DcsMember("e1", "1", ("http://127.0.0.1:2379",), version="3.5.16", leader_id="1", db_size_bytes=1)
            return DcsHealth("http://127.0.0.1:2379", (member,), Known(()))

    def close(self) -> None:
        """Nothing is open."""

    def peek(self, key: str) -> DcsKey | None:
        """The key as it is, whoever may reach the DCS: for tests, and for what the fake cluster itself knows."""
        return self._keys.get(key)

    def dump(self) -> dict[str, DcsKey]:
        """Every key as it is, likewise."""
        return dict(self._keys)

    def plant(self, key: str, value: str | None, lease: int | None = None) -> None:
        """A change by somebody else's hand (None: the key goes), past every switch."""
        with self._guard:
            self._revision += 1
            if value is None:
                self._keys.pop(key, None)
            else:
                self._keys[key] = DcsKey(key, value, self._revision, lease)

    def give_lease(self, ttl_s: int) -> int:
        """A lease of somebody else's, past every switch."""
        with self._guard:
            self._next_lease += 1
            self._leases[self._next_lease] = _Lease(ttl_s, self._clock_s + ttl_s)
            return self._next_lease

    def renew(self, lease: int) -> bool:
        """Somebody else keeps a lease of theirs; whether it was still there."""
        with self._guard:
            kept = self._leases.get(lease)
            if kept is not None:
                kept.ends_at_s = self._clock_s + kept.ttl_s
            return kept is not None

    def _revision_of(self, key: str) -> int:
        found = self._keys.get(key)
        return found.revision if found else 0

    def _end(self, lease: int) -> None:
        del self._leases[lease]
        gone = [name for name, item in self._keys.items() if item.lease == lease]
        if gone:
            self._revision += 1
        for name in gone:
            del self._keys[name]

    def _answer(self) -> None:
        if self.unreachable:
            raise DcsFault("the DCS does not answer")
