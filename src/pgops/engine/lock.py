"""The lock of a cluster: a lease in the DCS outside Patroni's prefix, and the token that later writes are compared on.

The token is the revision at which the lock's key was made; it only grows, so a run that lost its lease can be told from
the one that took over. Every DCS write of a run goes in one transaction with that revision. Before a REST call, SQL or a
command the run's record is written in such a transaction: a run that slept past its lease fails there. What remains is
the time between that answer and the effect: a process stopped exactly there may send one call late. The flush of the
journal, which goes on meanwhile, adds a tenth of a second at most; after more the DCS is asked again. Commands on hosts
are fenced by the token as well; REST and SQL are not, and what they do is settled by looking.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pgops.clients.json_text import parse_json
from pgops.dcs import Compare, Dcs, DcsFault, DcsKey, DcsOutcomeUnknown, Delete, Overlapping, Put, Transaction
from pgops.errors import ExitCode, PgopsError
from pgops.observe.fields import ShapeFault
from pgops.observe.keys import record_prefix
from pgops.observe.record_facts import LockRecord
from pgops.observe.records import lock_value, parse_lock, parse_run, run_name

LEASE_S = 30
"""How long a lock outlives its holder, in seconds."""

_OLD_S = 0.1
"""Where work beside a transaction took longer, in seconds, its answer is too old to tell that the lock is ours."""


class Locked(PgopsError):
    """Another operation holds the lock, or an unfinished run blocks the cluster."""

    exit_code = ExitCode.LOCKED


class LockLost(PgopsError):
    """The lease ran out, or somebody took the lock: this run does nothing more."""

    exit_code = ExitCode.STOPPED_MIDWAY


@dataclass(frozen=True)
class RecordKeys:
    """The names of pgops's own keys for one cluster."""

    lock: str
    run: str
    header: str
    rest: str

    @classmethod
    def of(cls, prefix: str, lock: str, run_id: str) -> RecordKeys:
        """For the cluster at Patroni's `prefix`."""
        top = record_prefix(prefix)
        return cls(f"{top}lock/{lock}", f"{top}{run_name(lock)}", f"{top}runs/{run_id}", f"{top}rest")


class Lock:
    """A lock that is held. Kept alive by a thread of its own until `release`."""

    def __init__(self, dcs: Dcs, keys: RecordKeys, lease: int, token: int) -> None:
        self.keys = keys
        self.token = token
        self._dcs = dcs
        self._lease = lease
        self._ended = threading.Event()
        threading.Thread(target=self._keep, daemon=True).start()

    @classmethod
    def acquire(
        cls, dcs: Dcs, keys: RecordKeys, record: LockRecord, *, run_revision: int = 0, dead_token: int = 0
    ) -> Lock:
        """Take the lock; the run record must have `run_revision` (0: there must be no unfinished run).

        `dead_token` is the token of a holder that was seen to be dead, whose lease need not be waited for. Raises
        `Locked`, which says who holds it, and `DcsFault`.
        """
        lease = dcs.grant_lease(LEASE_S)
        compares = (Compare(keys.lock, dead_token), Compare(keys.run, run_revision))
        try:
            answer = dcs.transact(compares, (Put(keys.lock, lock_value(record), lease),))
        except DcsOutcomeUnknown:
            answer = _settle(dcs, keys, lease)
        if answer.succeeded:
            return cls(dcs, keys, lease, answer.revision)
        with contextlib.suppress(DcsFault):
            dcs.revoke_lease(lease)
        raise _tell_holder(keys, answer)

    def transact(self, compares: Sequence[Compare], changes: Sequence[Put | Delete]) -> Transaction:
        """Change keys only while the lock is ours. Raises `LockLost` and `DcsFault`."""
        return self._judge(self._dcs.transact((self._own, *compares), changes))

    def put_during(self, changes: Sequence[Put], work: Callable[[], None]) -> None:
        """Put keys only while the lock is ours, and do `work`, at the same time where the driver can.

        When this returns, both are done and the lock was ours a moment ago. Raises `LockLost`, `DcsFault` and what `work`
        raises; then either may be undone.
        """
        if not isinstance(self._dcs, Overlapping):
            work()
            self.transact((), changes)
            return
        took_s = 0.0

        def timed() -> None:
            nonlocal took_s
            began = time.monotonic()
            work()
            took_s = time.monotonic() - began

        self._judge(self._dcs.transact_during((self._own,), changes, timed))
        if took_s > _OLD_S:
            self.transact((), ())

    @property
    def _own(self) -> Compare:
        return Compare(self.keys.lock, self.token)

    def _judge(self, answer: Transaction) -> Transaction:
        if not answer.succeeded:
            held = answer.found.get(self.keys.lock)
            if held is None or held.revision != self.token:
                raise self._lost(held)
        return answer

    def release(self, also: Sequence[Put | Delete] = ()) -> None:
        """Give the lock back, with these changes in the same transaction. Raises `LockLost` and `DcsFault`.

        Its lease, which then holds nothing, is left to end by itself: a run need not wait for one more write.
        """
        self._ended.set()
        self.transact((), (*also, Delete(self.keys.lock)))

    def abandon(self) -> None:
        """Stop keeping it alive: it ends with its lease."""
        self._ended.set()

    def _keep(self) -> None:
        while not self._ended.wait(LEASE_S / 3):
            with contextlib.suppress(DcsFault):
                if self._dcs.keep_lease(self._lease) == 0:
                    return

    def _lost(self, held: DcsKey | None) -> LockLost:
        why = "its lease ran out while this run was stopped or cut off from the DCS"
        if held is not None:
            why += f"; now it is held by {_describe(held)}"
        return LockLost("the lock of this cluster is no longer ours, so nothing more is done", why=why)


