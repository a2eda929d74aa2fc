"""The procedure `copies-remove`: a safety copy, whole, with what of it lies elsewhere (tablespaces, a linked pg_wal)."""

from __future__ import annotations

from dataclasses import replace

from pgops.observe.branch_facts import CopyFacts
from pgops.observe.snapshot import Snapshot, View
from pgops.plan.actions import Action, Again, RunCommand
from pgops.plan.step import Params, Part, Pinned, Procedure, Risk, Step, Verdict, blocked, needed, satisfied, unread
from pgops.readings import Known, known, reason
from pgops_recover.salvaging import copies_of, find_copies

_LONG_S = 6 * 3600.0


def _steps(params: Params, _pinned: Pinned, first: Snapshot) -> tuple[Part, ...]:
    run, wanted = str(params["run"]), str(params.get("node") or "")
    unread_too = bool(params.get("unsalvaged"))
    removals = [_remove(name, copy, unread_too=unread_too) for name, copy in copies_of(first, run, wanted)]
    return (find_copies(run, wanted, "remove"), *removals)


def _remove(name: str, copy: CopyFacts, *, unread_too: bool) -> Step:
    suffix = f".pgops-{copy.run}"
    elsewhere = tuple(path for _, path in copy.parts if not path.startswith(f"{copy.path}/"))
    # Of nothing but what bears the run's own name: a manifest is a file, and files can be edited.
    foreign = [path for path in (copy.path, *elsewhere) if not path.startswith("/") or not path.endswith(suffix)]

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        node = now.node(name)
        seen = known(node.copies) if node else None
        if seen is None:
            return unread(f"the copies of {name} cannot be seen: {reason(node.copies) if node else 'it is gone'}")
        if all(item.path != copy.path for item in seen):
            return satisfied(f"{copy.path} is gone")
        if foreign:
            return blocked(
                f"its manifest names {', '.join(foreign)}, which do not end in {suffix}",
                f"look at {copy.path}/manifest.json",
            )
        if not copy.salvaged and not unread_too:
            return blocked(
                f"the rows that only {copy.path} has were never read out of it",
                f"pgops salvage {copy.run}; or --unsalvaged, and they are gone for good",
            )
        return needed(f"it holds {', '.join(what for what, _ in copy.parts)}: {copy.reason or copy.procedure}")

    def actions(_first: Snapshot, _now: Snapshot) -> tuple[Action, ...]:
        within = ("find", copy.path, "-mindepth", "1", "-maxdepth", "1", "!", "-name", "manifest.json")
        # The manifest goes last, so that a removal that was cut off is found again.
        words: list[tuple[str, ...]] = [("rm", "-rf", "--", path) for path in elsewhere]
        words += [(*within, "-exec", "rm", "-rf", "--", "{}", "+"), ("rm", "-rf", "--", copy.path)]
        return tuple(RunCommand(name, argv, again=Again.SAFE, timeout_s=_LONG_S) for argv in words)

    def expect(now: Snapshot) -> Snapshot:
        node = now.node(name)
        seen = known(node.copies) if node else None
        if node is None or seen is None:
            return now
        return now.with_node(replace(node, copies=Known(tuple(item for item in seen if item.path != copy.path))))

    return Step(
        id=f"remove-{name}",
        why="nobody but a person removes what a procedure kept",
        check=check,
        actions=actions,
        expect=expect,
        views=frozenset({View.COPIES}),
        hosts=frozenset({name}),
        risk=Risk.DESTROY,
        usually="seconds to minutes, by its size",
        interrupts=f"{copy.path} is gone for good, its salvage folder with it",
    )


REMOVE_COPIES = Procedure(
    name="copies-remove",
    goal=lambda params, cluster: f"remove the copies of the run {params['run']} ({cluster})",
    views=frozenset({View.COPIES}),
    steps=_steps,
    # Nothing of the cluster is touched, so nothing of it has to stand still.
    premises=(),
    lock="salvage",
)
"""Remove the safety copies of one run."""
