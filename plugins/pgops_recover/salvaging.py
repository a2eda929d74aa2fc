"""The procedure `salvage`: the rows that only a kept copy has, read from a working copy of it on its own host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pgops.hosts.remote.program_paths import program_in
from pgops.observe.branch_facts import CopyFacts
from pgops.observe.snapshot import Snapshot, View
from pgops.plan.actions import Action, Again, RunCommand
from pgops.plan.step import Params, Part, Pinned, Procedure, Risk, Step, Verdict, blocked, needed, satisfied, unread
from pgops.readings import Known, Skipped, known, reason
from pgops_recover.programs import archive_of, argv_of

_DAY_S = 86400.0
GUARD = "guard"
"""What the guard's copies name as their procedure; they hold WAL alone."""


def _steps(params: Params, _pinned: Pinned, first: Snapshot) -> tuple[Part, ...]:
    run, wanted = str(params["run"]), str(params.get("node") or "")
    parts: list[Part] = [find_copies(run, wanted, "salvage")]
    for name, copy in copies_of(first, run, wanted):
        if copy.procedure == GUARD:
            parts += [_rebuild(name, copy, params, first), _account(name, copy, first)]
        parts.append(_read(name, copy, params))
    return tuple(parts)


def copies_of(now: Snapshot, run: str, wanted: str) -> list[tuple[str, CopyFacts]]:
    """The copies of a run that are seen, with their members; `wanted` is a member's name, or empty for all."""
    nodes = [node for node in now.nodes if wanted in ("", node.name)]
    return [(node.name, copy) for node in nodes for copy in known(node.copies) or () if copy.run == run]


def find_copies(run: str, wanted: str, verb: str) -> Step:
    """That there is such a copy, and that no host is unseen which could have another one."""

    command = {
        "salvage": "pgops salvage",
        "apply": "pgops salvage apply",
        "discard": "pgops salvage remove",
        "remove": "pgops copies remove",
    }[verb]

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        nodes = [node for node in now.nodes if wanted in ("", node.name)]
        if not nodes:
            return blocked(f"there is no member {wanted}", "pgops copies list")
        unseen = [node for node in nodes if known(node.copies) is None and not isinstance(node.copies, Skipped)]
        if unseen:
            told = "; ".join(f"{node.name}: {reason(node.copies)}" for node in unseen)
            seen = next((node.name for node in nodes if node not in unseen), None)
            return unread(
                f"not every copy of the run can be seen: {told}", f"{command} {run} --node {seen}" if seen else None
            )
        names = [name for name, _ in copies_of(now, run, wanted)]
        if not names and verb in ("remove", "discard"):
            return satisfied(f"the run {run} has no copy{f' on {wanted}' if wanted else ''} (any more)")
        if not names:
            return blocked(f"the run {run} left no copy{f' on {wanted}' if wanted else ''}", "pgops copies list")
        return satisfied(f"the run {run} left a copy on {', '.join(names)}")

    return Step(
        id="find",
        why="the copies lie on the hosts of the members that lost",
        check=check,
        views=frozenset({View.COPIES}),
    )


def _rebuild(name: str, copy: CopyFacts, params: Params, first: Snapshot) -> Step:
    """The guard kept WAL alone: its data directory is made from a backup."""
    host = next((item for item in first.cluster.hosts if item.name == name), None)
    stanza = first.cluster.stanza
    wish = {
        "keep": copy.path,
        "bin_dir": copy.bin_dir,
        "superuser": str(params["superuser"]),
        "stanza": stanza,
        "pgbackrest_config": host.pgbackrest_config if host else None,
    }

    def judge(seen: CopyFacts) -> Verdict:
        if seen.has("data"):
            return satisfied(f"its data directory is {copy.path}/data")
        if stanza is None:
            return blocked(
                "the guard kept its WAL alone, and no pgBackRest stanza is configured to restore a backup from",
                "set stanza in pgops.yml",
            )
        return needed("the guard kept its WAL alone")

    return _on_copy(
        name,
        copy,
        "rebuild",
        "a backup from before the fork is restored beside it, and the kept WAL is replayed on that",
        judge,
        argv_of("rebuild", wish),
        lambda seen: replace(seen, parts=(*seen.parts, ("data", f"{copy.path}/data"))),
        usually="as long as a restore takes, and the replay from that backup on",
    )


