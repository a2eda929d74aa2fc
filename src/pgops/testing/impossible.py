"""What cannot be: a fake cluster that could get into such a state would prove nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pgops.config.model import ServiceConfig
from pgops.dcs import DcsKey
from pgops.services import ServiceManager
from pgops.testing.fake_host import FakeHost, is_held, unit_names
from pgops.testing.fake_member import FakeMember


class ImpossibleWorld(AssertionError):
    """A change would make a state that no real cluster can be in."""


def check_member(before: FakeMember, after: FakeMember) -> None:
    """A change of one member. Raises `ImpossibleWorld`."""
    name = after.name
    if not before.turns and not after.turns:
        if after.acknowledges != before.acknowledges:
            raise ImpossibleWorld(f"the Patroni of {name} is {after.patroni} and cannot acknowledge anything")
        if after.loops != before.loops:
            raise ImpossibleWorld(f"the Patroni of {name} is {after.patroni} and its loop cannot turn")
        if after.holds_lock and not before.holds_lock:
            raise ImpossibleWorld(f"the Patroni of {name} is {after.patroni} and cannot take the lock")
    promoted = before.in_recovery and not after.in_recovery
    if promoted and after.timeline <= before.timeline:
        raise ImpossibleWorld(f"{name} was promoted without a new timeline")
    if promoted and after.postgres != "running":
        raise ImpossibleWorld(f"{name} was promoted while its PostgreSQL is {after.postgres}")
    stayed = before.postgres == after.postgres == "running" and before.timeline == after.timeline
    if stayed and after.position_bytes < before.position_bytes and before.role == after.role:
        raise ImpossibleWorld(f"{name} lost WAL while it ran, on the same timeline")
    if after.wal_from_bytes > after.position_bytes:
        raise ImpossibleWorld(f"{name} recycled WAL that it had not written yet")
    if stayed and after.wal_from_bytes < before.wal_from_bytes:
        raise ImpossibleWorld(f"{name} got back WAL that it had recycled")
    if after.timeline < before.timeline and not after.in_recovery:
        raise ImpossibleWorld(f"{name} is a primary that went back to an older timeline")


def check_members(members: Iterable[FakeMember], ends: Mapping[int, int], written: Mapping[int, int]) -> None:
    """All members together. `ends`: where a timeline ended; `written`: how far one was ever written."""
    every = tuple(members)
    holders = [member.name for member in every if member.holds_lock and member.turns]
    if len(holders) > 1:
        raise ImpossibleWorld(f"{' and '.join(holders)} both hold the lock")
    newest = max(written, default=0)
    for member in every:
        if member.timeline > newest:
            raise ImpossibleWorld(f"{member.name} is on timeline {member.timeline}, which nobody ever began")
        if not member.in_recovery or member.own_branch:
            continue
        end = min(ends.get(member.timeline, written.get(member.timeline, 0)), written.get(member.timeline, 0))
        if member.position_bytes > end:
            raise ImpossibleWorld(
                f"the replica {member.name} is ahead of its own timeline's history: "
                f"{member.position_bytes} of timeline {member.timeline}, which goes to {end}"
            )


def check_leader_key(key: DcsKey | None, members: Mapping[str, FakeMember]) -> None:
    """The leader key, as Patroni would have written it."""
    if key is None:
        return
    holder = members.get(key.value)
    if holder is None:
        raise ImpossibleWorld(f"the leader key names {key.value}, which is no member")
    if key.lease is not None and key.lease != holder.lease:
        raise ImpossibleWorld(f"the leader key names {key.value} and hangs on somebody else's lease")
    others = [item.name for item in members.values() if item.holds_lock and item.turns and item.name != key.value]
    if others:
        raise ImpossibleWorld(f"{key.value} and {', '.join(others)} both hold the lock")


def check_host(before: FakeHost, after: FakeHost, manager: ServiceManager, services: ServiceConfig) -> None:
    """A change of one host: nothing that is held is started, no job runs twice, no token falls."""
    for role, unit in unit_names(services, after.name):
        if role in after.running and role not in before.running and is_held(before, manager, unit):
            raise ImpossibleWorld(f"{unit} on {after.name} was started while it is held")
    for name, job in after.jobs.items():
        earlier = before.jobs.get(name)
        if job.starts > 1 or (earlier is not None and earlier.state == "ended" and job.state == "running"):
            raise ImpossibleWorld(f"the job {name} on {after.name} was started twice")
    for identity, token in before.tokens.items():
        if after.tokens.get(identity, 0) < token:
            raise ImpossibleWorld(f"{after.name} forgot a token")
