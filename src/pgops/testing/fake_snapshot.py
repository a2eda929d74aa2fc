"""The snapshot of a fake cluster, in the real classes; keys go through the real parser, so that their formats are true."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import combinations
from typing import TYPE_CHECKING

from pgops.dcs import DcsFault, DcsHealth
from pgops.observe.branch_facts import CopyFacts, SameTimeline
from pgops.observe.copies import EVIDENCE, KEYS
from pgops.observe.facts import JobFacts, ScheduleFacts, WalIdentity
from pgops.observe.keys import parse_keys, record_prefix
from pgops.observe.salvage_facts import SalvageFacts
from pgops.observe.schedules import schedule_paths
from pgops.observe.snapshot import ALL, NOT_ASKED, DcsKeys, Node, Snapshot, View
from pgops.readings import Known, Reading, Skipped, Unknown, known
from pgops.testing.fake_guard import guard_facts
from pgops.testing.fake_host import FakeHost, FakeJob, service_states, unit_names
from pgops.testing.fake_member import (
    DISKS,
    REST_PORT,
    SQL_PORT,
    FakeMember,
    branch_facts,
    control_facts,
    file_facts,
    rest_reading,
    sql_reading,
)

if TYPE_CHECKING:
    from pgops.testing.fake_cluster import FakeCluster

EPOCH = datetime(2026, 11, 23, 3, 0, tzinfo=timezone.utc)
"""When a fake cluster's time begins."""

_ASIDE = {
    View.REST: ("rest", "primary_code", "liveness_code"),
    View.SQL: ("sql",),
    View.HOST: ("control", "files", "disks"),
    View.SERVICES: ("services",),
    View.BACKUP: ("stanza",),
    View.DEEP: ("identity",),
    View.JOBS: ("jobs",),
    View.EXPIRY: ("expiry",),
    View.SCHEDULE: ("schedules",),
    View.BRANCH: ("branch",),
    View.COPIES: ("copies",),
    View.SALVAGE: ("salvages",),
    View.GUARD: ("guard",),
}
_ON_HOSTS = frozenset(
    {
        *(View.HOST, View.SERVICES, View.BACKUP, View.JOBS, View.EXPIRY, View.SCHEDULE, View.BRANCH, View.COPIES),
        *(View.SALVAGE, View.GUARD),
    }
)


def full_snapshot(fake: FakeCluster) -> Snapshot:
    """Everything that can be seen."""
    keys, health = _read_dcs(fake)
    loops = sum(member.loops for member in fake.members.values())
    return Snapshot(
        fake.config,
        EPOCH + timedelta(seconds=loops),
        ALL,
        tuple(_node(fake, member, known(keys)) for _, member in sorted(fake.members.items())),
        keys,
        health,
        repository=Known(WalIdentity({}, {})),
        archives=Known(fake.archives) if fake.archive_unread is None else Unknown(fake.archive_unread),
        same_timeline=Known(tuple(_same_timeline(fake))),
        barring=Known(fake.barring) if fake.archive_unread is None else Unknown(fake.archive_unread),
        archived_timelines=_archived_timelines(fake),
    )


def restrict(whole: Snapshot, views: frozenset[View], hosts: frozenset[str] | None) -> Snapshot:
    """What a look that asks for these views, and logs in to these hosts, would have seen of it."""
    nodes = []
    for node in whole.nodes:
        there = views if hosts is None or node.name in hosts else views - _ON_HOSTS
        hidden = {name: NOT_ASKED for view, names in _ASIDE.items() if view not in there for name in names}
        rest_url = node.rest_url if View.REST in there else None
        sql_address = node.sql_address if View.SQL in there else None
        shown = replace(node, rest_url=rest_url, sql_address=sql_address)
        nodes.append(replace(shown, **hidden))  # type: ignore[arg-type] # the fields of Node, by name
    dcs = whole.dcs if View.DCS in views else NOT_ASKED
    repository = whole.repository if View.DEEP in views else NOT_ASKED
    archives = whole.archives if View.ARCHIVE in views else NOT_ASKED
    same = whole.same_timeline if View.SAME_TIMELINE in views else NOT_ASKED
    barring = whole.barring if View.SAME_TIMELINE in views else NOT_ASKED
    timelines = whole.archived_timelines if View.TIMELINES in views else NOT_ASKED
    return replace(
        whole,
        views=views,
        nodes=tuple(nodes),
        dcs=dcs,
        repository=repository,
        archives=archives,
        same_timeline=same,
        barring=barring,
        archived_timelines=timelines,
    )