def _account(name: str, copy: CopyFacts, first: Snapshot) -> Step:
    host = next((item for item in first.cluster.hosts if item.name == name), None)
    wish = {
        "manifest": f"{copy.path}/manifest.json",
        "pg_waldump": program_in(copy.bin_dir, "pg_waldump"),
        "wal_dirs": [f"{copy.path}/wal", f"{copy.path}/data/pg_wal"],
        "into": f"{copy.path}/account",
        "archive": archive_of(copy.path, first.cluster.stanza, host.pgbackrest_config if host else None),
        "budget_s": None,
    }

    def judge(seen: CopyFacts) -> Verdict:
        if not seen.has("data"):
            return blocked("its data directory is not made yet")
        if seen.accounted:
            return satisfied(f"what only it has is counted in {copy.path}/account")
        return needed("what only it has is not counted yet")

    return _on_copy(
        name,
        copy,
        "account",
        "which transactions only it has is read from its WAL",
        judge,
        argv_of("account", wish),
        lambda seen: replace(seen, accounted=True),
        usually="seconds a GB of WAL",
    )


def _read(name: str, copy: CopyFacts, params: Params) -> Step:
    wish = {
        "keep": copy.path,
        "bin_dir": copy.bin_dir,
        "superuser": str(params["superuser"]),
        "timeline": copy.timeline if copy.procedure == GUARD else None,
    }

    def judge(seen: CopyFacts) -> Verdict:
        if not seen.has("data") or not seen.accounted:
            return blocked(f"the copy {copy.path} is not whole: its run was cut off", f"pgops runs continue {copy.run}")
        if seen.salvaged:
            return satisfied(f"its rows are in {copy.path}/salvage on {name}; begin with REPORT.md there")
        return needed("its rows are in its data directory alone")

    return _on_copy(
        name,
        copy,
        "rows",
        "a working copy is opened as a standby that follows nobody; the kept one stays as it is",
        judge,
        argv_of("rows", wish),
        lambda seen: replace(seen, salvaged=True),
        usually="as long as a copy of the data directory takes",
    )


def _on_copy(
    name: str,
    copy: CopyFacts,
    id_: str,
    why: str,
    judge: Callable[[CopyFacts], Verdict],
    argv: tuple[str, ...],
    after: Callable[[CopyFacts], CopyFacts],
    usually: str,
) -> Step:
    """A program that works beside this copy, and whose outcome is seen in it."""

    def find(now: Snapshot) -> CopyFacts | None:
        node = now.node(name)
        return next((item for item in (known(node.copies) if node else None) or () if item.path == copy.path), None)

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        node, seen = now.node(name), find(now)
        if node is None or known(node.copies) is None:
            return unread(f"the copies of {name} cannot be seen: {reason(node.copies) if node else 'it is gone'}")
        return blocked(f"the copy {copy.path} is gone", "pgops copies list") if seen is None else judge(seen)

    def actions(_first: Snapshot, _now: Snapshot) -> tuple[Action, ...]:
        return (RunCommand(name, argv, again=Again.SAFE, timeout_s=_DAY_S),)

    def expect(now: Snapshot) -> Snapshot:
        node, seen = now.node(name), find(now)
        if node is None or seen is None:
            return now
        others = tuple(item for item in known(node.copies) or () if item.path != copy.path)
        return now.with_node(replace(node, copies=Known((*others, after(seen)))))

    return Step(
        id=f"{id_}-{name}",
        why=why,
        check=check,
        actions=actions,
        expect=expect,
        views=frozenset({View.COPIES}),
        hosts=frozenset({name}),
        risk=Risk.CHANGE,
        usually=usually,
    )


def _afterwards(params: Params, _pinned: Pinned, first: Snapshot) -> str | None:
    found = copies_of(first, str(params["run"]), str(params.get("node") or ""))
    return "; ".join(f"read {copy.path}/salvage/REPORT.md on {name}" for name, copy in found) or None


SALVAGE = Procedure(
    name="salvage",
    goal=lambda params, cluster: f"read the rows that only the copies of the run {params['run']} have ({cluster})",
    views=frozenset({View.COPIES}),
    steps=_steps,
    # Nothing of the cluster is touched, so nothing of it has to stand still.
    premises=(),
    lock="salvage",
    afterwards=_afterwards,
)
"""Read what only a kept copy has into a folder beside it."""
