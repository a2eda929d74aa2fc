"""What a fake host tells of the guard: from its files, among them Patroni's own and what pgops notes beside that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pgops.observe.guard_facts import BindingFacts, GuardFacts
from pgops.observe.guards import PROGRAMS, digests_of, record_path, rewind_name, settings_path
from pgops.testing.fake_host import FakeHost, unit_names
from pgops.testing.fake_member import FakeMember

if TYPE_CHECKING:
    from pgops.testing.fake_cluster import FakeCluster

DATA_DIR = "/var/lib/postgresql/data"
PATRONI_FILE = "/etc/patroni/config.yml"
"""What every fake Patroni was started with."""
REAL_PROGRAMS = ("pg_ctl", "pg_rewind", "postgres")
"""What lies in the real directory of PostgreSQL's programs on every fake host. A link is a file that says `-> TARGET`."""


def guard_facts(fake: FakeCluster, member: FakeMember) -> GuardFacts:
    """As `pgops.observe.guards` would give it."""
    host = fake.hosts[member.name]
    told = host.files.get(settings_path(DATA_DIR))
    settings = json.loads(told) if told else None
    place = str(settings["wrapper"]).rpartition("/")[0] if settings else ""
    programs = {name: host.files[f"{place}/{name}"] for name in PROGRAMS if f"{place}/{name}" in host.files}
    heard = rewind_name(fake.dynamic_config()) if member.turns else None
    return GuardFacts(settings, digests_of(programs), heard, (), _binding(fake, member, host, settings))


def patroni_process(fake: FakeCluster, host: FakeHost) -> str:
    """The name of its Patroni's process; a restarted one has another."""
    unit = dict(unit_names(fake.config.services, host.name))["patroni"]
    return f"{4000 + len(unit)}:{host.patroni_starts}:boot"


def _binding(fake: FakeCluster, member: FakeMember, host: FakeHost, settings: Mapping[str, str] | None) -> BindingFacts:
    record = json.loads(host.files.get(record_path(PATRONI_FILE), "{}"))
    stage: Literal["bound", "restored", "changed"] | None = record.get("stage")
    if stage == "bound" and host.files.get(PATRONI_FILE) != record["written"]:
        stage = "changed"
    alive = member.patroni != "dead"
    links: set[str] = set()
    missing: set[str] = set()
    if settings is not None and settings.get("by") == "bin_dir":
        place, bin_dir = settings["wrapper"].rpartition("/")[0], settings["bin_dir"]
        wanted = {name: f"-> {bin_dir}/{name}" for name in REAL_PROGRAMS if name not in PROGRAMS}
        links = {name for name, target in wanted.items() if host.files.get(f"{place}/{name}") == target}
        missing = wanted.keys() - links
    return BindingFacts(
        files=(PATRONI_FILE,) if alive else (),
        processes=(patroni_process(fake, host),) if alive else (),
        postmaster=f"4100:{host.postgres_starts}" if member.postgres == "running" else None,
        kill_mode="process",
        stage=stage,
        directory=record.get("directory"),
        deaf=tuple(record.get("deaf", ())),
        links=tuple(sorted(links)),
        missing=tuple(sorted(missing)),
    )
