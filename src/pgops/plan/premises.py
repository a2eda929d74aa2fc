"""Premises: what must be so for a plan to be still the right one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pgops.observe.snapshot import DcsKeys, Snapshot
from pgops.readings import Known

UNKNOWN = "unknown"

Premises = Mapping[str, str]
"""Premise -> its value as text, or `unknown`."""

_WORDS = {
    "leader": "the leader",
    "timeline": "the timeline",
    "system_identifier": "the system identifier",
    "members": "the members",
    "rest": "the state of rest",
}


def read_premises(names: Iterable[str], seen: Snapshot) -> dict[str, str]:
    """The premises of these names as the snapshot has them."""
    if not isinstance(seen.keys, Known):
        return dict.fromkeys(names, UNKNOWN)
    return {name: _value(name, seen, seen.keys.value) for name in names}


def describe_drift(planned: Premises, now: Premises, moved: frozenset[str]) -> str | None:
    """The first premise that is no longer so, as a clause; `moved` are those that the run itself moved. None: all hold.

    What was unknown when the plan was made is no premise.
    """
    for name, value in planned.items():
        if name in moved or value == UNKNOWN or now.get(name) == value:
            continue
        what = _WORDS.get(name) or f"the key {name.removeprefix('key:')}"
        if name.startswith("key:"):
            return f"{what} was changed since the plan was made (revision {value}, now {now.get(name)})"
        return f"{what} was {value or 'none'} when the plan was made and is {now.get(name) or 'none'} now"
    return None


def is_remainder(planned: Premises, now: Premises) -> bool:
    """Whether no member joined since the plan was made, though some may have gone."""
    return set(now.get("members", "").split()) <= set(planned.get("members", "").split())


def is_blind(planned: Premises, now: Premises, moved: frozenset[str]) -> bool:
    """Whether something that was known when the plan was made cannot be read now."""
    return any(now.get(name) == UNKNOWN != value for name, value in planned.items() if name not in moved)


def _value(name: str, seen: Snapshot, keys: DcsKeys) -> str:
    if name.startswith("key:"):
        return str(keys.revisions.get(f"{seen.cluster.prefix}{name.removeprefix('key:')}", 0))
    if name == "timeline":
        return _timeline(seen, keys)
    plain = {
        "leader": keys.leader or "",
        "system_identifier": keys.initialize or "",
        "members": " ".join(sorted(member.name for member in keys.members)),
        "rest": keys.rest_record.state if keys.rest_record else "",
    }
    if name not in plain:
        raise ValueError(f"no premise is named {name}")
    return plain[name]


def _timeline(seen: Snapshot, keys: DcsKeys) -> str:
    """The leader's, by its own word, else by its key."""
    leader = seen.node(keys.leader)
    rest = leader.rest if leader else None
    if isinstance(rest, Known) and rest.value.timeline is not None:
        return str(rest.value.timeline)
    member = leader.member if leader else None
    return str(member.timeline) if member and member.timeline is not None else UNKNOWN
