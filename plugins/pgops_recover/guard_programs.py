"""The guard's programs and settings on one host: put there, and removed again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pgops.config.model import HostConfig
from pgops.observe.guard_facts import GuardFacts
from pgops.observe.guards import PROGRAMS, digests_of, settings_path
from pgops.observe.snapshot import Snapshot
from pgops.plan.actions import Action, WriteFile
from pgops.plan.step import Step, Verdict, blocked, needed, satisfied
from pgops.readings import Known, known
from pgops_recover.guard_seeing import facts_of, on_guard
from pgops_recover.programs import source_of

_SOURCES = {"pg_rewind": "guard", "keep.py": "keep"}


def programs() -> dict[str, str]:
    """The guard's programs: name to text."""
    return {name: source_of(_SOURCES[name]) for name in PROGRAMS}


def tell(host: HostConfig, settings: Mapping[str, Any]) -> Step:
    """What the programs may do, which names them, so that what was cut off is found again; then the programs."""
    wrapper, texts = str(settings["wrapper"]), programs()
    path = settings_path(host.data_dir or "")
    directory = wrapper.rpartition("/")[0]

    def judge(seen: GuardFacts) -> Verdict:
        if not settings["bin_dir"]:
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

    return on_guard(
        host,
        f"guard-{host.name}",
        "what Patroni is told to call must be there on every member that it may rewind",
        judge,
        actions,
        lambda now: _predicted(now, host.name, settings, digests_of(texts)),
    )


def _describe(settings: Mapping[str, Any]) -> str:
    if settings.get("mode") == "stop":
        return "lets no member be rewound that has commits of its own"
    return f"keeps the WAL that a rewind would discard, in at most {settings.get('limit_bytes')} bytes"


def forget_programs(host: HostConfig) -> Step:
    """The programs, as long as the settings still name them."""

    def judge(seen: GuardFacts) -> Verdict:
        if not seen.programs:
            return satisfied(f"no program of the guard lies on {host.name}")
        return needed(f"{' and '.join(sorted(seen.programs))} of the guard lie on {host.name}")

    def actions(_first: Snapshot, now: Snapshot) -> tuple[Action, ...]:
        seen = facts_of(now, host.name)
        wrapper = str(seen.settings["wrapper"]) if seen and seen.settings else ""
        directory = wrapper.rpartition("/")[0]
        return tuple(
            WriteFile(host.name, f"{directory}/{name}", None) for name in sorted(seen.programs if seen else ())
        )

    def expect(now: Snapshot) -> Snapshot:
        seen = facts_of(now, host.name)
        return _predicted(now, host.name, seen.settings if seen else None, {})

    return on_guard(host, f"remove-programs-{host.name}", "no member calls them any more", judge, actions, expect)


def forget_settings(host: HostConfig) -> Step:
    """The settings, last."""

    def judge(seen: GuardFacts) -> Verdict:
        if seen.settings is None:
            return satisfied(f"there is no guard on {host.name}; what it kept stays")
        return needed(f"the guard of {host.name} still has its settings")

    def actions(_first: Snapshot, _now: Snapshot) -> tuple[Action, ...]:
        return (WriteFile(host.name, settings_path(host.data_dir or ""), None),)

    def expect(now: Snapshot) -> Snapshot:
        return _predicted(now, host.name, None, {})

    return on_guard(host, f"remove-{host.name}", "nothing is left but what it kept", judge, actions, expect)


def _predicted(now: Snapshot, name: str, settings: Mapping[str, Any] | None, programs_: Mapping[str, str]) -> Snapshot:
    """With these settings on one member; the programs are those of every member on its machine, since their path is one."""
    place = {host.name: host.ssh for host in now.cluster.hosts}
    before = facts_of(now, name)
    wrapper = (settings or (before.settings if before else None) or {}).get("wrapper")
    nodes = []
    for node in now.nodes:
        seen = known(node.guard)
        if seen is not None and node.name in place and place[node.name] == place.get(name):
            told = settings if node.name == name else seen.settings
            if node.name == name or (told and told.get("wrapper") == wrapper):
                seen = replace(seen, settings=told, programs=programs_ if told else {})
            node = replace(node, guard=Known(seen))  # noqa: PLW2901 - the one that is put in
        nodes.append(node)
    return replace(now, nodes=tuple(nodes))
