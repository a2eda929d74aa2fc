"""The procedure `salvage-remove`: the salvage folders of a run's copies, which hold customers' rows, and what was carried of
them to other hosts. The copies stay, and so does what tells which scripts were applied."""

from __future__ import annotations

from dataclasses import replace

from pgops.observe.branch_facts import CopyFacts
from pgops.observe.salvage_facts import CarriedFolder, SalvageFolder
from pgops.observe.snapshot import Snapshot, View
from pgops.plan.actions import Action, Again, RunCommand
from pgops.plan.step import Params, Part, Pinned, Procedure, Risk, Step, Verdict, needed, satisfied, unread
from pgops.readings import Known, known, reason
from pgops_recover.applications import left_on, not_brought_back, tell, unseen_hosts
from pgops_recover.salvaging import copies_of, find_copies

_LONG_S = 3600.0
_VIEWS = frozenset({View.COPIES, View.SALVAGE})
_KEEP_RECORD = '[ ! -e "$1" ] || { mv -fT -- "$1" "$2" && sync -- "$3"; }'


def _steps(params: Params, pinned: Pinned, first: Snapshot) -> tuple[Part, ...]:
    run, wanted = str(params["run"]), str(params.get("node") or "")
    parts: list[Part] = [find_copies(run, wanted, "discard"), _seen_everywhere()]
    for name, copy in copies_of(first, run, wanted):
        parts.append(_discard(name, copy, pinned.run_id))
    for node in first.nodes:
        if wanted in ("", node.name):
            parts += [_discard_carried(run, node.name, host, left) for host, left in left_on(first, run, node.name)]
    return tuple(parts)


def _seen_everywhere() -> Step:
    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        unseen = unseen_hosts(now)
        if unseen:
            return unread(f"whether rows were carried there cannot be seen everywhere: {unseen}")
        return satisfied("every host tells what lies there")

    return Step(
        id="carried",
        why="a run that was cut off may have left rows on the host of whoever led then",
        check=check,
        views=_VIEWS,
    )


def _find_folder(now: Snapshot, name: str, keep: str) -> SalvageFolder | None:
    node = now.node(name)
    facts = known(node.salvages) if node else None
    return next((each for each in (facts.folders if facts else ()) if each.keep == keep), None)


def _discard(name: str, copy: CopyFacts, this_run: str) -> Step:
    path = f"{copy.path}/salvage"

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        node = now.node(name)
        if node is None or known(node.salvages) is None or known(node.copies) is None:
            why = reason(node.salvages) or reason(node.copies) if node else "it is gone"
            return unread(f"the salvage folders of {name} cannot be seen: {why}")
        folder = _find_folder(now, name, copy.path)
        if folder is None:
            return satisfied(f"{path} is not there")
        seen = next((each for each in known(node.copies) or () if each.path == copy.path), copy)
        decided = {(each.database, each.sha256) for each in seen.applied}
        pending = [each.file for each in folder.scripts if (each.database, each.sha256) not in decided]
        told = [tell(each) for each in seen.applied] or ["nothing of it was brought back"]
        told += [f"not applied as it is now: {', '.join(pending)}"] if pending and seen.applied else []
        size = f"{folder.files} files, {folder.size_bytes} bytes, {folder.rows} rows of {folder.tables} tables"
        return needed(f"it holds {size}; {'; '.join(told)}")

    def actions(_first: Snapshot, _now: Snapshot) -> tuple[Action, ...]:
        kept = f"{copy.path}/applied-{this_run}.json"
        within = ("find", path, "-mindepth", "1", "-maxdepth", "1", "!", "-name", "summary.json")
        # What was applied must not be forgotten: a folder that is made again has the same scripts. And the summary goes
        # last, so that a removal that was cut off is found again.
        words: tuple[tuple[str, ...], ...] = (
            ("sh", "-c", _KEEP_RECORD, "pgops-keep", f"{path}/applied.json", kept, copy.path),
            (*within, "-exec", "rm", "-rf", "--", "{}", "+"),
            ("rm", "-rf", "--", path),
        )
        return tuple(RunCommand(name, argv, again=Again.SAFE, timeout_s=_LONG_S) for argv in words)

    def expect(now: Snapshot) -> Snapshot:
        node = now.node(name)
        facts, copies = (known(node.salvages), known(node.copies)) if node else (None, None)
        if node is None or facts is None or copies is None:
            return now
        folders = tuple(each for each in facts.folders if each.keep != copy.path)
        after = tuple(replace(each, salvaged=False) if each.path == copy.path else each for each in copies)
        return now.with_node(replace(node, salvages=Known(replace(facts, folders=folders)), copies=Known(after)))

    return Step(
        id=f"discard-{name}",
        why="customers' rows stay as long as a person wants them, and no longer",
        check=check,
        actions=actions,
        expect=expect,
        views=_VIEWS,
        hosts=frozenset({name}),
        risk=Risk.DESTROY,
        usually="seconds",
        interrupts=f"{path} is gone for good; the copy stays, and pgops salvage {copy.run} reads its rows again",
    )


