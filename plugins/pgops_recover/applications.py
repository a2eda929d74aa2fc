"""What is seen of the salvage folder of a copy on its way to the leader, and what that comes to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from pgops.config.model import HostConfig
from pgops.observe.branch_facts import CopyFacts
from pgops.observe.salvage_facts import AppliedScript, CarriedFolder, SalvageFolder, SalvageScript
from pgops.observe.salvages import carried_path
from pgops.observe.snapshot import Snapshot
from pgops.plan.step import Verdict, blocked, satisfied, unproven, unread
from pgops.readings import Known, known, reason
from pgops.render.units import format_time


@dataclass(frozen=True)
class Application:
    """The salvage folder of one copy, and the leader that is to have its rows. `run` made the copy, `this_run` applies it."""

    run: str
    name: str
    keep: str
    leader: HostConfig
    superuser: str
    by: str
    this_run: str

    @property
    def folder(self) -> str:
        """The salvage folder, on the host of the member that lost."""
        return f"{self.keep}/salvage"

    @property
    def records(self) -> str:
        """The directory on the leader's host that is this application's alone."""
        return carried_path(self.leader.data_dir or "", self.run, self.name)

    @property
    def is_carried(self) -> bool:
        """Whether the leader's host is another one than that of the folder."""
        return self.leader.name != self.name

    @property
    def place(self) -> str:
        """Where the folder lies on the leader's host when its scripts are run."""
        return f"{self.records}/folder" if self.is_carried else self.folder


@dataclass(frozen=True)
class Seen:
    """What is seen of an application: its copy, its folder, and what lies on the leader's host of it."""

    copy: CopyFacts
    folder: SalvageFolder
    carried: CarriedFolder | None

    def verdict_on(self, script: SalvageScript) -> AppliedScript | None:
        """How this very script ended that was run to its COMMIT, by the copy's own record; None: it was not."""
        return next((each for each in self.copy.applied if is_of(each, script)), None)

    @property
    def undecided(self) -> tuple[SalvageScript, ...]:
        """The scripts that were never run as they are now."""
        return tuple(script for script in self.folder.scripts if self.verdict_on(script) is None)


def unseen_hosts(now: Snapshot) -> str:
    """The members whose hosts do not tell what lies there, each with the reason; empty: every one does."""
    nodes = [node for host in now.cluster.hosts if (node := now.node(host.name)) is not None]
    return "; ".join(f"{node.name}: {reason(node.salvages)}" for node in nodes if known(node.salvages) is None)


def left_on(now: Snapshot, run: str, name: str) -> list[tuple[str, CarriedFolder]]:
    """What lies on any host of the salvage folder of that run's copy of this member, by host."""
    found = []
    for host in now.cluster.hosts:
        node = now.node(host.name)
        facts = known(node.salvages) if node else None
        path = carried_path(host.data_dir or "", run, name)
        found += [(host.name, each) for each in (facts.carried if facts else ()) if each.path == path]
    return found


def is_of(applied: AppliedScript, script: SalvageScript) -> bool:
    return (applied.database, applied.sha256) == (script.database, script.sha256)


def not_brought_back(copy: CopyFacts, left: CarriedFolder) -> list[AppliedScript]:
    return [each for each in left.applied if each not in copy.applied]


def see(one: Application, now: Snapshot) -> Seen | Verdict:
    """What is seen of it, or why it cannot be."""
    node = now.node(one.name)
    copies, salvages = (known(node.copies), known(node.salvages)) if node else (None, None)
    if node is None or copies is None or salvages is None:
        why = "it is gone" if node is None else reason(node.copies) or reason(node.salvages)
        return unread(f"the salvage folder of {one.name} cannot be seen: {why}")
    copy = next((each for each in copies if each.path == one.keep), None)
    if copy is None:
        return blocked(f"the copy {one.keep} is gone", "pgops copies list")
    folder = next((each for each in salvages.folders if each.keep == one.keep), None)
    if folder is None:
        return blocked(f"{one.keep} has no salvage folder", f"pgops salvage {one.run}")
    here = now.node(one.leader.name)
    there = known(here.salvages) if here else None
    if there is None:
        return unread(
            f"what lies on the leader's host cannot be seen: {reason(here.salvages) if here else 'it is gone'}"
        )
    return Seen(copy, folder, next((each for each in there.carried if each.path == one.records), None))


def told_before(seen: Seen, script: SalvageScript) -> str:
    """That another form of it was applied."""
    others = [each for each in seen.copy.applied if each.database == script.database]
    if not others:
        return ""
    last = others[-1]
    return (
        f" (with other content, SHA-256 {last.sha256[:12]}, it was applied at {format_time(last.at)}; "
        f"as it is now, SHA-256 {script.sha256[:12]}, it was not)"
    )


def tell(applied: AppliedScript) -> str:
    rows = f"{applied.inserted} rows inserted, {applied.updated} updated, {applied.deleted} deleted"
    whence = f"on {applied.leader} at {format_time(applied.at)} by {applied.by}, as transaction {applied.xid}"
    return f"{applied.database}: {rows} {whence}{f'; {applied.fault}' if applied.fault else ''}"


def judge(applied: AppliedScript, one: Application) -> Verdict:
    if applied.outcome == "committed":
        return satisfied(tell(applied))
    return unproven(
        f"{applied.database}: whether transaction {applied.xid} of {format_time(applied.at)} on {applied.leader} was "
        "committed cannot be told any more; it is not run again",
        f"pgops salvage apply {one.run} --dry-run shows which rows are missing; a script that is edited counts as a new one",
    )


def on_leader(one: Application, after: Callable[[Seen], CarriedFolder]) -> Callable[[Snapshot], Snapshot]:
    """The prediction that this is what lies on the leader's host."""

    def expect(now: Snapshot) -> Snapshot:
        seen, node = see(one, now), now.node(one.leader.name)
        facts = known(node.salvages) if node else None
        if isinstance(seen, Verdict) or node is None or facts is None:
            return now
        others = tuple(each for each in facts.carried if each.path != one.records)
        return now.with_node(replace(node, salvages=Known(replace(facts, carried=(*others, after(seen))))))

    return expect
