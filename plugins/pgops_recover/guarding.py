"""The procedures `guard-install` and `guard-remove`: pgops's program in pg_rewind's place, on every member, and away again.

Sources: Patroni docs, yaml_configuration.rst, postgresql.bin_name (since 3.0.3; an absolute path stands for itself);
Patroni, patroni/postgresql/rewind.py: a rewind that failed deletes nothing unless the `remove_data_directory_on_` settings
say so; the member goes on trying to start as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pgops.config.model import HostConfig
from pgops.observe.guard_facts import GuardFacts
from pgops.observe.guards import rewind_name
from pgops.observe.record_facts import GuardRecord
from pgops.observe.snapshot import Snapshot
from pgops.plan.step import Params, Part, Pinned, Procedure, Step, Verdict, blocked, satisfied
from pgops.plan.step import unread as unread_verdict
from pgops.readings import known, reason
from pgops_recover import guard_links as links
from pgops_recover.guard_fitness import unfit_by_links, unfit_by_name, way_of
from pgops_recover.guard_programs import forget_programs, forget_settings, tell
from pgops_recover.guard_recording import forget_record, remember, remember_again
from pgops_recover.guard_seeing import facts_of
from pgops_recover.guard_switching import VIEWS, heard, switch

_REMOVES = ("remove_data_directory_on_rewind_failure", "remove_data_directory_on_diverged_timelines")


def default_directory(first: Snapshot) -> str | None:
    """Beside the data directories where all of them are called the same; else there is none for all hosts."""
    places = {host.data_dir.rstrip("/") for host in first.cluster.hosts if host.data_dir}
    if len(places) != 1 or any(host.data_dir is None for host in first.cluster.hosts):
        return None
    return f"{places.pop().rpartition('/')[0]}/pgops-guard"


def _settings(
    params: Params, host: HostConfig, cluster: str, directory: str, seen: GuardFacts | None
) -> dict[str, Any]:
    bin_dir = host.bin_dir
    if bin_dir and bin_dir.rstrip("/") == directory and seen and seen.settings:
        # It was taken from Patroni's own file, which names the links by now.
        bin_dir = str(seen.settings.get("bin_dir") or "") or None
    return {
        "schema": 1,
        "wrapper": f"{directory}/pg_rewind",
        "cluster": cluster,
        "node": host.name,
        "bin_dir": bin_dir,
        "mode": params["mode"],
        "limit_bytes": params["limit_bytes"],
    }


def _directory(params: Params, first: Snapshot) -> str | None:
    told = str(params.get("dir") or "")
    return told.rstrip("/") or default_directory(first)


def _install(params: Params, pinned: Pinned, first: Snapshot) -> tuple[Part, ...]:
    if way_of(first) == "bin_dir":
        return _install_links(params, pinned, first)
    directory = _directory(params, first)
    if directory is None:
        return (_no_directory(),)
    wrapper = f"{directory}/pg_rewind"
    return (
        _allowed(wrapper),
        *(
            tell(host, _settings(params, host, first.cluster.name, directory, facts_of(first, host.name)))
            for host in _hosts(first)
        ),
        switch(wrapper),
        heard(wrapper),
    )


def _hosts(first: Snapshot) -> tuple[HostConfig, ...]:
    return tuple(host for host in first.cluster.hosts if host.data_dir)


def _install_links(params: Params, pinned: Pinned, first: Snapshot) -> tuple[Part, ...]:
    hosts = links.ordered(_hosts(first), first)
    names = tuple(host.name for host in hosts)
    told: dict[str, dict[str, Any]] = {}
    for host in hosts:
        seen = facts_of(first, host.name)
        directory = str(params.get("dir") or "").rstrip("/") or _beside(host)
        settings = _settings(params, host, first.cluster.name, directory, seen)
        told[host.name] = {**settings, "by": "bin_dir", "file": links.file_of(host, seen)}
    prepared = [step for host in hosts for step in (tell(host, told[host.name]), links.link(host, told[host.name]))]
    # What cannot be changed with certainty is told here, before anything is paused.
    bound = [links.bind(host, told[host.name]) for host in hosts]
    restarts = [links.take_over(host, "bound", leads=host.name == first.leader) for host in hosts]
    directories = {name: str(settings["wrapper"]).rpartition("/")[0] for name, settings in told.items()}
    steps = (_fit(directories), *prepared, *bound, *_paused(first, "bound", names, restarts), links.heard(names))
    return (*steps, remember(names, pinned))


def _paused(first: Snapshot, goal: links.Goal, names: tuple[str, ...], steps: list[Step]) -> list[Step]:
    """The steps within a pause, unless somebody else paused the cluster: that pause stays."""
    keys = known(first.keys)
    before = links.pause(on=True, goal=goal, names=names)
    if keys is not None and keys.paused:
        return [*before, *steps]
    return [*before, *steps, *links.pause(on=False, goal=goal, names=names)]


def _remove(_params: Params, _pinned: Pinned, first: Snapshot) -> tuple[Part, ...]:
    hosts = _hosts(first)
    gone = [step for host in hosts for step in (forget_programs(host), forget_settings(host))]
    linked = tuple(host for host in hosts if _is_linked(first, host.name))
    record = _record(first)
    return (
        *(switch(None), heard(None)),
        *([forget_record()] if linked or record else []),
        *(_unlinked(linked, first, ran=False) if linked else []),
        *gone,
    )


def _record(seen: Snapshot) -> GuardRecord | None:
    keys = known(seen.keys)
    return keys.guard_record if keys else None


def _is_linked(seen: Snapshot, name: str) -> bool:
    facts = facts_of(seen, name)
    return facts is not None and (facts.is_by_links or facts.binding.stage is not None)


def _unlinked(hosts: tuple[HostConfig, ...], first: Snapshot, *, ran: bool) -> list[Step]:
    """Every Patroni back on PostgreSQL's own programs, then the links gone. `ran`: all of them ran before."""
    hosts = links.ordered(hosts, first)
    back = [links.restore(host) for host in hosts]
    restarts = [links.take_over(host, "restored", leads=host.name == first.leader, ran=ran) for host in hosts]
    steps = [*back, *_paused(first, "restored", tuple(host.name for host in hosts), restarts)]
    return [*steps, *(step for host in hosts for step in (links.unlink(host), links.forget(host)))]


