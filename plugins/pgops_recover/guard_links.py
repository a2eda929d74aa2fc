"""The guard for a Patroni that knows no `bin_name`: a directory of links as its `bin_dir`, named by its own file.

Patroni reads `bin_dir` when it starts, and by no reload; its own file overrules the dynamic configuration there. So each
Patroni is restarted, one after the other and the leader's last, while the cluster is paused: then it stops no PostgreSQL and
gives no lock away. Sources: Patroni, patroni/postgresql/__init__.py (`_bin_dir`), patroni/config.py
(_build_effective_configuration), patroni/ha.py (shutdown: a paused one leaves PostgreSQL and the leader key;
is_healthiest_node: paused, a replica takes no lock).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from pgops.config.model import HostConfig
from pgops.hosts.host import Identity
from pgops.observe.guard_facts import GuardFacts
from pgops.observe.guards import PROGRAMS
from pgops.observe.snapshot import Node, Snapshot, View
from pgops.plan.actions import Action, Again, RunCommand
from pgops.plan.step import Risk, Standing, Step, Verdict, blocked, needed, satisfied, unread
from pgops.readings import Known, known, reason
from pgops.steps.services import restart_actions, start_actions
from pgops.steps.switching import acknowledgement, switch
from pgops_recover.guard_fitness import judge_service
from pgops_recover.guard_seeing import facts_of, on_guard, rebound, unseen
from pgops_recover.programs import argv_of, source_of

VIEWS = frozenset({View.DCS, View.REST, View.GUARD, View.SERVICES})
_LOOK = frozenset({View.GUARD})
Goal = Literal["bound", "restored"]


def link(host: HostConfig, settings: Mapping[str, Any]) -> Step:
    """A link to every program of the real directory but those in whose place the guard's own stand."""

    def judge(seen: GuardFacts) -> Verdict:
        binding = seen.binding
        wrong = (*binding.missing, *binding.stale)
        if seen.settings is None or seen.settings.get("bin_dir") != settings["bin_dir"] or not binding.links:
            return needed(f"{_directory(settings)} on {host.name} has no links to {settings['bin_dir']}")
        if wrong:
            return needed(f"{', '.join(wrong)} of {settings['bin_dir']} on {host.name} changed since it was linked")
        return satisfied(f"{len(binding.links)} programs are linked in {_directory(settings)} on {host.name}")

    def actions(first: Snapshot, _now: Snapshot) -> tuple[Action, ...]:
        return (_linking(host, "link", settings, facts_of(first, host.name)),)

    def expect(now: Snapshot) -> Snapshot:
        # Their names are the host's to tell; that there are some is all that later steps read.
        return rebound(now, host.name, links=("postgres",), missing=(), stale=())

    return on_guard(
        host,
        f"links-{host.name}",
        "Patroni takes every program from one directory; a link by name outlives a new minor release",
        judge,
        actions,
        expect,
    )


def unlink(host: HostConfig) -> Step:
    """The links, as long as the settings still say where they are."""

    def judge(seen: GuardFacts) -> Verdict:
        if not seen.binding.links:
            return satisfied(f"no links of the guard lie on {host.name}")
        return needed(f"{len(seen.binding.links)} links of the guard lie on {host.name}")

    def actions(_first: Snapshot, now: Snapshot) -> tuple[Action, ...]:
        seen = facts_of(now, host.name)
        return (_linking(host, "unlink", seen.settings, None),) if seen and seen.settings else ()

    return on_guard(
        host,
        f"unlink-{host.name}",
        "no Patroni takes its programs from there any more",
        judge,
        actions,
        lambda now: rebound(now, host.name, links=(), missing=(), stale=()),
    )


def _linking(host: HostConfig, stage: str, settings: Mapping[str, Any], before: GuardFacts | None) -> Action:
    earlier = before.settings.get("bin_dir") if before and before.settings else None
    wish = {
        "stage": stage,
        "directory": _directory(settings),
        "bin_dir": settings["bin_dir"],
        "earlier": [earlier] if earlier else [],
        "own": list(PROGRAMS),
    }
    return RunCommand(host.name, argv_of("links", wish), again=Again.SAFE)


def pause(*, on: bool, goal: Goal, names: tuple[str, ...]) -> list[Step]:
    """Pause, and every member's own word for it, where a Patroni has to be restarted; or the end of that pause."""
    if not on:
        return [switch(on=False), replace(acknowledgement(on=False), id="acknowledged-resume")]

    def ask(first: Snapshot, now: Snapshot) -> Verdict:
        # One that does not run stops and promotes nothing; one that runs and is not asked might.
        seen = {name: facts_of(now, name) for name in names}
        dead = frozenset(name for name, facts in seen.items() if facts is not None and not facts.binding.processes)
        verdict = acknowledgement(on=True, without=dead).check(first, now)
        return unread(verdict.reason, "pgops health") if verdict.standing is Standing.UNPROVEN else verdict

    why = "a paused Patroni that is restarted leaves its PostgreSQL alone, and the leader lock"
    asking = replace(acknowledgement(on=True), id="acknowledged-pause", check=ask)
    return [replace(_where_needed(switch(on=True), goal, names), why=why), _where_needed(asking, goal, names)]


