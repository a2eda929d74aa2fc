"""The steps for one loser: nothing acts on it any more, what only it has is kept, and it is stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pgops.observe.branch_facts import CopyFacts, Proof
from pgops.observe.copies import EVIDENCE, KEYS
from pgops.observe.records import HoldRecord, hold_value
from pgops.observe.snapshot import Snapshot, View
from pgops.plan.actions import SEEN_FIRST, Action, Again, RunCommand, SaveKeys, WriteFile
from pgops.plan.step import Params, Pinned, Risk, Step, Verdict, blocked, needed, satisfied, unproven, unread
from pgops.readings import Known, Unknown, known, reason
from pgops.services import ServiceState
from pgops.steps.holds import hold
from pgops.steps.services import find_service, manager_of, predict, unit_of
from pgops_recover.incident import PROCEDURE, Incident, Loser, find_copy
from pgops_recover.programs import archive_of, argv_of, backrest_argv, repository_argv

_LONG_S = 6 * 3600.0
_PROVE_BYTES = 10 * 1024**3
"""A minute or two of copying, during which there is one replica less."""
_SILENCE = r"""
pid=$("$@")
case $pid in
    0) exit 0 ;;
    '' | *[!0-9]*) echo "the service manager names no process: $pid" >&2; exit 74 ;;