def _uninstall(_params: Params, _pinned: Pinned, before: Snapshot) -> tuple[Part, ...]:
    """As it was: nothing where there was nothing, else what was told then."""
    if way_of(before) == "bin_dir":
        return _uninstall_links(before)
    keys = known(before.keys)
    wrapper = rewind_name(keys.config if keys else None)
    return (switch(wrapper), heard(wrapper), *(step for host in _hosts(before) for step in _as_before(host, before)))


def _as_before(host: HostConfig, before: Snapshot) -> list[Step]:
    seen = facts_of(before, host.name)
    if seen is None:
        return []
    return [tell(host, seen.settings)] if seen.settings else [forget_programs(host), forget_settings(host)]


def _uninstall_links(before: Snapshot) -> tuple[Part, ...]:
    """A member that was bound stays bound, and is told what it was told."""
    hosts = _hosts(before)
    fresh = tuple(host for host in hosts if (seen := facts_of(before, host.name)) and seen.binding.stage is None)
    record = _record(before)
    return (
        remember_again(record) if record else forget_record(),
        *_unlinked(fresh, before, ran=True),
        *(step for host in hosts for step in _as_before(host, before)),
    )


def _beside(host: HostConfig) -> str:
    return f"{(host.data_dir or '').rstrip('/').rpartition('/')[0]}/pgops-guard"


def _no_directory() -> Step:
    return Step(
        id="directory",
        why="the dynamic configuration names one path for all members",
        check=lambda _first, _now: blocked(
            "the data directories have different names, or are not configured, so no directory fits all hosts",
            "pgops guard install --dir DIRECTORY, one that the owner of PostgreSQL's files may write on every host",
        ),
        views=frozenset(),
        hosts=frozenset(),
    )


def _allowed(wrapper: str) -> Step:
    """Whether Patroni would call it, on every member, and deletes nothing where it refuses."""

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        config = _config(now)
        if isinstance(config, Verdict):
            return config
        name = rewind_name(config)
        if name not in (None, wrapper):
            return blocked(
                f"the dynamic configuration names {name} in pg_rewind's place",
                "pgops guard remove where it is an earlier guard, else patronictl edit-config",
            )
        unfit = [verdict for node in now.nodes if (verdict := unfit_by_name(node)) is not None]
        return unfit[0] if unfit else satisfied(f"all {len(now.nodes)} members take pg_rewind from the configuration")

    return Step(
        id="allowed",
        why="a member whose own file names another program, or an old Patroni, would rewind past the guard",
        check=check,
        views=VIEWS,
    )


def _config(now: Snapshot) -> Mapping[str, Any] | Verdict:
    """The dynamic configuration, or why the guard would be of no use under it."""
    keys = known(now.keys)
    if keys is None or keys.config is None:
        told = reason(now.keys) if keys is None else "it has no dynamic configuration"
        return unread_verdict(f"the DCS cannot be read: {told}", "pgops health")
    section = keys.config.get("postgresql")
    removes = [name for name in _REMOVES if isinstance(section, dict) and section.get(name)]
    if removes:
        return blocked(
            f"{' and '.join(removes)} lets Patroni delete the data directory that the guard does not let it rewind",
            "turn it off: patronictl edit-config",
        )
    return keys.config


def _fit(directories: Mapping[str, str]) -> Step:
    """Whether every member's Patroni can be bound to its directory, and restarted with its PostgreSQL left alone."""

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        config, keys = _config(now), known(now.keys)
        if isinstance(config, Verdict):
            return config
        if keys is None or keys.leader is None:
            return blocked("nobody leads the cluster", "pgops health")
        missing = [node.name for node in now.nodes if node.name not in directories]
        if missing:
            return blocked(
                f"where the data of {', '.join(missing)} lies is not configured, and it would be rewound unguarded",
                f"set hosts.{missing[0]}.data_dir in pgops.yml",
            )
        places = [(host.ssh, directories.get(host.name)) for host in now.cluster.hosts]
        if len(set(places)) != len(places):
            return blocked("members on one machine need a directory of links each", "leave --dir out")
        unfit = [v for node in now.nodes if (v := unfit_by_links(node, now, directories[node.name])) is not None]
        return (
            unfit[0] if unfit else satisfied(f"each of the {len(now.nodes)} members can be bound, and restarted alone")
        )

    return Step(
        id="fit",
        why="this Patroni knows no bin_name: its own file must name the guard's directory, and only a restart reads that",
        check=check,
        views=links.VIEWS,
    )


INSTALL = Procedure(
    name="guard-install",
    goal=lambda _params, cluster: f"put the guard before every automatic rewind of the cluster {cluster}",
    views=links.VIEWS,
    steps=_install,
    way_back=_uninstall,
    premises=("key:config", "system_identifier"),
)
"""Put the guard in pg_rewind's place on every member."""

REMOVE = Procedure(
    name="guard-remove",
    goal=lambda _params, cluster: f"let Patroni of the cluster {cluster} call pg_rewind itself again",
    views=links.VIEWS,
    steps=_remove,
    premises=("key:config", "system_identifier"),
)
"""Take the guard away again; what it kept stays."""
