"""The procedures `guard-install` and `guard-remove`: pgops's program in pg_rewind's place, on every member, and away again.

Sources: Patroni docs, yaml_configuration.rst, postgresql.bin_name (since 3.0.3; an absolute path stands for itself);
Patroni, patroni/postgresql/rewind.py: a rewind that failed deletes nothing unless the `remove_data_directory_on_` settings
say so; the member goes on trying to start as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pgops.config.model import HostConfig
from pgops.observe.guard_facts import GuardFacts
from pgops.observe.guards import PROGRAMS, digests_of, rewind_name, settings_path
from pgops.observe.snapshot import Node, Snapshot, View
from pgops.plan.actions import Action, WriteFile
from pgops.plan.step import Params, Part, Pinned, Procedure, Risk, Step, Verdict, blocked, needed, satisfied
from pgops.plan.step import unread as unread_verdict
from pgops.readings import Known, known, reason
from pgops_recover.guard_switching import VIEWS, heard, switch
from pgops_recover.programs import source_of

_SINCE = (3, 0, 3)
_SOURCES = {"pg_rewind": "guard", "keep.py": "keep"}
_REMOVES = ("remove_data_directory_on_rewind_failure", "remove_data_directory_on_diverged_timelines")


def programs() -> dict[str, str]:
    """The guard's programs: name to text."""
    return {name: source_of(_SOURCES[name]) for name in PROGRAMS}


def default_directory(first: Snapshot) -> str | None:
    """Beside the data directories where all of them are called the same; else there is none for all hosts."""
    places = {host.data_dir.rstrip("/") for host in first.cluster.hosts if host.data_dir}
    if len(places) != 1 or any(host.data_dir is None for host in first.cluster.hosts):
        return None
    return f"{places.pop().rpartition('/')[0]}/pgops-guard"


def _settings(params: Params, host: HostConfig, cluster: str, directory: str) -> dict[str, Any]:
    return {
        "schema": 1,
        "wrapper": f"{directory}/pg_rewind",
        "cluster": cluster,
        "node": host.name,
        "bin_dir": host.bin_dir,
        "mode": params["mode"],
        "limit_bytes": params["limit_bytes"],
    }


def _directory(params: Params, first: Snapshot) -> str | None:
    told = str(params.get("dir") or "")
    return told.rstrip("/") or default_directory(first)


def _install(params: Params, _pinned: Pinned, first: Snapshot) -> tuple[Part, ...]:
    directory = _directory(params, first)
    if directory is None:
        return (_no_directory(),)
    wrapper = f"{directory}/pg_rewind"
    return (
        _allowed(wrapper),
        *(
            _tell(host, _settings(params, host, first.cluster.name, directory))
            for host in first.cluster.hosts
            if host.data_dir
        ),
        switch(wrapper),
        heard(wrapper),
    )


def _remove(_params: Params, _pinned: Pinned, first: Snapshot) -> tuple[Part, ...]:
    hosts = [host for host in first.cluster.hosts if host.data_dir]
    gone = [step for host in hosts for step in (_forget_programs(host), _forget(host))]
    return (switch(None), heard(None), *gone)


def _uninstall(_params: Params, _pinned: Pinned, before: Snapshot) -> tuple[Part, ...]:
    """As it was: nothing where there was nothing, else what was told then."""
    keys = known(before.keys)
    wrapper = rewind_name(keys.config if keys else None)
    parts = [switch(wrapper), heard(wrapper)]
    for host in before.cluster.hosts:
        seen = _seen(before, host.name)
        if host.data_dir and seen is not None:
            parts += [_tell(host, seen.settings)] if seen.settings else [_forget_programs(host), _forget(host)]
    return tuple(parts)


def _seen(now: Snapshot, name: str) -> GuardFacts | None:
    node = now.node(name)
    return known(node.guard) if node else None


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
        name = rewind_name(keys.config)
        if name not in (None, wrapper):
            return blocked(
                f"the dynamic configuration names {name} in pg_rewind's place",
                "pgops guard remove where it is an earlier guard, else patronictl edit-config",
            )
        unfit = [verdict for node in now.nodes if (verdict := _fitness(node)) is not None]
        return unfit[0] if unfit else satisfied(f"all {len(now.nodes)} members take pg_rewind from the configuration")

    return Step(
        id="allowed",
        why="a member whose own file names another program, or an old Patroni, would rewind past the guard",
        check=check,
        views=VIEWS,
    )


def _fitness(node: Node) -> Verdict | None:
    rest, guard = known(node.rest), known(node.guard)
    version = rest.patroni_version if rest else node.member.version if node.member else None
    numbers = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version or "")
    if numbers is None:
        return unread_verdict(f"the version of Patroni on {node.name} is not known", "pgops health")
    if tuple(int(number or 0) for number in numbers.groups()) < _SINCE:
        return blocked(f"Patroni {version} on {node.name} knows no bin_name; it does from 3.0.3 on", "upgrade Patroni")
    if guard is None:
        return unread_verdict(f"{node.name} cannot be looked at: {reason(node.guard)}", "pgops guard status")
    if guard.overrides:
        return blocked(
            f"on {node.name} {', '.join(guard.overrides)} names programs of its own, and the dynamic configuration does "
            "not count there",
            "take bin_name out of it, and reload that Patroni",
        )
    return None