esac
[ -d "/proc/$pid" ] || exit 0
for open in /proc/"$pid"/fd/*; do
    case $(readlink "$open" 2>/dev/null) in
        /dev/watchdog*) echo "process $pid has the watchdog open: killing it would reset the host" >&2; exit 74 ;;
    esac
done
kill -KILL "$pid"
"""


def hold_member(name: str, incident: Incident, pinned: Pinned) -> Step:
    """Nobody starts its Patroni until the hold is released."""
    why = f"split brain: {incident.survivor} survives (run {pinned.run_id})"
    text = hold_value(HoldRecord(f"{pinned.by}@{pinned.host}", why, pinned.moment))
    return replace(hold({"node": name}, text), id=f"hold-{name}")


def silence(name: str) -> Step:
    """SIGKILL, whether it is frozen or well: every softer signal lets it act once more."""
    params: Params = {"node": name}

    def check(first: Snapshot, now: Snapshot) -> Verdict:
        state = find_service(params, now)
        if isinstance(state, str):
            return unread(f"the services of {name} cannot be seen: {state}", "pgops health --check services")
        if state.running and not state.held:
            return blocked(f"{state.unit} on {name} is not held", f"pgops node hold {name}")
        if state.running:
            return needed(f"{state.unit} on {name} runs (pid {state.pid}), and could demote and rewind at any moment")
        before = find_service(params, first)
        if state.moving and not (isinstance(before, ServiceState) and before.running):  # else that was the kill's doing
            return needed(f"{state.unit} on {name} may be started again any moment ({state.state})")
        return satisfied(f"no Patroni runs on {name}")

    def actions(_first: Snapshot, now: Snapshot) -> tuple[Action, ...]:
        # The host itself asks for the process: a manager that tries a start, which the hold refuses, gives it a new one.
        manager = manager_of(now.cluster)
        argv = ("sh", "-c", _SILENCE, "pgops-silence", *manager.pid_argv(unit_of(now.cluster, params)))
        return (RunCommand(name, argv, manager.hold_identity, Again.SAFE),)

    def expect(now: Snapshot) -> Snapshot:
        after = predict(params, now, running=False, moving=False, pid=None, state="killed")
        state, node = find_service(params, now), after.node(name)
        branch = known(node.branch) if node else None
        if node is None or branch is None or isinstance(state, str) or not (state.running or state.moving):
            return after
        # Until it is killed it may start its PostgreSQL, as it may have tried over and over: to stop it belongs to the plan.
        return after.with_node(replace(node, branch=Known(replace(branch, serving=True))))

    return Step(
        id=f"silence-{name}",
        why="a Patroni that wakes up demotes and rewinds within seconds, and what only this member has is gone",
        check=check,
        actions=actions,
        expect=expect,
        views=frozenset({View.SERVICES}),
        hosts=frozenset({name}),
        risk=Risk.CHANGE,
        may_settle=True,
        usually="a second",
    )


def keep_wal(loser: Loser, incident: Incident, pinned: Pinned) -> Step:
    """A real copy of its WAL, before the shutdown checkpoint recycles any."""

    def judge(copy: CopyFacts | None) -> Verdict:
        if copy is not None:
            return satisfied(f"its WAL from {loser.from_segment} on lies in {loser.keep}/wal")
        return needed(f"its WAL is in {loser.data_dir} alone")

    return _keeping(
        loser,
        "keep-wal",
        "stopping it writes a checkpoint, which recycles WAL; a link would rot with it, so the files are copied",
        judge,
        lambda _now: _keep(loser, incident, pinned, "wal"),
        lambda copy: copy or _foreseen(loser, pinned, ("wal",)),
        usually="seconds, by the amount of WAL",
    )


def stop(loser: Loser) -> Step:
    """A clean stop of its PostgreSQL: the fence for the clients that still write there."""

    def check(first: Snapshot, now: Snapshot) -> Verdict:
        copy, node = find_copy(loser, now), now.node(loser.name)
        branch = known(node.branch) if node else None
        if isinstance(copy, str) or node is None or branch is None:
            why = copy if isinstance(copy, str) else reason(node.branch) if node else "it is gone"
            return unread(f"whether PostgreSQL of {loser.name} runs cannot be seen: {why}", "pgops health")
        if copy is not None and copy.has("data"):
            return satisfied("it was stopped, and its data directory is kept")
        if copy is None and branch.serving:
            return blocked("its WAL is not kept yet")
        if branch.serving and _served(loser, first):
            return needed(f"PostgreSQL of {loser.name} runs, and clients may write to it")
        if branch.serving:
            return needed(f"PostgreSQL of {loser.name} may have been started by its Patroni meanwhile")
        return satisfied(f"no PostgreSQL uses {loser.data_dir}")

    def expect(now: Snapshot) -> Snapshot:
        node = now.node(loser.name)
        branch = known(node.branch) if node else None
        return now.with_node(replace(node, branch=Known(replace(branch, serving=False)))) if node and branch else now

    argv = (loser.program("pg_ctl"), "-D", loser.data_dir, "-m", "fast", "-w", "-t", str(int(_LONG_S)), "stop")
    return Step(
        id=f"stop-{loser.name}",
        why="two members that take writes drift further apart with every commit; a clean stop is the fence",
        check=check,
        actions=lambda _first, _now: (RunCommand(loser.name, argv, again=Again.SAFE, timeout_s=_LONG_S),),
        expect=expect,
        views=frozenset({View.BRANCH, View.COPIES}),
        hosts=frozenset({loser.name}),
        risk=Risk.INTERRUPT,
        may_settle=True,
        usually="seconds, by the size of its checkpoint",
        interrupts=f"clients of {loser.name} lose their connections; what they committed there is kept, aside",
    )


def _served(loser: Loser, first: Snapshot) -> bool:
    node = first.node(loser.name)
    branch = known(node.branch) if node else None
    return branch is None or branch.serving


def keep_data(loser: Loser, incident: Incident, pinned: Pinned) -> Step:
    """Its data directory as it is, moved aside whole."""

    def judge(copy: CopyFacts | None) -> Verdict:
        if copy is None:
            return blocked("its WAL is not kept yet")
        if copy.has("data"):
            return satisfied(f"its data directory is {loser.keep}/data")
        return needed(f"its data directory is {loser.data_dir}, where Patroni would rewind it or clone over it")

    return _keeping(
        loser,
        "keep-data",
        "the rows that only it has are read from there; tablespaces and a linked pg_wal go along",
        judge,
        lambda _now: _keep(loser, incident, pinned, "data"),
        lambda copy: replace(copy or _foreseen(loser, pinned, ("wal",)), parts=_parts(loser, ("wal", "data"))),
        usually="seconds: it is renamed",
    )


def save_evidence(loser: Loser, pinned: Pinned) -> Step:
    """Beside the data directory, for whoever looks into the incident later."""
    papers: dict[str, Action] = {
        EVIDENCE: WriteFile(loser.name, f"{loser.keep}/{EVIDENCE}", SEEN_FIRST),
        KEYS: SaveKeys(loser.name, f"{loser.keep}/{KEYS}"),
    }

    def judge(copy: CopyFacts | None) -> Verdict:
        if copy is None or not copy.has("data"):
            return blocked("its data directory is not kept yet")
        if set(papers) <= set(copy.papers):
            return satisfied(f"what was seen first, and the DCS's keys, lie in {loser.keep}")
        return needed("what was seen first stands in the journal of this host alone, and keys of the DCS change")

    def actions(now: Snapshot) -> tuple[Action, ...]:
        copy = find_copy(loser, now)
        there = copy.papers if isinstance(copy, CopyFacts) else ()
        return tuple(action for name, action in papers.items() if name not in there)

    return _keeping(
        loser,
        "evidence",
        "why it came so is asked later, when every member has another state",
        judge,
        actions,
        lambda copy: replace(copy or _foreseen(loser, pinned, ("wal", "data")), papers=tuple(papers)),
        usually="under a second",
    )


def quarantine(loser: Loser, incident: Incident, pinned: Pinned) -> Step:
    """The archive is the survivor's again: one file of a name is all it has."""
    stored = loser.parting.stored
    wish = {
        "keep": loser.keep,
        "repository": repository_argv(loser.stanza or "", loser.config.pgbackrest_config),
        "get": backrest_argv(loser.stanza or "", loser.config.pgbackrest_config, f"{loser.keep}/data"),
        "places": loser.archives,
        "stanza": loser.stanza,
        "timeline": loser.parting.contested,
        "from": loser.contested_from,
        "segment_bytes": loser.segment_bytes,
        # Of what both have alike, and of nothing else: the survivor archives more and more, and a plan is to stay what it is.
        "survivors": sorted({item.sha1 for item in known(stored) or () if len(item.holders) == 2}),
        "foreign": sorted(item.path for item in known(stored) or () if incident.survivor in item.strangers),
        "wrote": loser.wrote,
        "barring": [[item.repo_key, item.path, item.name, item.sha1] for item in loser.barring],
    }
    names = ", ".join(sorted({item.name for item in loser.barring}))

    def judge(copy: CopyFacts | None) -> Verdict:
        if copy is None or not copy.has("data"):
            return blocked("its data directory is not kept yet")
        if copy.quarantined:
            return satisfied(f"what it pushed is out of the archive: {loser.keep}/archive.json")
        if not loser.archives or (isinstance(stored, Unknown) and loser.is_contested):
            return unread(f"the archive cannot be read: {reason(stored)}", "pgops health --check backup")
        told = [f"the archive has another {names} than the survivor's, and so takes nothing of its"] if names else []
        if loser.is_contested:
            told.append(
                f"the archive may have its WAL of timeline {loser.parting.contested}, which the survivor has as well"
            )
        return needed("; ".join(told))

    return _keeping(
        loser,
        "quarantine",
        "an archive takes one file of a name: as long as the loser's is there, the survivor's is refused; it is kept first",
        judge,
        lambda _now: (RunCommand(loser.name, argv_of("quarantine", wish), again=Again.SAFE, timeout_s=_LONG_S),),
        lambda copy: replace(copy or _foreseen(loser, pinned, ("wal", "data")), quarantined=True),
        usually="seconds",
        risk=Risk.DESTROY,
    )


def account(loser: Loser, pinned: Pinned) -> Step:
    """Read the kept WAL from end to end, and write down what only it holds."""
    wish = {
        "pg_waldump": loser.program("pg_waldump"),
        "wal_dirs": [f"{loser.keep}/wal", f"{loser.keep}/data/pg_wal"],
        "segment_bytes": loser.segment_bytes,
        **loser.lineage,
        "reached_by": [loser.program("pg_controldata"), "-D", f"{loser.keep}/data"],
        "into": f"{loser.keep}/account",
        "archive": archive_of(loser.keep, loser.stanza, loser.config.pgbackrest_config, loser.contested_from),
        "budget_s": None,
    }

    def judge(copy: CopyFacts | None) -> Verdict:
        if copy is None or not copy.has("data"):
            return blocked("its data directory is not kept yet")
        if copy.accounted and copy.incomplete:
            return satisfied(
                f"what only it has is counted in {loser.keep}/account as far as its WAL is there; part of it is unknown: "
                f"pgops copies show {loser.run_id}"
            )
        if copy.accounted:
            return satisfied(f"what only it has is counted in {loser.keep}/account")
        return needed("what only it has is not counted yet")

    return _keeping(
        loser,
        "account",
        "a copy that cannot be read is none: every transaction after the fork is read from it before the rest goes on",
        judge,
        lambda _now: (RunCommand(loser.name, argv_of("account", wish), again=Again.SAFE, timeout_s=_LONG_S),),
        lambda copy: replace(copy or _foreseen(loser, pinned, ("wal", "data")), accounted=True),
        usually="seconds a GB of WAL",
    )


def open_copy(loser: Loser, incident: Incident, pinned: Pinned) -> Step:
    """What was kept is seen to be a database with those rows in it, before the rest goes on."""
    wish = {
        "keep": loser.keep,
        "bin_dir": loser.config.bin_dir,
        "superuser": incident.superuser,
        "prove_bytes": _PROVE_BYTES,
    }

    def judge(copy: CopyFacts | None) -> Verdict:
        if copy is None or not copy.accounted:
            return blocked("what only it has is not counted yet")
        if copy.proof is None:
            return needed("nobody has seen that the copy opens")
        if copy.proof.opened is False:
            # It changes nothing to wait: the copy stays, and what is done from here on does not touch it.
            return unproven(f"the copy {loser.keep}: {copy.proof.text}", f"pgops copies show {pinned.run_id}")
        return satisfied(copy.proof.text if copy.proof.opened else f"it was not opened: {copy.proof.text}")

    return _keeping(
        loser,
        "open",
        "a working copy of it is opened as a standby that follows nobody; a large one only where reflinks make that cheap",
        judge,
        lambda _now: (RunCommand(loser.name, argv_of("proof", wish), again=Again.SAFE, timeout_s=_LONG_S),),
        lambda copy: replace(copy or _foreseen(loser, pinned, ("wal", "data")), proof=Proof(True, "it opens")),
        usually="seconds",
    )


def _keeping(
    loser: Loser,
    id_: str,
    why: str,
    judge: Callable[[CopyFacts | None], Verdict],
    actions: Callable[[Snapshot], tuple[Action, ...]],
    after: Callable[[CopyFacts | None], CopyFacts],
    usually: str,
    risk: Risk = Risk.CHANGE,
) -> Step:
    """A step whose outcome stands in the manifest of the copy."""

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        copy = find_copy(loser, now)
        if isinstance(copy, str):
            return unread(f"the copies of {loser.name} cannot be seen: {copy}", "pgops health")
        return judge(copy)

    def expect(now: Snapshot) -> Snapshot:
        node, copy = now.node(loser.name), find_copy(loser, now)
        copies = known(node.copies) if node else None
        if node is None or copies is None or isinstance(copy, str):
            return now
        others = tuple(item for item in copies if item.path != loser.keep)
        return now.with_node(replace(node, copies=Known((*others, after(copy)))))

    return Step(
        id=f"{id_}-{loser.name}",
        why=why,
        check=check,
        actions=lambda _first, now: actions(now),
        expect=expect,
        views=frozenset({View.COPIES}),
        hosts=frozenset({loser.name}),
        risk=risk,
        usually=usually,
    )


def _keep(loser: Loser, incident: Incident, pinned: Pinned, stage: str) -> tuple[Action, ...]:
    manifest = {
        "schema": 1,
        "kind": "pgops-copy",
        "procedure": PROCEDURE,
        "run": pinned.run_id,
        "cluster": incident.cluster,
        "node": loser.name,
        "made_at": pinned.moment.isoformat(),
        "by": f"{pinned.by}@{pinned.host}",
        "reason": f"{incident.survivor} survives a split brain",
        "data_dir": loser.data_dir,
        "bin_dir": loser.config.bin_dir,
        "system_identifier": incident.system_identifier,
        "segment_bytes": loser.segment_bytes,
        "survivor": incident.survivor,
        "pieces": loser.pieces,
    }
    wish = {
        "stage": stage,
        "data_dir": loser.data_dir,
        "keep": loser.keep,
        "run": pinned.run_id,
        "from_segment": loser.from_segment,
        "segment_bytes": loser.segment_bytes,
        "pg_ctl": loser.program("pg_ctl"),
        "manifest": manifest,
    }
    return (RunCommand(loser.name, argv_of("keep", wish), again=Again.SAFE, timeout_s=_LONG_S),)


def _parts(loser: Loser, kinds: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((kind, f"{loser.keep}/{kind}") for kind in kinds)


def _foreseen(loser: Loser, pinned: Pinned, kinds: tuple[str, ...]) -> CopyFacts:
    by = f"{pinned.by}@{pinned.host}"
    return CopyFacts(loser.keep, pinned.run_id, PROCEDURE, loser.name, pinned.moment, by, "", _parts(loser, kinds))
