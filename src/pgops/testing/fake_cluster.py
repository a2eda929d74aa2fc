"""A Patroni cluster in memory: members that turn their loops over a `FakeDcs`, and hosts. It refuses impossible worlds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from pgops.config.model import ClusterConfig, DcsConfig, DcsKind, HostConfig, ServiceConfig
from pgops.observe.branch_facts import StoredWal
from pgops.observe.facts import ArchiveFacts
from pgops.observe.snapshot import Snapshot, View
from pgops.plan.actions import Action
from pgops.plugins import find_driver
from pgops.services import ServiceManager
from pgops.testing.fake_dcs import FakeDcs
from pgops.testing.fake_election import may_be_promoted, status_value, sync_value
from pgops.testing.fake_host import FakeHost, FakeJob
from pgops.testing.fake_member import FakeMember, history_text, member_value
from pgops.testing.fake_snapshot import full_snapshot, restrict
from pgops.testing.impossible import ImpossibleWorld, check_host, check_leader_key, check_member, check_members

TTL_S = 30
_SLICE_S = 5.0

Work = Callable[["FakeCluster", FakeJob], int | None]
"""What a job does at each turn; the exit code once it has ended."""


def fake_config(
    names: Sequence[str], services: ServiceConfig | None = None, stanza: str | None = None
) -> ClusterConfig:
    """The configuration of a fake cluster."""
    return ClusterConfig(
        "demo",
        "demo",
        DcsConfig(DcsKind.ETCD3, ("http://127.0.0.1:2379",)),
        hosts=tuple(HostConfig(name, data_dir="/var/lib/postgresql/data") for name in names),
        services=services or ServiceConfig(),
        stanza=stanza,
    )


class FakeCluster:
    """Members by name, their hosts, and the DCS. Every change is checked; one that cannot be raises `ImpossibleWorld`.

    `effects` are the actions that pgops performed here, in order. `jobs` maps a program (the first word of a job's argv)
    to its work. `archives` is what the repositories' archives hold, and `archive_unread` why they cannot be listed. `facts`
    (by member) replaces fields of `Node` that are not modelled, such as `stanza`. `destroyed` names members whose own branch
    was rewound away. `parted` (by two names) is where the WAL of two members on one timeline parts all the same. `barring`
    is the field of `Snapshot`. `origins` (by timeline) is where each one was begun: its parent and the position there;
    `ends` is where one was left first, and `written` how far anybody ever wrote it.
    """

    def __init__(
        self,
        names: Sequence[str] = ("n1", "n2", "n3"),
        *,
        leader: str | None = None,
        config: ClusterConfig | None = None,
        dcs: FakeDcs | None = None,
    ) -> None:
        self.config = config or fake_config(names)
        self.dcs = dcs or FakeDcs()
        self.effects: list[Action] = []
        self.jobs: dict[str, Work] = {}
        self.archives: tuple[ArchiveFacts, ...] = ()
        self.archive_unread: str | None = None
        self.facts: dict[str, dict[str, Any]] = {}
        self.destroyed: list[str] = []
        self.parted: dict[frozenset[str], int] = {}
        self.barring: tuple[StoredWal, ...] = ()
        driver: Any = find_driver(self.config.services.manager, "service_managers")
        self.manager: ServiceManager = driver(self.config.services)
        first = leader or names[0]
        self.members = {
            name: FakeMember(
                name,
                role="primary" if name == first else "replica",
                holds_lock=name == first,
                lease=self.dcs.give_lease(TTL_S),
            )
            for name in names
        }
        self.hosts = {name: FakeHost(name, running=frozenset({"patroni"})) for name in names}
        self.ends = {1: 0x5_0000_00}
        self.origins = {2: (1, self.ends[1])}
        self.written = {1: 0x5_0000_00, 2: self.members[first].position_bytes}
        prefix = self.config.prefix
        self.dcs.plant(f"{prefix}initialize", self.members[first].system_identifier)
        self.dcs.plant(f"{prefix}config", json.dumps({"ttl": TTL_S, "loop_wait": 10, "retry_timeout": 10}))
        self.dcs.plant(f"{prefix}leader", first, self.members[first].lease)
        self._write_history(self.members[first].timeline)
        for member in self.members.values():
            self._publish(member)

    def snapshot(self, views: frozenset[View], hosts: frozenset[str] | None = None) -> Snapshot:
        """What `pgops.observe` would give now."""
        return restrict(full_snapshot(self), views, hosts)

    def change(self, name: str, **fields: Any) -> None:
        """Change one member. Raises `ImpossibleWorld`, and then nothing is changed."""
        before = self.members[name]
        after = replace(before, **fields)
        check_member(before, after)
        members = {**self.members, name: after}
        written = dict(self.written)
        if not after.in_recovery or after.own_branch:
            written[after.timeline] = max(written.get(after.timeline, 0), after.position_bytes)
        check_members(members.values(), self.ends, written)
        check_leader_key(self.dcs.peek(f"{self.config.prefix}leader"), members)
        self.members, self.written = members, written

    def change_host(self, name: str, change: Callable[[FakeHost], FakeHost]) -> None:
        """Change one host. Raises `ImpossibleWorld`, and then nothing is changed."""
        after = change(self.hosts[name])
        check_host(self.hosts[name], after, self.manager, self.config.services)
        self.hosts[name] = after

    def plant(self, name: str, value: str | None) -> None:
        """Somebody else's hand puts a key of Patroni's (by its name under the prefix), or deletes it."""
        self.dcs.plant(f"{self.config.prefix}{name}", value)
        check_leader_key(self.dcs.peek(f"{self.config.prefix}leader"), self.members)

    def dynamic_config(self) -> dict[str, Any]:
        """Patroni's dynamic configuration, as it stands in the DCS."""
        key = self.dcs.peek(f"{self.config.prefix}config")
        found: dict[str, Any] = json.loads(key.value) if key else {}
        return found

    def patch_config(self, patch: Mapping[str, Any]) -> None:
        """As Patroni merges it: null removes a key, mappings merge; what changes nothing is not written.

        Source: Patroni, patroni/utils.py, patch_config; patroni/api.py, do_PATCH_config.
        """
        before = self.dynamic_config()
        after = _merged(before, patch)
        if after != before:
            self.plant("config", json.dumps(after))

    def turn(self) -> None:
        """One loop of every Patroni that lives, the lock's holder first, and one slice of time for every job."""
        for name in sorted(self.members, key=lambda name: (not self.members[name].holds_lock, name)):
            if self.members[name].turns:
                self._turn(name)
        for host in self.hosts.values():
            for job in host.jobs.values():
                if job.state == "running":
                    self._work(host.name, job)

    def advance(self, seconds: float) -> None:
        """Let time pass for leases, while the living Patronis keep theirs."""
        left = seconds
        while left > 0:
            self.turn()
            self.dcs.advance(min(left, _SLICE_S))
            left -= _SLICE_S
        self.turn()

    def switch_leader(self, to: str) -> None:
        """A switchover by somebody else: the old leader follows on the new timeline."""
        key = self.dcs.peek(f"{self.config.prefix}leader")
        old = self.members[key.value] if key else None
        self.dcs.plant(f"{self.config.prefix}leader", None)
        if old is not None:
            self.change(old.name, holds_lock=False, role="replica")
        self._promote(to)
        for name, member in self.members.items():
            if name != to and member.postgres == "running" and not member.own_branch:
                self.change(name, timeline=self.members[to].timeline, position_bytes=self.members[to].position_bytes)
                self._publish(self.members[name])

    def _turn(self, name: str) -> None:
        member = self.members[name]
        paused = bool(self.dynamic_config().get("pause"))
        if member.lease is None or not self.dcs.renew(member.lease):
            self.change(name, holds_lock=False, lease=self.dcs.give_lease(TTL_S))
        self.change(name, loops=member.loops + 1, acknowledges=paused)
        leader_key = self.dcs.peek(f"{self.config.prefix}leader")
        member = self.members[name]
        if leader_key is None and not member.in_recovery and member.postgres == "running":
            self.dcs.plant(f"{self.config.prefix}leader", name, member.lease)
            self.change(name, holds_lock=True)
        elif not paused:
            self._act(name, leader_key.value if leader_key else None)
        self._tell(name)
        self._publish(self.members[name])

    def _tell(self, name: str) -> None:
        """What the leader writes at each turn: how far it is and, in synchronous mode, who confirms its commits."""
        leader = self.members[name]
        key = self.dcs.peek(f"{self.config.prefix}leader")
        if key is None or key.value != name or leader.in_recovery or leader.postgres != "running":
            return
        self._put("status", status_value(leader))
        if self.dynamic_config().get("synchronous_mode"):
            said = sync_value(leader, self.members.values(), self._value("sync"))
            if said is not None:
                self._put("sync", said)
        elif self._value("sync") is not None:
            self.plant("sync", None)

    def _value(self, name: str) -> str | None:
        key = self.dcs.peek(f"{self.config.prefix}{name}")
        return key.value if key else None

    def _put(self, name: str, value: str) -> None:
        if self._value(name) != value:
            self.plant(name, value)

    def _may_be_promoted(self, member: FakeMember) -> bool:
        return may_be_promoted(member, self.dynamic_config(), self._value("status"), self._value("sync"))

    def _act(self, name: str, leader: str | None) -> None:
        """What Patroni does by itself unless it is paused: start, demote and rewind, promote."""
        member = self.members[name]
        if leader is None:
            if member.postgres != "running":  # as a standby, which may be promoted at the next turn
                past_end = member.position_bytes > self.ends.get(member.timeline, member.position_bytes)
                self.change(name, role="replica", own_branch=past_end, postgres="running")
            elif not member.own_branch and self._may_be_promoted(member):
                self._promote(name)
            return
        if name == leader:
            if member.postgres != "running":
                self.change(name, postgres="running")
            return
        source = self.members[leader]
        wrong = not member.in_recovery or member.own_branch or member.timeline != source.timeline
        if wrong and source.postgres == "running" and not source.in_recovery:
            if member.own_branch or not member.in_recovery:
                self.destroyed.append(name)
            self.change(
                name,
                role="replica",
                own_branch=False,
                holds_lock=False,
                timeline=source.timeline,
                position_bytes=source.position_bytes,
                wal_from_bytes=source.wal_from_bytes,
                postgres=self._started_on(source.timeline),
            )
        elif member.postgres != "running":
            self.change(name, postgres=self._started_on(member.timeline))

    def _started_on(self, timeline: int) -> Literal["running", "crashed"]:
        """What becomes of a standby that starts there: it goes on to the newest timeline of the archive, number by number.

        Sources: PostgreSQL, src/backend/access/transam/timeline.c (findNewestTimeLine), xlogrecovery.c (the start ends where
        that timeline "is not a child of this server's history").
        """
        return "crashed" if timeline + 1 in self._archived_timelines() else "running"

    def begin_timeline(self, name: str, timeline: int) -> None:
        """This member's PostgreSQL goes over to a timeline of its own, at the end of its WAL. Raises `ImpossibleWorld`."""
        member = self.members[name]
        taken = max([*self.written, *self._archived_timelines()])
        if timeline <= taken:
            raise ImpossibleWorld(
                f"{name} begins timeline {timeline}, and {taken} is taken: it took the first that is free"
            )
        self.origins[timeline] = (member.timeline, member.position_bytes)
        for other in self.members.values():  # what it had received further is no part of that history
            if other.in_recovery and other.timeline == member.timeline and other.position_bytes > member.position_bytes:
                self.change(other.name, own_branch=True)
        self.ends.setdefault(member.timeline, member.position_bytes)
        self.written[timeline] = member.position_bytes
        self.change(name, role="primary", timeline=timeline, own_branch=False)
        told = {timeline: history_text(timeline, self.origins)}
        self.archives = tuple(replace(each, histories={**each.histories, **told}) for each in self.archives)

    def _archived_timelines(self) -> set[int]:
        return {timeline for archive in self.archives for timeline in archive.histories}

    def _promote(self, name: str) -> None:
        member = self.members[name]
        self.begin_timeline(name, max([*self.written, *self._archived_timelines()]) + 1)
        self.dcs.plant(f"{self.config.prefix}leader", name, member.lease)
        self.change(name, holds_lock=True)
        self._write_history(self.members[name].timeline)
        self._publish(self.members[name])

    def _work(self, host: str, job: FakeJob) -> None:
        turned = replace(job, turns=job.turns + 1)
        work = self.jobs.get(job.argv[0])
        code = 127 if work is None else work(self, turned)
        if code is not None:
            turned = replace(turned, state="ended", exit_code=code)
        self.change_host(host, lambda item: replace(item, jobs={**item.jobs, job.name: turned}))

    def _write_history(self, timeline: int) -> None:
        lines: list[list[object]] = []
        while timeline in self.origins:
            timeline, left_at = self.origins[timeline]
            lines.insert(0, [timeline, left_at, "no recovery target specified"])
        self.dcs.plant(f"{self.config.prefix}history", json.dumps(lines))

    def _publish(self, member: FakeMember) -> None:
        key, value = f"{self.config.prefix}members/{member.name}", member_value(member)
        there = self.dcs.peek(key)
        if member.turns and (there is None or there.value != value or there.lease != member.lease):
            self.dcs.plant(key, value, member.lease)


def _merged(before: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    after = dict(before)
    for name, value in patch.items():
        if value is None:
            after.pop(name, None)
        elif isinstance(value, Mapping) and isinstance(after.get(name), Mapping):
            after[name] = _merged(after[name], value)
        else:
            after[name] = value
    return after
