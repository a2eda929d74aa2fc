"""Changes of DCS keys, in one transaction with the lock's revision and the run's own record."""

from __future__ import annotations

from collections.abc import Sequence

from pgops.dcs import DcsFault, DcsOutcomeUnknown, Put
from pgops.engine.lock import Lock
from pgops.engine.world import ActionFault
from pgops.plan.actions import ChangeKeys, PutLater


def change_keys(action: ChangeKeys, lock: Lock, tied: Sequence[Put]) -> None:
    """Make them while the lock is ours and every compared key is as it was seen. Raises `ActionFault`, `LockLost`."""
    changes = [change for change in action.changes if not isinstance(change, PutLater)]
    if len(changes) < len(action.changes):
        raise ActionFault("a value is not known yet", happened=False)
    try:
        answer = lock.transact(action.compares, (*changes, *tied))
    except DcsOutcomeUnknown as fault:
        raise ActionFault(f"DCS: {fault}") from None
    except DcsFault as fault:
        raise ActionFault(f"DCS: {fault}", happened=False) from None
    if not answer.succeeded:
        moved = [
            item.key
            for item in action.compares
            if (((found := answer.found.get(item.key)) and found.revision) or 0) != item.revision
        ]
        raise ActionFault(f"DCS: somebody else changed {', '.join(moved)} meanwhile", happened=False)
