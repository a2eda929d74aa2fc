"""The procedure `salvage-apply`: the scripts of a salvage folder are run on the leader, as a person left them, each once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from pgops.config.model import HostConfig
from pgops.observe.salvage_facts import AppliedScript, CarriedFolder, SalvageScript
from pgops.observe.snapshot import Snapshot, View
from pgops.plan.actions import Action, Again, CarryFolder, RunCommand
from pgops.plan.step import (
    Params,
    Part,
    Pinned,
    Procedure,
    Risk,
    Step,
    Verdict,
    blocked,
    failed,
    needed,
    satisfied,
    unread,
)
from pgops.readings import Known, known, reason
from pgops_recover.applications import (
    Application,
    Seen,
    is_of,
    judge,
    left_on,
    not_brought_back,
    on_leader,
    see,
    told_before,
    unseen_hosts,
)
from pgops_recover.programs import argv_of
from pgops_recover.salvaging import copies_of, find_copies

LOCK_TIMEOUT_S = 10.0
"""How long a statement of the script waits for a lock, in seconds. Who waits for one bars those behind him."""
_DAY_S = 86400.0
_VIEWS = frozenset({View.COPIES, View.SALVAGE})


def _steps(params: Params, pinned: Pinned, first: Snapshot) -> tuple[Part, ...]:
    run, wanted = str(params["run"]), str(params.get("node") or "")
    parts: list[Part] = [find_copies(run, wanted, "apply"), _everything_is_seen()]
    leader = next((host for host in first.cluster.hosts if host.name == first.leader and host.data_dir), None)
    parts.append(_leads(leader))
    if leader is None:
        return tuple(parts)
    by, superuser = f"{pinned.by}@{pinned.host}", str(params["superuser"])
    for name, copy in copies_of(first, run, wanted):
        one = Application(run, name, copy.path, leader, superuser, by, pinned.run_id)
        parts.append(_decided(one))
        seen = see(one, first)
        if isinstance(seen, Verdict):
            continue
        for host, left in left_on(first, run, name):
            if not_brought_back(seen.copy, left):
                parts.append(_bring_back(one, host, left.path, None))
        if one.is_carried:
            parts.append(_carry(one))
        for script in seen.folder.scripts:
            parts += [_run(one, script), _bring_back(one, leader.name, one.records, script)]
        others = [(host, left.path) for host, left in left_on(first, run, name) if host != leader.name]
        parts += [_clean(one, host, path) for host, path in ((leader.name, one.records), *others)]
    return tuple(parts)


def _everything_is_seen() -> Step:
    """A host that is not seen may have a record of a run that was cut off there."""

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        unseen = unseen_hosts(now)
        if unseen:
            return unread(f"whether something was applied before cannot be seen everywhere: {unseen}")
        return satisfied("every host tells what lies there of earlier goes")

    return Step(
        id="earlier",
        why="what was committed once must not be run again, whichever member led then",
        check=check,
        views=_VIEWS,
    )


def _leads(leader: HostConfig | None) -> Step:
    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        keys = known(now.keys)
        if keys is None:
            return unread(f"the DCS cannot be read: {reason(now.keys)}", "pgops health --check dcs")
        if keys.leader is None:
            return blocked("nobody leads", "pgops health")
        if leader is None:
            return blocked(
                f"{keys.leader} leads, and its host or data directory is not configured",
                f"set hosts.{keys.leader}.data_dir in pgops.yml",
            )
        return satisfied(f"{keys.leader} leads")

    return Step(
        id="leader",
        why="rows are brought back where clients write",
        check=check,
        views=frozenset({View.DCS}),
        hosts=frozenset(),
    )


def _decided(one: Application) -> Step:
    """That a person has read the scripts."""

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        seen = see(one, now)
        if isinstance(seen, Verdict):
            return seen
        if not seen.folder.scripts:
            return satisfied(f"{one.folder} has no script: no table has rows there")
        for script in seen.undecided:
            path = f"{one.folder}/{script.file} on {one.name}"
            if script.ends is None:
                return blocked(f"{path} cannot be run as one transaction: {script.fault}", f"mend {path}")
            if script.ends == "rollback":
                return blocked(
                    f"{path} ends in ROLLBACK: nobody has read it yet{told_before(seen, script)}",
                    f"pgops salvage apply {one.run} --dry-run, which shows the conflicts; then read {path}, and write "
                    "COMMIT; where it says ROLLBACK; once it does what you want",
                )
        told = [f"{each.file}{told_before(seen, each)}" for each in seen.undecided]
        return satisfied(f"read and meant to be run: {', '.join(told)}" if told else "nothing is left to be run")

    return Step(
        id=f"read-{one.name}",
        why="a person decides which rows are brought back",
        check=check,
        views=_VIEWS,
    )


def _carry(one: Application) -> Step:
    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        seen = see(one, now)
        if isinstance(seen, Verdict):
            return seen
        if not seen.undecided:
            return satisfied("nothing has to be carried")
        if seen.carried is not None and seen.carried.stamp == seen.folder.stamp:
            return satisfied(f"it lies in {one.place} on {one.leader.name}")
        size = f"{seen.folder.files} files, {seen.folder.size_bytes} bytes"
        return needed(f"the folder lies on {one.name}: {size}")

    def actions(_first: Snapshot, now: Snapshot) -> tuple[Action, ...]:
        seen = see(one, now)
        stamp = None if isinstance(seen, Verdict) else seen.folder.stamp
        return (CarryFolder(one.name, one.folder, one.leader.name, one.place, stamp, timeout_s=_DAY_S),)

    def after(seen: Seen) -> CarriedFolder:
        size = (seen.folder.files, seen.folder.size_bytes)
        return replace(seen.carried or CarriedFolder(one.records, None, *size), stamp=seen.folder.stamp)

    return Step(
        id=f"carry-{one.name}",
        why="the script reads its rows from the files beside it, on the leader's own host",
        check=check,
        actions=actions,
        expect=on_leader(one, after),
        views=_VIEWS,
        hosts=frozenset({one.name, one.leader.name}),
        risk=Risk.CHANGE,
        usually="seconds a GB; it lies there for its owner alone, and goes at the end",
    )


def _run(one: Application, planned: SalvageScript) -> Step:
    def find(seen: Seen) -> SalvageScript | None:
        return next((each for each in seen.folder.scripts if each.file == planned.file), None)

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        seen = see(one, now)
        if isinstance(seen, Verdict):
            return seen
        script = find(seen)
        if script is None:
            return blocked(f"{one.folder}/{planned.file} is gone", f"pgops salvage {one.run}")
        there = seen.carried.applied if seen.carried else ()
        applied = seen.verdict_on(script) or next((each for each in there if is_of(each, script)), None)
        if applied is not None:
            return judge(applied, one)
        for each in seen.carried.failed if seen.carried else ():
            if (each.database, each.sha256, each.run) == (script.database, script.sha256, one.this_run):
                return failed(
                    f"{script.file} changed nothing in {script.database}: {each.reason}",
                    f"mend {one.folder}/{script.file} on {one.name}: leave out what the leader refuses, or bring what it "
                    f"needs there first; then pgops salvage apply {one.run}",
                )
        return needed(f"{script.file} (SHA-256 {script.sha256[:12]}) was never run to its COMMIT")

    def actions(_first: Snapshot, now: Snapshot) -> tuple[Action, ...]:
        seen = see(one, now)
        script = planned if isinstance(seen, Verdict) else find(seen) or planned
        argv = argv_of("application", _wish(one, script, now))
        return (RunCommand(one.leader.name, argv, again=Again.SAFE, timeout_s=_DAY_S),)

    def after(seen: Seen) -> CarriedFolder:
        # The counts and the transaction are the server's to tell.
        moment = datetime(1970, 1, 1, tzinfo=timezone.utc)
        script = find(seen) or planned
        foreseen = AppliedScript(
            script.database, script.sha256, "committed", 0, moment, one.by, one.leader.name, 0, 0, 0
        )
        there = seen.carried or CarriedFolder(one.records, None, 0, 0)
        return replace(there, applied=(*there.applied, foreseen))

    return Step(
        id=f"apply-{one.name}-{planned.database}",
        why="rows that were committed on the member that lost are brought back, by a script that a person read",
        check=check,
        actions=actions,
        expect=on_leader(one, after),
        views=_VIEWS,  # of all hosts: any of them may know of one that was cut off there
        risk=Risk.CHANGE,
        usually=f"by its rows; clients' locks are waited for {LOCK_TIMEOUT_S:g} s at most, then nothing is changed",
    )


def _wish(one: Application, script: SalvageScript, now: Snapshot) -> Mapping[str, Any]:
    cut_off = [
        json.loads(begun.text)
        for host, left in left_on(now, one.run, one.name)
        for begun in left.begun
        if host != one.leader.name and begun.database == script.database
    ]
    return {
        "folder": one.place,
        "carried": one.is_carried,
        "records": one.records,
        "file": script.file,
        "database": script.database,
        "sha256": script.sha256,
        "earlier": cut_off,
        "data_dir": one.leader.data_dir,
        "bin_dir": one.leader.bin_dir,
        "superuser": one.superuser,
        "lock_timeout_s": LOCK_TIMEOUT_S,
        "by": one.by,
        "run": one.this_run,
        "leader": one.leader.name,
    }


def _bring_back(one: Application, host: str, records: str, script: SalvageScript | None) -> Step:
    """What was applied is written beside the rows: of one script, or (None) what an earlier go left on that host."""

    def left(now: Snapshot) -> CarriedFolder | None:
        return next(
            (each for name, each in left_on(now, one.run, one.name) if (name, each.path) == (host, records)), None
        )

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        seen = see(one, now)
        if isinstance(seen, Verdict):
            return seen
        there = left(now)
        missing = not_brought_back(seen.copy, there) if there else []
        if missing:
            # No counts: in a plan they are not known yet.
            return needed(f"{host} alone tells what was applied to {', '.join(each.database for each in missing)}")
        own = next((each for each in seen.folder.scripts if script and each.file == script.file), script)
        if own is not None and seen.verdict_on(own) is None:
            return blocked(f"{own.file} was not applied")
        return satisfied(f"{own.database if own else 'what it told'}: it is written down with the copy")

    def actions(_first: Snapshot, _now: Snapshot) -> tuple[Action, ...]:
        return (CarryFolder(host, f"{records}/back", one.name, one.folder, whole=False),)

    def expect(now: Snapshot) -> Snapshot:
        seen, there, node = see(one, now), left(now), now.node(one.name)
        if isinstance(seen, Verdict) or there is None or node is None:
            return now
        noted = replace(seen.copy, applied=(*seen.copy.applied, *not_brought_back(seen.copy, there)))
        others = tuple(each for each in known(node.copies) or () if each.path != one.keep)
        return now.with_node(replace(node, copies=Known((*others, noted))))

    return Step(
        id=f"note-{one.name}-{script.database}" if script else f"note-{one.name}-from-{host}",
        why="the record of what was applied belongs to the copy, with the rows that the script wrote out there",
        check=check,
        actions=actions,
        expect=expect,
        views=_VIEWS,
        hosts=frozenset({one.name, host, one.leader.name}),
        risk=Risk.CHANGE,
        usually="a second",
    )


def _clean(one: Application, host: str, path: str) -> Step:
    """What lies on that host of the folder goes, once nothing there is told nowhere else."""

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        seen = see(one, now)
        if isinstance(seen, Verdict):
            return seen
        there = next(
            (each for name, each in left_on(now, one.run, one.name) if (name, each.path) == (host, path)), None
        )
        if there is None:
            return satisfied(f"nothing of it lies on {host}")
        databases = {script.database for script in seen.folder.scripts}
        if not_brought_back(seen.copy, there) or any(each.database not in databases for each in there.begun):
            return satisfied(f"{path} on {host} stays: it tells of an application that nothing else tells of")
        return needed(f"{path} on {host} has served")

    def expect(now: Snapshot) -> Snapshot:
        node = now.node(host)
        facts = known(node.salvages) if node else None
        if node is None or facts is None:
            return now
        left = tuple(each for each in facts.carried if each.path != path)
        return now.with_node(replace(node, salvages=Known(replace(facts, carried=left))))

    return Step(
        id=f"clean-{one.name}-on-{host}",
        why="customers' rows lie nowhere where they serve nothing",
        check=check,
        actions=lambda _first, _now: (RunCommand(host, ("rm", "-rf", "--", path), again=Again.SAFE, timeout_s=3600.0),),
        expect=expect,
        views=_VIEWS,
        hosts=frozenset({one.name, host, one.leader.name}),
        risk=Risk.CHANGE,
        usually="seconds",
    )


def _afterwards(params: Params, _pinned: Pinned, _first: Snapshot) -> str | None:
    return f"pgops copies show {params['run']} tells what was brought back"


APPLY = Procedure(
    name="salvage-apply",
    goal=lambda params, cluster: (
        f"bring back the rows that only the copies of the run {params['run']} have ({cluster})"
    ),
    views=frozenset({View.COPIES, View.SALVAGE, View.DCS}),
    steps=_steps,
    # The timeline may move: a leader that was killed comes back on a new one, and its own record tells how far it was.
    premises=("leader", "system_identifier"),
    lock="salvage",
    afterwards=_afterwards,
)
"""Run the scripts of a salvage folder on the leader, each once."""
