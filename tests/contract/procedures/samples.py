"""Two small procedures: a long job on a host whose result a later step needs, and a branch that only the run decides."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

from pgops.observe.facts import Backup, RepositoryStatus, StanzaFacts
from pgops.observe.snapshot import Snapshot, View
from pgops.plan.actions import Action, Again, Hole, RunCommand, StartJob
from pgops.plan.step import (
    FirstOf,
    Params,
    Part,
    Pinned,
    Procedure,
    Risk,
    Step,
    Verdict,
    blocked,
    needed,
    satisfied,
)
from pgops.readings import Known, Pending, Reading, known
from pgops.testing.fake_cluster import FakeCluster, fake_config
from pgops.testing.fake_host import FakeJob
from pgops.testing.fake_world import FakeWorld

NODE = "n2"
DATA = "/var/lib/postgresql/data"
LABEL = "20261123-030000F"
_VIEWS = frozenset({View.BACKUP, View.HOST, View.JOBS})
_HOSTS = frozenset({NODE})
_MOMENT = datetime(2026, 11, 23, 3, 0, tzinfo=timezone.utc)


def _stanza(now: Snapshot) -> Reading[StanzaFacts]:
    node = now.node(NODE)
    assert node is not None
    return node.stanza


def _with_stanza(now: Snapshot, reading: Reading[StanzaFacts]) -> Snapshot:
    nodes = tuple(replace(node, stanza=reading) if node.name == NODE else node for node in now.nodes)
    return replace(now, nodes=nodes)


def _new_label(first: Snapshot, now: Snapshot) -> str | None:
    before, stanza = known(_stanza(first)), known(_stanza(now))
    old = {backup.label for backup in before.backups} if before else set()
    return next((item.label for item in stanza.backups if item.label not in old), None) if stanza else None


def _noted(now: Snapshot) -> str | None:
    return next((name.partition("-")[2] for name in _names(now) if name.startswith("noted-")), None)


def _start(pinned: Pinned) -> Step:
    name = f"backup-{pinned.run_id}"

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        node = now.node(NODE)
        jobs = known(node.jobs) if node else None
        if jobs is None:
            return blocked(f"the jobs of {NODE} cannot be seen")
        if name in jobs or _noted(now):
            return satisfied("the backup was begun")
        return needed("no backup runs")

    def actions(_first: Snapshot, _now: Snapshot) -> tuple[Action, ...]:
        return (StartJob(NODE, name, ("pgbackrest", "backup")),)

    return Step(
        "start",
        "a backup takes hours",
        check,
        _VIEWS,
        actions,
        lambda now: _with_stanza(now, Pending("wait")),
        _HOSTS,
        Risk.CHANGE,
    )


def _wait() -> Step:
    def check(first: Snapshot, now: Snapshot) -> Verdict:
        if isinstance(_stanza(now), Pending):
            return needed("the backup will run")
        stanza = known(_stanza(now))
        if label := _new_label(first, now) or _noted(now):
            return satisfied(f"backup {label}")
        if stanza is None or stanza.backup_running:
            return needed("the backup runs")
        return blocked("the backup ended, and left none")

    return Step("wait", "what is not finished is no backup", check, _VIEWS, hosts=_HOSTS)


def _note() -> Step:
    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        noted = _noted(now)
        return satisfied(f"{noted} is noted") if noted else needed("the backup's label is not noted")

    def actions(first: Snapshot, now: Snapshot) -> tuple[Action, ...]:
        label = _new_label(first, now)
        return (RunCommand(NODE, ("note", label or Hole("label"))),)

    return Step("note", "the label is what a restore asks for", check, _VIEWS, actions, hosts=_HOSTS, risk=Risk.CHANGE)


BACKUP = Procedure(
    name="sample-backup",
    goal=lambda _params, cluster: f"back up {cluster}",
    views=_VIEWS,
    steps=lambda _params, pinned, _first: (_start(pinned), _wait(), _note()),
    hosts=lambda _params: _HOSTS,
)


def backup_world(*, exit_code: int = 0) -> FakeCluster:
    """A cluster whose backup takes three turns."""
    names = ("n1", "n2", "n3")
    fake = FakeCluster(names, config=fake_config(names, stanza="demo"))
    facts = StanzaFacts(0, "ok", (RepositoryStatus(1, 0, "ok"),), (), 1, None, None, None, backup_running=False)
    fake.facts[NODE] = {"stanza": Known(facts)}

    def work(fake: FakeCluster, job: FakeJob) -> int | None:
        finished = job.turns >= 3
        later = _MOMENT + timedelta(minutes=5)
        made = (Backup(LABEL, "full", 1, _MOMENT, later, False, 1, 2),) if finished and exit_code == 0 else ()
        fake.facts[NODE] = {"stanza": Known(replace(facts, backup_running=not finished, backups=made))}
        return exit_code if finished else None

    fake.jobs["pgbackrest"] = work
    return fake


def _put(name: str) -> dict[str, str]:
    return {f"{DATA}/{name}": ""}


def serve(world: FakeWorld) -> None:
    """The commands of both procedures."""

    def leave(fake: FakeCluster, host: str, name: str) -> int:
        fake.change_host(host, lambda item: replace(item, files={**item.files, **_put(name)}))
        return 0

    world.commands["note"] = lambda fake, host, argv: leave(fake, host, f"noted-{argv[1]}")
    world.commands["pg_rewind"] = lambda fake, host, _argv: leave(fake, host, "rejoined")
    world.commands["pg_basebackup"] = lambda fake, host, _argv: leave(fake, host, "rejoined")


def forbid_rewind(fake: FakeCluster) -> None:
    """From now on the WAL that a rewind needs is gone."""
    fake.change_host(NODE, lambda item: replace(item, files={**item.files, **_put("wal-is-gone")}))


def _names(now: Snapshot) -> frozenset[str]:
    node = now.node(NODE)
    files = known(node.files) if node else None
    return files.names if files else frozenset()


def _rejoin(id_: str, argv: tuple[str, ...], risk: Risk, *, needs_wal: bool) -> Step:
    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        if "rejoined" in _names(now):
            return satisfied(f"{NODE} is back")
        if needs_wal and "wal-is-gone" in _names(now):
            return blocked("the WAL that a rewind needs is gone")
        return needed(f"{NODE} is on another branch")

    def actions(_first: Snapshot, _now: Snapshot) -> tuple[Action, ...]:
        return (RunCommand(NODE, argv),)

    def expect(now: Snapshot) -> Snapshot:
        nodes = []
        for node in now.nodes:
            files = known(node.files)
            there = node.name == NODE and files is not None
            nodes.append(
                replace(node, files=Known(replace(files, names=files.names | {"rejoined"})))
                if there and files
                else node
            )
        return replace(now, nodes=tuple(nodes))

    return Step(id_, "it must follow the leader", check, frozenset({View.HOST}), actions, expect, _HOSTS, risk)


def _rejoin_steps(_params: Params, _pinned: Pinned, _first: Snapshot) -> tuple[Part, ...]:
    rewind = _rejoin("rewind", ("pg_rewind",), Risk.INTERRUPT, needs_wal=True)
    clone = _rejoin("clone", ("pg_basebackup",), Risk.DESTROY, needs_wal=False)
    return (FirstOf("rejoin", "a rewind keeps most of it", (rewind, clone)),)


REJOIN = Procedure(
    name="sample-rejoin",
    goal=lambda _params, cluster: f"bring {NODE} of {cluster} back",
    views=frozenset({View.HOST}),
    steps=_rejoin_steps,
    hosts=lambda _params: _HOSTS,
)


def _delete_nothing(_first: Snapshot, _now: Snapshot) -> tuple[Action, ...]:
    return (RunCommand(NODE, ("dice",), again=Again.NEVER),)


DICE = Procedure(
    name="sample-dice",
    goal=lambda _params, cluster: f"throw a die on {cluster}",
    views=frozenset({View.HOST}),
    steps=lambda _params, _pinned, _first: (
        Step(
            "throw",
            "nobody can see afterwards whether it was thrown",
            lambda _first, now: satisfied("told") if "noted-dice" in _names(now) else needed("nobody told"),
            frozenset({View.HOST}),
            _delete_nothing,
            hosts=_HOSTS,
        ),
    ),
    hosts=lambda _params: _HOSTS,
)