def _where_needed(step: Step, goal: Goal, names: tuple[str, ...]) -> Step:
    def check(first: Snapshot, now: Snapshot) -> Verdict:
        if all(_has_reached(facts_of(now, name), goal) for name in names):
            return satisfied("no Patroni has to be restarted")
        return step.check(first, now)

    return replace(step, check=check, views=step.views | _LOOK, hosts=frozenset(names))


def _has_reached(seen: GuardFacts | None, goal: Goal) -> bool:
    if seen is None:
        return False
    binding = seen.binding
    return not binding.is_deaf and binding.stage in (("bound",) if goal == "bound" else ("restored", None))


def bind(host: HostConfig, settings: Mapping[str, Any]) -> Step:
    """The one value in Patroni's own file."""
    directory, file = _directory(settings), str(settings["file"])

    def judge(seen: GuardFacts) -> Verdict:
        if seen.binding.stage == "bound" and seen.binding.directory == directory:
            return satisfied(f"{file} on {host.name} names {directory}")
        if seen.binding.stage == "changed":
            return needed(f"{file} on {host.name} was changed since pgops wrote it, or writing it was cut off")
        return needed(f"{file} on {host.name} names the real programs")

    def actions(_first: Snapshot, now: Snapshot) -> tuple[Action, ...]:
        return _write("bind", host, file, directory, facts_of(now, host.name))

    def expect(now: Snapshot) -> Snapshot:
        seen = facts_of(now, host.name)
        deaf = seen.binding.processes if seen else ()
        return rebound(now, host.name, stage="bound", directory=directory, deaf=deaf)

    return on_guard(
        host,
        f"bind-{host.name}",
        "postgresql.bin_dir alone is changed, as Patroni's own YAML library finds it; the file as it was stays beside it",
        judge,
        actions,
        expect,
    )


def restore(host: HostConfig) -> Step:
    """The file as it was."""

    def judge(seen: GuardFacts) -> Verdict:
        if seen.binding.stage in (None, "restored"):
            return satisfied(f"Patroni's file on {host.name} is not changed by pgops")
        return needed(f"Patroni's file on {host.name} names {seen.binding.directory}")

    def expect(now: Snapshot) -> Snapshot:
        seen = facts_of(now, host.name)
        return rebound(now, host.name, stage="restored", deaf=seen.binding.processes if seen else ())

    return _unbinding(host, "restore", "Patroni takes PostgreSQL's own programs again, once restarted", judge, expect)


def forget(host: HostConfig) -> Step:
    """What was noted beside the file."""

    def judge(seen: GuardFacts) -> Verdict:
        if seen.binding.stage is None:
            return satisfied(f"nothing is noted beside Patroni's file on {host.name}")
        return needed(f"beside Patroni's file on {host.name} is noted that it was set back")

    def expect(now: Snapshot) -> Snapshot:
        return rebound(now, host.name, stage=None, directory=None, deaf=())

    return _unbinding(host, "forget", "nothing of pgops stays beside Patroni's file", judge, expect)


def _unbinding(
    host: HostConfig,
    stage: str,
    why: str,
    judge: Callable[[GuardFacts], Verdict],
    expect: Callable[[Snapshot], Snapshot],
) -> Step:
    def actions(_first: Snapshot, now: Snapshot) -> tuple[Action, ...]:
        seen = facts_of(now, host.name)
        file = file_of(host, seen)
        return _write(stage, host, file, seen.binding.directory or "", seen) if seen and file else ()

    return on_guard(host, f"{stage}-{host.name}", why, judge, actions, expect)


def file_of(host: HostConfig, seen: GuardFacts | None) -> str | None:
    """Patroni's own file: as the guard was told, else as its Patroni was started with, else as configured."""
    told = seen.settings.get("file") if seen and seen.settings else None
    running = seen.binding.files[0] if seen and len(seen.binding.files) == 1 else None
    return str(told or running or host.patroni_config or "") or None


def _write(stage: str, host: HostConfig, file: str, directory: str, seen: GuardFacts | None) -> tuple[Action, ...]:
    """As the owner of PostgreSQL's files where the file is theirs to replace, else as root."""
    identity = Identity.OWNER if seen and seen.binding.owned else Identity.ROOT
    argv = (*argv_of("binding", {"stage": stage, "file": file, "directory": directory}), source_of("bin_dir"))
    return (RunCommand(host.name, argv, identity, again=Again.SAFE, timeout_s=60.0),)