def _archived_timelines(fake: FakeCluster) -> Reading[Mapping[int, str]]:
    """Those from the lowest of a member on, where anybody who can be reached has the repository configured."""
    if fake.config.stanza is None:
        return Skipped("no pgBackRest stanza is configured")
    if fake.archive_unread is not None or not any(member.host_up for member in fake.members.values()):
        return Unknown(fake.archive_unread or "no host could list the repository")
    lowest = min(member.timeline for member in fake.members.values())
    found = {timeline: text for archive in fake.archives for timeline, text in archive.histories.items()}
    return Known({timeline: text for timeline, text in sorted(found.items()) if timeline >= lowest})


def _same_timeline(fake: FakeCluster) -> Iterator[SameTimeline]:
    """Every two members of one timeline that can be seen, one of which takes writes."""
    for one, other in combinations(sorted(fake.members.values(), key=lambda member: member.name), 2):
        primary = any(not member.in_recovery and member.postgres == "running" for member in (one, other))
        if primary and one.timeline == other.timeline and one.host_up and other.host_up:
            fork = fake.parted.get(frozenset({one.name, other.name}))
            seen = SameTimeline(one.name, other.name, one.timeline, Known(fork))
            unread = fork is not None and fake.archive_unread is not None
            yield replace(seen, stored=Unknown(fake.archive_unread or "")) if unread else seen


def _read_dcs(fake: FakeCluster) -> tuple[Reading[DcsKeys], Reading[DcsHealth]]:
    prefix = fake.config.prefix
    try:
        entries, records = fake.dcs.read_prefix(prefix), fake.dcs.read_prefix(record_prefix(prefix))
        return Known(parse_keys(prefix, entries, records)), Known(fake.dcs.health())
    except DcsFault as fault:
        return Unknown(str(fault)), Unknown(str(fault))


def _job(job: FakeJob) -> JobFacts:
    return JobFacts(job.state == "running", job.exit_code, EPOCH, "")


def _node(fake: FakeCluster, member: FakeMember, keys: DcsKeys | None) -> Node:
    name = member.name
    leader = fake.dcs.peek(f"{fake.config.prefix}leader")
    holder = fake.members.get(leader.value) if leader else None
    published = next((item for item in keys.members if item.name == name), None) if keys else None
    rest = rest_reading(member, fake.config.scope, EPOCH, unlocked=leader is None)
    leads = member.holds_lock and not member.in_recovery and member.postgres == "running"
    replicas = tuple(item.name for item in fake.members.values() if item.in_recovery and item.postgres == "running")
    down = None if member.host_up else Unknown(f"ssh: connect to host {name}: no answer in time")
    host = fake.hosts[name]
    extra = frozenset(path.rpartition("/")[2] for path in host.files if path.startswith("/var/lib/postgresql/data/"))
    states = service_states(host, fake.manager, unit_names(fake.config.services, name))
    made = Node(
        name=name,
        configured=True,
        member=published,
        sql_address=f"{name}:{SQL_PORT}",  # of a member without a key, by its host's own address
        rest_url=f"http://{name}:{REST_PORT}",
        rest=rest,
        primary_code=Known(200 if leads else 503) if isinstance(rest, Known) else rest,
        liveness_code=Known(200) if isinstance(rest, Known) else rest,
        sql=sql_reading(member, holder, replicas),
        control=down or Known(control_facts(member)),
        files=down or Known(file_facts(member, extra)),
        disks=down or Known(DISKS),
        services=down or Known(states),
        stanza=down or Skipped("no pgBackRest stanza is configured"),
        identity=down or Known(WalIdentity({}, {})),
        jobs=down or Known({name: _job(job) for name, job in host.jobs.items()}),
        branch=down or Known(branch_facts(member, fake.origins)),
        copies=down or Known(()),
        salvages=down or Known(SalvageFacts()),
        guard=down or Known(guard_facts(fake, member)),
        schedules=down
        or Known(
            ScheduleFacts(
                {path: host.files[path] for path in schedule_paths(fake.config, name) if path in host.files}, "runs"
            )
        ),
    )
    made = replace(made, **fake.facts.get(name, {}))
    copies = known(made.copies)
    return made if copies is None else replace(made, copies=Known(tuple(_with_papers(copy, host) for copy in copies)))


def _with_papers(copy: CopyFacts, host: FakeHost) -> CopyFacts:
    """The copy, with the papers that were written beside it."""
    return replace(copy, papers=tuple(name for name in (EVIDENCE, KEYS) if f"{copy.path}/{name}" in host.files))