def _settle(dcs: Dcs, keys: RecordKeys, lease: int) -> Transaction:
    """Whether the lock whose answer was lost is ours: only our own lease can tell."""
    found = dcs.read_keys((keys.lock, keys.run))
    held = found.get(keys.lock)
    ours = held is not None and held.lease == lease
    return Transaction(ours, held.revision if held else 0, {keys.lock: held, keys.run: found.get(keys.run)})


def _tell_holder(keys: RecordKeys, answer: Transaction) -> Locked:
    held, run = answer.found.get(keys.lock), answer.found.get(keys.run)
    if held is not None:
        return held_by(held)
    if run is None:
        return Locked("locked: the lock was freed this very moment", next_step="run the command again")
    return unfinished(run)


def held_by(held: DcsKey) -> Locked:
    """The refusal that says who holds the lock."""
    return Locked(
        "locked: another operation of pgops is under way on this cluster",
        where=held.key,
        why=_describe(held),
        next_step="wait until it has ended; pgops runs list shows it",
    )


def unfinished(run: DcsKey) -> Locked:
    """The refusal that an unfinished run gives to every other acting procedure."""
    try:
        record = parse_run(parse_json(run.value.encode()))
    except (ShapeFault, ValueError) as fault:
        return Locked("an unfinished run blocks this, and its record cannot be read", where=run.key, why=str(fault))
    ended = f": {record.why}" if record.why else ""
    return Locked(
        f"an unfinished run blocks this cluster: {record.id}, {record.goal}",
        where=run.key,
        why=f"{record.by} on {record.host} began it at {record.since.isoformat()}; "
        f"it stands at step {record.step_number} of {record.steps} ({record.step}){ended}",
        next_step=f"pgops runs show {record.id}; then pgops runs continue {record.id}, or pgops runs abort {record.id}",
    )


def _describe(held: DcsKey) -> str:
    try:
        record = parse_lock(held.key.rpartition("/")[2], parse_json(held.value.encode()))
    except (ShapeFault, ValueError) as fault:
        return f"somebody whose record cannot be read ({fault})"
    run = f", run {record.run}" if record.run else ""
    return f"{record.by} on {record.host} (pid {record.pid}), {record.what}{run}, since {record.since.isoformat()}"
