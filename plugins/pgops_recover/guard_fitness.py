"""Which way the guard is put before pg_rewind of a cluster, and whether each member is fit for it."""

from __future__ import annotations

import re
from typing import Literal

from pgops.observe.guard_facts import BindingFacts
from pgops.observe.snapshot import Member, Node, Snapshot
from pgops.plan.step import Verdict, blocked, unread
from pgops.readings import known, reason
from pgops.steps.services import find_service
from pgops_recover.guard_seeing import unseen

_SINCE = (3, 0, 3)
"""The first Patroni that knows bin_name. Source: Patroni docs, releases.rst, version 3.0.3."""
_SPARING = ("process", "none")
"""Of systemd's KillMode: those that leave all but the main process alone. Source: man systemd.kill."""


def way_of(first: Snapshot) -> Literal["bin_name", "bin_dir"]:
    """By `bin_name`, unless a member is known to run a Patroni that does not know it."""
    versions = [version for node in first.nodes if (version := _numbers(_version(node))) is not None]
    return "bin_dir" if any(version < _SINCE for version in versions) else "bin_name"


def knows_no_name(member: Member) -> bool:
    """Whether its key in the DCS says that its Patroni is too old for bin_name."""
    version = _numbers(member.version)
    return version is not None and version < _SINCE


def _version(node: Node) -> str | None:
    rest = known(node.rest)
    return rest.patroni_version if rest else node.member.version if node.member else None


def _numbers(version: str | None) -> tuple[int, ...] | None:
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version or "")
    return tuple(int(number or 0) for number in found.groups()) if found else None


def unfit_by_name(node: Node) -> Verdict | None:
    """Why this member would not call what the dynamic configuration names; None: it would."""
    guard = known(node.guard)
    if _numbers(_version(node)) is None:
        return unread(f"the version of Patroni on {node.name} is not known", "pgops health")
    if guard is None:
        return unread(f"{node.name} cannot be looked at: {reason(node.guard)}", "pgops guard status")
    if guard.overrides:
        return blocked(
            f"on {node.name} {', '.join(guard.overrides)} names programs of its own, and the dynamic configuration does "
            "not count there",
            "take bin_name out of it, and reload that Patroni",
        )
    if guard.binding.stage is not None:
        return blocked(
            f"on {node.name} the guard stands in a directory of links, which Patroni {_version(node)} does not need any more",
            "pgops guard remove; then pgops guard install",
        )
    return None


def unfit_by_links(node: Node, now: Snapshot, directory: str) -> Verdict | None:  # noqa: PLR0911 - a reason a return
    """Why this member cannot be bound to the directory, and its Patroni be restarted; None: it can."""
    seen, version = known(node.guard), _numbers(_version(node))
    if version is None:
        return unread(f"the version of Patroni on {node.name} is not known", "pgops health")
    if version >= _SINCE:
        return blocked(
            f"Patroni {_version(node)} on {node.name} knows bin_name, and that of another member does not",
            "bring all members to one version of Patroni first",
        )
    if not node.configured or seen is None:
        return unseen(now, node.name)
    if known(node.rest) is None:
        return unread(f"Patroni of {node.name} does not answer: {reason(node.rest)}", "pgops health")
    if seen.overrides:
        return blocked(
            f"on {node.name} {', '.join(seen.overrides)} names programs of its own, whatever bin_dir its file names",
            "take bin_name out of its file, or the variables PATRONI_POSTGRESQL_BIN_... out of its unit",
        )
    binding = seen.binding
    if binding.stage in ("bound", "changed") and binding.directory != directory:
        return blocked(f"on {node.name} the guard stands in {binding.directory} already", "pgops guard remove, first")
    if len(binding.files) != 1:
        told = (
            f"those of {', '.join(binding.files)}"
            if binding.files
            else "none whose command line names one file in .yml"
        )
        return blocked(
            f"which Patroni on {node.name} is meant cannot be told: {told} {'run' if binding.files else 'is seen'} there",
            f"set hosts.{node.name}.patroni_config in pgops.yml to the file that it was started with",
        )
    if binding.postmaster is None:
        return blocked(f"PostgreSQL of {node.name} does not run", "pgops health")
    return judge_service(now, node.name, binding)


def judge_service(now: Snapshot, name: str, binding: BindingFacts) -> Verdict | None:
    """Why a restart of its unit would not be one of its Patroni alone; None: it would."""
    state = find_service({"node": name}, now)
    if isinstance(state, str):
        return unread(f"the services of {name} cannot be seen: {state}", "pgops health --check services")
    if state.held:
        return blocked(f"{state.unit} on {name} is held, and would not be started again", f"pgops node release {name}")
    if state.pid is None or str(state.pid) not in {process.partition(":")[0] for process in binding.processes}:
        return blocked(
            f"{state.unit} on {name} does not run the Patroni of {', '.join(binding.files) or 'any file'}",
            "name the unit that does as services.names.patroni in pgops.yml",
        )
    if now.cluster.services.manager == "systemd" and binding.kill_mode not in _SPARING:
        return blocked(
            f"KillMode={binding.kill_mode or 'unknown'} of {state.unit} on {name} ends PostgreSQL with its Patroni",
            f"KillMode=process, as Patroni's own unit file has it: systemctl edit {state.unit}",
        )
    return None
