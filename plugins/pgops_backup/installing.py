"""The procedures `backup-schedule-install` and `backup-schedule-remove`: the files of the schedule on every host. Pure.

They are no way back of each other: what was there before is shown in the plan, and is not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from pgops.hosts.host import Identity
from pgops.observe.snapshot import Snapshot, View
from pgops.plan.actions import Action, Again, RunCommand, WriteFile
from pgops.plan.step import Params, Part, Pinned, Procedure, Risk, Step, Verdict, blocked, needed, satisfied, unread
from pgops.readings import Known, known, reason
from pgops_backup.comparing import describe_wrong, find_wrong, is_unread, timer_links
from pgops_backup.schedules import Wishes, wished_files

_VIEWS = frozenset({View.SCHEDULE})
_MODE = 0o644
_NO_CRON = {
    "absent": ("no cron is installed there that would read the table", "install cron there, or take --as systemd"),
    "stopped": ("cron does not run there, so nothing would read the table", "start it there, or take --as systemd"),
}


def _install(params: Params, _pinned: Pinned, first: Snapshot) -> tuple[Part, ...]:
    wishes = Wishes(str(params["keeper"]), str(params["config"]) if params["config"] else None, str(params["path"]))
    return tuple(_step(node, wished_files(first.cluster, node, wishes), "install") for node in _nodes(params))


def _remove(params: Params, _pinned: Pinned, _first: Snapshot) -> tuple[Part, ...]:
    return tuple(_step(node, {}, "remove") for node in _nodes(params))


def _nodes(params: Params) -> list[str]:
    return str(params["nodes"]).split(" ")


def _hosts(params: Params) -> frozenset[str]:
    return frozenset(_nodes(params))


def _step(node: str, wished: Mapping[str, str], verb: str) -> Step:
    """Bring the files of this node to what is wished; whatever else of pgops's schedule is there goes."""

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        found = now.node(node)
        if found is None:
            return blocked(f"no host {node} is configured", "see hosts in pgops.yml")
        there = known(found.schedules)
        if there is None:
            return unread(f"the schedule on {node} cannot be seen: {reason(found.schedules)}", "leave it out: --node")
        wrong = find_wrong(now.cluster, node, there.files, wished)
        if is_unread(now.cluster, node, wished, there.cron):
            return blocked(*_NO_CRON[there.cron])
        if not wrong:
            return satisfied(f"{node} has {', '.join(wished)}" if wished else f"{node} has no schedule of pgops's")
        return needed("; ".join(describe_wrong(path, there.files, wished) for path in wrong))

    def actions(_first: Snapshot, now: Snapshot) -> tuple[Action, ...]:
        found = now.node(node)
        there = known(found.schedules) if found else None
        return _derive(now, node, there.files, wished) if there else ()

    return Step(
        id=f"{verb}-{node}",
        why="every node asks for backups, so that one is made whichever node leads"
        if wished
        else "no file of the schedule stays, and nobody asks for backups any more",
        check=check,
        actions=actions,
        expect=lambda now: _predict(now, node, wished),
        views=_VIEWS,
        hosts=frozenset({node}),
        risk=Risk.CHANGE,
    )


def _derive(now: Snapshot, node: str, there: Mapping[str, str], wished: Mapping[str, str]) -> tuple[Action, ...]:
    links = timer_links(now.cluster, node)
    wrong = find_wrong(now.cluster, node, there, wished)
    done: list[Action] = []
    gone = [links[path] for path in wrong if path in links and path not in wished]
    if gone:
        done.append(_systemctl(node, "disable", gone))
    for path in wrong:
        if path not in links:
            done.append(WriteFile(node, path, wished.get(path), _MODE, Identity.ROOT))
    begun = [links[path] for path in wished if path in links]
    if begun and wrong:  # enabling makes systemd read its files again as well
        done.append(_systemctl(node, "enable", begun))
    return tuple(done)


def _systemctl(node: str, verb: str, units: list[str]) -> RunCommand:
    return RunCommand(node, ("systemctl", verb, "--now", "--", *units), Identity.ROOT, Again.SAFE)


def _predict(now: Snapshot, node: str, wished: Mapping[str, str]) -> Snapshot:
    found = now.node(node)
    there = known(found.schedules) if found else None
    if found is None or there is None:
        return now
    return now.with_node(replace(found, schedules=Known(replace(there, files=dict(wished)))))


def _procedure(verb: str, goal: str, steps: Callable[[Params, Pinned, Snapshot], tuple[Part, ...]]) -> Procedure:
    return Procedure(
        name=f"backup-schedule-{verb}",
        goal=lambda params, cluster: f"{goal} of the cluster {cluster} on {', '.join(_nodes(params))}",
        views=_VIEWS,
        steps=steps,
        premises=("system_identifier",),
        hosts=_hosts,
        lock="schedule",
        settles=True,
    )


INSTALL = _procedure("install", "install the schedule of backups", _install)
"""Parameters: nodes (names, a space between), keeper, config, path."""

REMOVE = _procedure("remove", "remove the schedule of backups", _remove)
"""Parameters: nodes (names, a space between)."""