def take_over(host: HostConfig, goal: Goal, *, leads: bool, ran: bool = True) -> Step:
    """Restart its Patroni, which alone makes it read its file anew. Its PostgreSQL must run on, and the leader lead.

    `ran`: it ran before, so one that does not run is started.
    """
    name = host.name

    def check(first: Snapshot, now: Snapshot) -> Verdict:
        seen, node = facts_of(now, name), now.node(name)
        if seen is None or node is None:
            return unseen(now, name)
        return _harm(first, now, name) or judge(node, seen, now)

    def judge(node: Node, seen: GuardFacts, now: Snapshot) -> Verdict:
        if seen.binding.is_deaf:
            return _restartable(now, name) or needed(f"Patroni of {name} runs since before its file was changed")
        if not _has_reached(seen, goal):
            return blocked(f"the file of {name}'s Patroni was changed by somebody else", "pgops guard status")
        if not ran and not seen.binding.processes:
            return satisfied(f"no Patroni runs on {name}; its next start reads the file as it is")
        if seen.binding.processes and isinstance(node.rest, Known):
            return satisfied(f"Patroni of {name} read its file as it is now, and its PostgreSQL runs on")
        return needed(f"Patroni of {name} does not answer yet: {reason(node.rest)}")

    def actions(_first: Snapshot, now: Snapshot) -> tuple[Action, ...]:
        seen = facts_of(now, name)
        begin = restart_actions if seen and seen.binding.processes else start_actions
        return begin(now.cluster, {"node": name})

    def expect(now: Snapshot) -> Snapshot:
        return rebound(now, name, deaf=(), processes=("restarted",))

    return Step(
        id=f"restart-{name}" if goal == "bound" else f"restart-back-{name}",
        why="Patroni reads bin_dir when it starts, and by no reload",
        check=check,
        actions=actions,
        expect=expect,
        views=VIEWS,
        hosts=frozenset({name}),
        risk=Risk.INTERRUPT,
        timeout_s=60.0,
        usually="some seconds",
        interrupts=f"the REST API of {name}{', which leads,' if leads else ''} answers nobody for some seconds: a load "
        "balancer that asks it may take it for down; its PostgreSQL runs on",
    )


def _harm(first: Snapshot, now: Snapshot, name: str) -> Verdict | None:
    """Whether another leads, or the server was restarted, since this was begun."""
    keys, before = known(now.keys), known(first.keys)
    if keys is None:
        return unread(f"the DCS cannot be read: {reason(now.keys)}", "pgops health")
    if before is not None and keys.leader != before.leader:
        return blocked(f"{keys.leader or 'nobody'} leads now, and not {before.leader}", "pgops health")
    was, seen = facts_of(first, name), facts_of(now, name)
    if was and seen and was.binding.postmaster != seen.binding.postmaster:
        return blocked(f"PostgreSQL of {name} does not run any more as it did when this was begun", "pgops health")
    return None


def _restartable(now: Snapshot, name: str) -> Verdict | None:
    """Why its Patroni must not be restarted now; None: it may."""
    node, seen, keys = now.node(name), facts_of(now, name), known(now.keys)
    rest = known(node.rest) if node else None
    if node is None or seen is None or rest is None:
        return unread(
            f"Patroni of {name} does not answer: {reason(node.rest) if node else 'it is gone'}", "pgops health"
        )
    if keys is None or not keys.paused or not rest.pause:
        return blocked(f"{name} is not paused, and its Patroni would stop PostgreSQL when restarted", "pgops pause")
    return judge_service(now, name, seen.binding)


def heard(names: tuple[str, ...]) -> Step:
    """Every member's Patroni has read a file that names the guard's directory."""

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        for name in names:
            seen = facts_of(now, name)
            if seen is None:
                return unseen(now, name)
            if not _has_reached(seen, "bound") or not seen.binding.processes:
                return needed(f"Patroni of {name} did not take it over yet")
        return satisfied(f"all {len(names)} members took it over")

    return Step(
        id="heard",
        why="a Patroni that began after its file was written, and the file as it was written, are the proof",
        check=check,
        views=_LOOK,
        hosts=frozenset(names),
    )


def ordered(hosts: tuple[HostConfig, ...], first: Snapshot) -> tuple[HostConfig, ...]:
    """The leader last."""
    return tuple(sorted(hosts, key=lambda host: host.name == first.leader))


def _directory(settings: Mapping[str, Any]) -> str:
    return str(settings["wrapper"]).rpartition("/")[0]
