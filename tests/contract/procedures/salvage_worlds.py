"""A copy on n2 with a salvage folder of two scripts, and n1 that leads, for the procedures that apply and remove them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from pgops.observe.branch_facts import CopyFacts
from pgops.observe.salvage_facts import (
    AppliedScript,
    BegunScript,
    CarriedFolder,
    FailedScript,
    SalvageFacts,
    SalvageFolder,
    SalvageScript,
)
from pgops.observe.salvages import carried_path
from pgops.observe.snapshot import View
from pgops.plan.actions import CarryFolder
from pgops.readings import Known, known
from pgops.testing.fake_cluster import FakeCluster
from pgops.testing.fake_world import FakeWorld

RUN = "20261122-0300-abcdef"
DATA_DIR = "/var/lib/postgresql/data"
MADE_AT = datetime(2026, 11, 22, 3, 0, tzinfo=timezone.utc)
KEEP = f"{DATA_DIR}.pgops-{RUN}"
COPY = CopyFacts(
    KEEP, RUN, "recover-split-brain", "n2", MADE_AT, "alice@here", "", (("data", f"{KEEP}/data"),), True, True
)
APP = SalvageScript("app.sql", "app", "a" * 64, "commit")
OTHER = SalvageScript("other.sql", "other", "b" * 64, "commit")
FOLDER = SalvageFolder(KEEP, "c" * 64, 9, 3456, 2, 17, (APP, OTHER))
RECORDS = carried_path(DATA_DIR, RUN, "n2")
BEGUN = BegunScript("app", "a" * 64, json.dumps({"database": "app", "xid": 7}))


def applied(database: str, sha256: str, leader: str = "n1", outcome: Any = "committed") -> AppliedScript:
    """What the program would have written down."""
    return AppliedScript(database, sha256, outcome, 4711, MADE_AT, "alice@here", leader, 5, 1, 0)


def world(
    copy: CopyFacts = COPY,
    folder: SalvageFolder | None = FOLDER,
    *,
    member: str = "n2",
    carried: dict[str, CarriedFolder] | None = None,
) -> Callable[[], FakeCluster]:
    """A copy of that member, with that folder, and what lies on hosts of what was carried there."""

    def make() -> FakeCluster:
        fake = FakeCluster()
        for name in ("n1", "n2", "n3"):
            there = carried and carried.get(name)
            facts = SalvageFacts((folder,) if folder and name == member else (), (there,) if there else ())
            copies = (replace(copy, node=name),) if name == member else ()
            fake.facts[name] = {"copies": Known(copies), "salvages": Known(facts)}
        return fake

    return make


def facts_of(fake: FakeCluster, host: str) -> tuple[tuple[CopyFacts, ...], SalvageFacts]:
    """What is seen there."""
    node = fake.snapshot(frozenset({View.COPIES, View.SALVAGE})).node(host)
    assert node is not None
    copies, salvages = known(node.copies), known(node.salvages)
    assert copies is not None and salvages is not None
    return copies, salvages


def put(fake: FakeCluster, host: str, copies: tuple[CopyFacts, ...], salvages: SalvageFacts) -> None:
    """Let that be seen there."""
    fake.facts[host] = {"copies": Known(copies), "salvages": Known(salvages)}


def _on(salvages: SalvageFacts, path: str) -> CarriedFolder:
    return next((each for each in salvages.carried if each.path == path), CarriedFolder(path, None, 0, 0))


def _with(salvages: SalvageFacts, there: CarriedFolder | None, path: str) -> SalvageFacts:
    others = tuple(each for each in salvages.carried if each.path != path)
    return replace(salvages, carried=(*others, *([there] if there else [])))


def set_up(outcome: Any = "committed") -> Callable[[FakeWorld], None]:
    """What the programs and the carried folders bring about; `failed`: the script changes nothing."""

    def python(fake: FakeCluster, host: str, argv: tuple[str, ...]) -> int:
        wish = json.loads(argv[-1])
        copies, salvages = facts_of(fake, host)
        there = _on(salvages, wish["records"])
        if any((each.database, each.sha256) == (wish["database"], wish["sha256"]) for each in there.applied):
            return 0
        assert not wish["carried"] or there.stamp is not None, "there is nothing to run yet"
        if outcome == "failed":
            failed = FailedScript(wish["database"], wish["sha256"], wish["run"], 'ERROR: constraint "c"')
            there = replace(there, failed=(*there.failed, failed), stamp=None)
        else:
            there = replace(there, applied=(*there.applied, applied(wish["database"], wish["sha256"], host, outcome)))
        put(fake, host, copies, _with(salvages, there, wish["records"]))
        return 0

    def carried(fake: FakeCluster, action: CarryFolder) -> None:
        if action.whole:
            (folder,) = facts_of(fake, action.source)[1].folders
            assert action.stamp == folder.stamp
            copies, salvages = facts_of(fake, action.host)
            path = action.path.removesuffix("/folder")
            there = replace(_on(salvages, path), stamp=folder.stamp, files=folder.files, size_bytes=folder.size_bytes)
            put(fake, action.host, copies, _with(salvages, there, path))
            return
        records = _on(facts_of(fake, action.source)[1], action.source_path.removesuffix("/back")).applied
        copies, salvages = facts_of(fake, action.host)
        (copy,) = copies
        noted = replace(copy, applied=(*copy.applied, *(each for each in records if each not in copy.applied)))
        put(fake, action.host, (noted,), salvages)

    def rm(fake: FakeCluster, host: str, argv: tuple[str, ...]) -> int:
        copies, salvages = facts_of(fake, host)
        for path in argv[3:]:
            salvages = _with(salvages, None, path)
            gone = path == f"{KEEP}/salvage"
            copies = tuple(replace(each, salvaged=each.salvaged and not gone) for each in copies)
            salvages = replace(salvages, folders=() if gone else salvages.folders)
        put(fake, host, copies, salvages)
        return 0

    def find(fake: FakeCluster, host: str, argv: tuple[str, ...]) -> int:
        if "-delete" in argv:
            copies, salvages = facts_of(fake, host)
            there = replace(_on(salvages, argv[1]), stamp=None, files=0, size_bytes=0)
            put(fake, host, copies, _with(salvages, there, argv[1]))
        return 0

    def give(world: FakeWorld) -> None:
        world.carried = carried
        world.commands.update({"python3": python, "rm": rm, "find": find, "sh": lambda _fake, _host, _argv: 0})

    return give
