"""What a step changes in the DCS: only while it is as it was seen, and foreseen where nothing is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pgops.dcs import Compare, Delete, Put
from pgops.observe.snapshot import DcsKeys, Snapshot
from pgops.plan.actions import Action, ChangeKeys, PutLater
from pgops.readings import Known, known


def change_seen(now: Snapshot, *changes: Put | Delete | PutLater) -> tuple[Action, ...]:
    """All of these changes at once, while each of their keys is as it was seen.

    One that was absent must be absent still, and so must all where the DCS could not be read.
    """
    keys = known(now.keys)
    revisions = keys.revisions if keys else {}
    return (ChangeKeys(tuple(Compare(each.key, revisions.get(each.key, 0)) for each in changes), changes),)


def foresee_keys(now: Snapshot, change: Callable[[DcsKeys], DcsKeys]) -> Snapshot:
    """`now` with its DCS changed; as it is where that could not be read."""
    keys = known(now.keys)
    return now if keys is None else replace(now, keys=Known(change(keys)))