def _tell(host: HostConfig, settings: Mapping[str, Any]) -> Step:
    """What the programs may do, which names them, so that what was cut off is found again; then the programs."""
    wrapper, texts = str(settings["wrapper"]), programs()
    path = settings_path(host.data_dir or "")
    directory = wrapper.rpartition("/")[0]

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        seen = _seen(now, host.name)
        if seen is None:
            return _unseen(now, host.name)
        if not host.bin_dir:
            return blocked(
                f"where the real pg_rewind of {host.name} is, is not known",
                f"set hosts.{host.name}.bin_dir in pgops.yml",
            )
        if seen.programs != digests_of(texts):
            return needed(f"the guard of {host.name} is of another pgops" if seen.programs else f"{host.name} has none")
        if seen.settings != settings:
            return needed(f"the guard of {host.name} is told nothing, or something else")
        return satisfied(f"{wrapper} on {host.name} {_describe(settings)}")

    def actions(_first: Snapshot, _now: Snapshot) -> tuple[Action, ...]:
        content = json.dumps(settings, indent=1, sort_keys=True) + "\n"
        return (
            WriteFile(host.name, path, content),
            *(WriteFile(host.name, f"{directory}/{name}", texts[name], 0o755) for name in reversed(PROGRAMS)),
        )

    return Step(
        id=f"guard-{host.name}",
        why="what Patroni is told to call must be there on every member that it may rewind",
        check=check,
        actions=actions,
        expect=lambda now: _predicted(now, host.name, settings, digests_of(texts)),
        views=frozenset({View.GUARD}),
        hosts=frozenset({host.name}),
        risk=Risk.CHANGE,
        usually="under a second",
    )


def _describe(settings: Mapping[str, Any]) -> str:
    if settings.get("mode") == "stop":
        return "lets no member be rewound that has commits of its own"
    return f"keeps the WAL that a rewind would discard, in at most {settings.get('limit_bytes')} bytes"


def _forget_programs(host: HostConfig) -> Step:
    """The programs, as long as the settings still name them."""

    def judge(seen: GuardFacts) -> Verdict:
        if not seen.programs:
            return satisfied(f"no program of the guard lies on {host.name}")
        return needed(f"{' and '.join(sorted(seen.programs))} of the guard lie on {host.name}")

    def actions(_first: Snapshot, now: Snapshot) -> tuple[Action, ...]:
        seen = _seen(now, host.name)
        wrapper = str(seen.settings["wrapper"]) if seen and seen.settings else ""
        directory = wrapper.rpartition("/")[0]
        return tuple(
            WriteFile(host.name, f"{directory}/{name}", None) for name in sorted(seen.programs if seen else ())
        )

    def expect(now: Snapshot) -> Snapshot:
        seen = _seen(now, host.name)
        return _predicted(now, host.name, seen.settings if seen else None, {})

    return _removal(host, f"remove-programs-{host.name}", "no member calls them any more", judge, actions, expect)


def _forget(host: HostConfig) -> Step:
    """The settings, last."""

    def judge(seen: GuardFacts) -> Verdict:
        if seen.settings is None:
            return satisfied(f"there is no guard on {host.name}; what it kept stays")
        return needed(f"the guard of {host.name} still has its settings")

    def actions(_first: Snapshot, _now: Snapshot) -> tuple[Action, ...]:
        return (WriteFile(host.name, settings_path(host.data_dir or ""), None),)

    def expect(now: Snapshot) -> Snapshot:
        return _predicted(now, host.name, None, {})

    return _removal(host, f"remove-{host.name}", "nothing is left but what it kept", judge, actions, expect)


def _removal(
    host: HostConfig,
    id_: str,
    why: str,
    judge: Callable[[GuardFacts], Verdict],
    actions: Callable[[Snapshot, Snapshot], tuple[Action, ...]],
    expect: Callable[[Snapshot], Snapshot],
) -> Step:
    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        seen = _seen(now, host.name)
        return _unseen(now, host.name) if seen is None else judge(seen)

    return Step(
        id=id_,
        why=why,
        check=check,
        actions=actions,
        expect=expect,
        views=frozenset({View.GUARD}),
        hosts=frozenset({host.name}),
        risk=Risk.CHANGE,
        usually="under a second",
    )


def _unseen(now: Snapshot, name: str) -> Verdict:
    node = now.node(name)
    why = reason(node.guard) if node else "it is no member"
    return unread_verdict(f"{name} cannot be looked at: {why}", "pgops guard status")


def _predicted(now: Snapshot, name: str, settings: Mapping[str, Any] | None, programs_: Mapping[str, str]) -> Snapshot:
    """With these settings on one member; the programs are those of every member on its machine, since their path is one."""
    place = {host.name: host.ssh for host in now.cluster.hosts}
    nodes = []
    for node in now.nodes:
        seen = known(node.guard)
        if seen is not None and node.name in place and place[node.name] == place.get(name):
            told = settings if node.name == name else seen.settings
            seen = replace(seen, settings=told, programs=programs_ if told else {})
            node = replace(node, guard=Known(seen))  # noqa: PLW2901 - the one that is put in
        nodes.append(node)
    return replace(now, nodes=tuple(nodes))


INSTALL = Procedure(
    name="guard-install",
    goal=lambda _params, cluster: f"put the guard before every automatic rewind of the cluster {cluster}",
    views=VIEWS,
    steps=_install,
    way_back=_uninstall,
    premises=("key:config", "system_identifier"),
)
"""Put the guard in pg_rewind's place on every member."""

REMOVE = Procedure(
    name="guard-remove",
    goal=lambda _params, cluster: f"let Patroni of the cluster {cluster} call pg_rewind itself again",
    views=VIEWS,
    steps=_remove,
    premises=("key:config", "system_identifier"),
)
"""Take the guard away again; what it kept stays."""