def _discard_carried(run: str, name: str, host: str, planned: CarriedFolder) -> Step:
    path = planned.path

    def find(now: Snapshot) -> CarriedFolder | None:
        return next((each for at, each in left_on(now, run, name) if (at, each.path) == (host, path)), None)

    def tells(now: Snapshot, left: CarriedFolder) -> bool:
        """Whether it alone knows of something that was applied, or may have been."""
        copies = [copy for at, copy in copies_of(now, run, name) if at == name]
        return bool(left.begun) or any(not_brought_back(copy, left) for copy in copies)

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        node = now.node(host)
        if node is None or known(node.salvages) is None:
            return unread(f"what lies on {host} cannot be seen: {reason(node.salvages) if node else 'it is gone'}")
        left = find(now)
        if left is None:
            return satisfied(f"nothing of it lies on {host}")
        if tells(now, left) and not left.files:
            return satisfied(f"{path} on {host} holds no rows; it stays, since it alone tells what was applied")
        return needed(f"{path} on {host} holds {left.files} files, {left.size_bytes} bytes, of a run that did not end")

    def actions(_first: Snapshot, now: Snapshot) -> tuple[Action, ...]:
        left = find(now)
        whole: list[tuple[str, ...]] = [("rm", "-rf", "--", path)]
        rows: list[tuple[str, ...]] = [
            ("rm", "-rf", "--", f"{path}/folder", f"{path}/folder.coming"),
            ("find", path, "-mindepth", "2", "-type", "f", "!", "-path", f"{path}/back/applied.json", "-delete"),
        ]
        words = rows if left is not None and tells(now, left) else whole
        return tuple(RunCommand(host, argv, again=Again.SAFE, timeout_s=_LONG_S) for argv in words)

    def expect(now: Snapshot) -> Snapshot:
        node, left = now.node(host), find(now)
        facts = known(node.salvages) if node else None
        if node is None or facts is None or left is None:
            return now
        others = tuple(each for each in facts.carried if each.path != path)
        rest = (replace(left, stamp=None, files=0, size_bytes=0),) if tells(now, left) else ()
        return now.with_node(replace(node, salvages=Known(replace(facts, carried=(*others, *rest)))))

    return Step(
        id=f"discard-{name}-on-{host}",
        why="rows that were carried to be applied serve nothing any more",
        check=check,
        actions=actions,
        expect=expect,
        views=_VIEWS,
        hosts=frozenset({host, name}),
        risk=Risk.DESTROY,
        usually="seconds",
        interrupts=f"{path} on {host} is gone for good",
    )


REMOVE_FOLDERS = Procedure(
    name="salvage-remove",
    goal=lambda params, cluster: f"remove the salvage folders of the run {params['run']} ({cluster})",
    views=_VIEWS | {View.DCS},
    steps=_steps,
    # Nothing of the cluster is touched, so nothing of it has to stand still.
    premises=(),
    lock="salvage",
)
"""Remove what `pgops salvage` made of one run's copies, and leave the copies."""
