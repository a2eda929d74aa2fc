"""`guard install` and `guard remove` under the contract, where Patroni knows no `bin_name`: by a directory of links."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from pgops.config.model import SshConfig
from pgops.errors import ExitCode
from pgops.observe.guard_facts import BindingFacts, GuardFacts
from pgops.observe.guards import PROGRAMS, copy_path, record_path, settings_path
from pgops.observe.keys import record_prefix
from pgops.observe.record_facts import GuardRecord
from pgops.observe.records import guard_value
from pgops.plan.actions import CallRest, RunCommand
from pgops.plan.step import Params
from pgops.readings import Known, Unknown, known
from pgops.testing.case import Case, operator_host
from pgops.testing.contract import CHECKS, check_refused
from pgops.testing.crash_checks import check_crashes
from pgops.testing.fake_cluster import FakeCluster, fake_config
from pgops.testing.fake_guard import DATA_DIR, PATRONI_FILE, REAL_PROGRAMS, patroni_process
from pgops.testing.fake_snapshot import EPOCH
from pgops.testing.fake_world import FakeWorld
from pgops.testing.plan_checks import check_prediction, check_reached_goal_is_empty
from pgops_recover.guard_programs import programs
from pgops_recover.guarding import INSTALL, REMOVE
from pgops_recover.programs import source_of

BIN_DIR = "/usr/lib/postgresql/15/bin"
DIRECTORY = "/var/lib/postgresql/pgops-guard"
AS_IT_WAS = f"postgresql:\n  bin_dir: {BIN_DIR}\n"
PARAMS: Params = {"mode": "keep", "limit_bytes": 1 << 30, "dir": None}


def plain(names: Sequence[str] = ("n1", "n2")) -> FakeCluster:
    """Patroni 3.0.2 on every member, the first one leads, and nothing guards it."""
    config = fake_config(names)
    hosts = tuple(replace(host, bin_dir=BIN_DIR, ssh=SshConfig(host.name)) for host in config.hosts)
    fake = FakeCluster(names, config=replace(config, hosts=hosts))
    for name in fake.hosts:
        fake.change(name, patroni_version="3.0.2")
        _write(fake, name, PATRONI_FILE, AS_IT_WAS)
    fake.patch_config({"postgresql": {"use_pg_rewind": True}})
    fake.turn()
    return fake


def installed(mode: str = "keep") -> FakeCluster:
    """Every member has it."""
    fake = plain()
    for name in fake.hosts:
        _place(fake, name, mode)
    record = GuardRecord(tuple(fake.hosts), "20261122-0300-abcdef", "bob", "there", EPOCH)
    fake.dcs.plant(f"{record_prefix(fake.config.prefix)}guard", guard_value(record))
    fake.turn()
    return fake


def _place(fake: FakeCluster, name: str, mode: str) -> None:
    told = {"by": "bin_dir", "file": PATRONI_FILE, "bin_dir": BIN_DIR, "wrapper": f"{DIRECTORY}/pg_rewind"}
    told |= {"cluster": fake.config.name, "node": name, "mode": mode}
    settings = {"schema": 1, "limit_bytes": 1 << 30, **told}
    _write(fake, name, settings_path(DATA_DIR), json.dumps(settings, indent=1, sort_keys=True) + "\n")
    for program, text in programs().items():
        _write(fake, name, f"{DIRECTORY}/{program}", text)
    _link(fake, name, DIRECTORY, BIN_DIR)
    _bind(fake, name, "bind", PATRONI_FILE, DIRECTORY)
    fake.change_host(name, lambda host: replace(host, patroni_starts=host.patroni_starts + 1))


def _link(fake: FakeCluster, name: str, directory: str, bin_dir: str | None) -> None:
    for program in REAL_PROGRAMS:
        if program not in PROGRAMS:
            _write(fake, name, f"{directory}/{program}", f"-> {bin_dir}/{program}" if bin_dir else None)


def told_otherwise() -> FakeCluster:
    """Every member has it, told to stop."""
    return installed("stop")


def paused() -> FakeCluster:
    """Somebody paused the cluster before."""
    fake = plain()
    fake.patch_config({"pause": True})
    fake.turn()
    return fake


def edited() -> FakeCluster:
    """Somebody changed another part of a file since, and a program came to the real directory of another member."""
    fake = installed()
    _write(fake, "n1", PATRONI_FILE, fake.hosts["n1"].files[PATRONI_FILE] + "tags: {}\n")
    _write(fake, "n2", f"{DIRECTORY}/pg_ctl", None)
    return fake


def deaf() -> FakeCluster:
    """A file was written, and its Patroni not restarted, as a run left it that was forgotten."""
    fake = installed()
    host = fake.hosts["n2"]
    record = json.loads(host.files[record_path(PATRONI_FILE)])
    _write(fake, "n2", record_path(PATRONI_FILE), json.dumps({**record, "deaf": [patroni_process(fake, host)]}))
    return fake


def _write(fake: FakeCluster, name: str, path: str, content: str | None) -> None:
    fake.change_host(name, lambda host: host.with_file(path, content))


def _world(fake: FakeCluster) -> FakeWorld:
    world = FakeWorld(fake)
    serve(world)
    return world


def serve(world: FakeWorld) -> None:
    """The programs of pgops on the fake hosts."""
    world.commands["python3"] = _run


def _run(fake: FakeCluster, name: str, argv: tuple[str, ...]) -> int:
    source, wish = argv[3], json.loads(argv[4])
    if source == source_of("links"):
        _link(fake, name, wish["directory"], wish["bin_dir"] if wish["stage"] == "link" else None)
        return 0
    assert source == source_of("binding") and argv[5] == source_of("bin_dir")
    return _bind(fake, name, wish["stage"], wish["file"], wish["directory"])


def _bind(fake: FakeCluster, name: str, stage: str, file: str, directory: str) -> int:
    host = fake.hosts[name]
    record = json.loads(host.files.get(record_path(file), "{}"))
    content, running = host.files[file], [patroni_process(fake, host)]
    if stage == "forget":
        _write(fake, name, record_path(file), None)
        return 0
    if stage == "bind":
        if record.get("stage") == "bound" and record["written"] == content:
            return 0
        changed = content.replace(BIN_DIR, directory)
        _write(fake, name, copy_path(file), content.replace(directory, BIN_DIR))
    else:
        if record.get("stage") in (None, "restored"):
            return 0
        changed = content.replace(directory, BIN_DIR)
        _write(fake, name, copy_path(file), None)
    _write(fake, name, file, changed)
    now = {"stage": "bound" if stage == "bind" else "restored", "directory": directory, "written": changed}
    _write(fake, name, record_path(file), json.dumps({**now, "deaf": running}))
    return 0


def _described(world: Callable[[], FakeCluster]) -> str:
    return world.__name__


@pytest.mark.parametrize("world", [plain, told_otherwise], ids=_described)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_install(world: Callable[[], FakeCluster], check: Callable[[Case], None]) -> None:
    with operator_host():
        check(Case(INSTALL, PARAMS, world, serve))


@pytest.mark.parametrize("world", [edited, deaf], ids=_described)
@pytest.mark.parametrize(
    "check", [check_reached_goal_is_empty, check_prediction, check_crashes], ids=lambda check: check.__name__
)
def test_install_anew(world: Callable[[], FakeCluster], check: Callable[[Case], None]) -> None:
    with operator_host():
        check(Case(INSTALL, PARAMS, world, serve))


@pytest.mark.parametrize("world", [installed], ids=_described)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_remove(world: Callable[[], FakeCluster], check: Callable[[Case], None]) -> None:
    with operator_host():
        check(Case(REMOVE, {}, world, serve))


def test_one_patroni_after_the_other_and_the_leader_last_within_a_pause() -> None:
    fake = plain(("n2", "n1", "n3"))
    with operator_host():
        Case(INSTALL, PARAMS, lambda: fake, serve).run(_world(fake))
    restarts = [a for a in fake.effects if isinstance(a, RunCommand) and "restart" in a.argv]
    assert [action.host for action in restarts] == ["n1", "n3", "n2"]
    switches = [at for at, action in enumerate(fake.effects) if isinstance(action, CallRest)]
    binds = [at for at, a in enumerate(fake.effects) if isinstance(a, RunCommand) and source_of("binding") in a.argv]
    assert len(binds) == 3 and max(binds) < switches[0], "what cannot be changed is told before anything is paused"
    assert switches[0] < fake.effects.index(restarts[0]) and fake.effects.index(restarts[-1]) < switches[1]
    assert [host.postgres_starts for host in fake.hosts.values()] == [1, 1, 1]
    assert fake.snapshot(INSTALL.views).leader == "n2" and not fake.dynamic_config().get("pause")


def test_removed_it_leaves_the_file_as_it_was_and_nothing_beside_it() -> None:
    fake = installed()
    record = f"{record_prefix(fake.config.prefix)}guard"
    assert fake.dcs.peek(record) is not None
    with operator_host():
        ended = Case(REMOVE, {}, lambda: fake, serve).run(_world(fake))
    assert ended.code is ExitCode.DONE and fake.dcs.peek(record) is None
    for host in fake.hosts.values():
        assert dict(host.files) == {PATRONI_FILE: AS_IT_WAS}
        assert host.postgres_starts == 1 and host.patroni_starts == 3, "once when it was installed, once now"


@pytest.mark.parametrize("world", [edited, deaf], ids=_described)
def test_removed_from_whatever_state_nothing_of_it_is_left(world: Callable[[], FakeCluster]) -> None:
    fake = world()
    with operator_host():
        ended = Case(REMOVE, {}, lambda: fake, serve).run(_world(fake))
    assert ended.code is ExitCode.DONE
    for host in fake.hosts.values():
        assert set(host.files) == {PATRONI_FILE} and DIRECTORY not in host.files[PATRONI_FILE]


def test_a_pause_of_somebody_else_stays() -> None:
    fake = paused()
    with operator_host():
        assert Case(INSTALL, PARAMS, lambda: fake, serve).run(_world(fake)).code is ExitCode.DONE
    assert fake.dynamic_config()["pause"] is True
    assert not any(isinstance(action, CallRest) for action in fake.effects)


def test_a_cluster_that_is_resumed_meanwhile_is_not_restarted() -> None:
    """Somebody ends the pause behind the restart of the first member: no other Patroni is restarted."""
    fake = plain(("n1", "n2", "n3"))
    world = _world(fake)

    def resume(cluster: FakeCluster) -> None:
        cluster.patch_config({"pause": None})
        cluster.turn()

    with operator_host():
        plan = Case(INSTALL, PARAMS, lambda: fake, serve).plan(world)
        actions = [action for step in plan.steps for action in step.actions]
        first = next(
            at for at, action in enumerate(actions) if isinstance(action, RunCommand) and "restart" in action.argv
        )
        world.faults.drifts_after[first] = resume
        ended = Case(INSTALL, PARAMS, lambda: fake, serve).run_plan(world, plan)
    assert ended.code is ExitCode.STOPPED_MIDWAY
    assert "the key config was changed" in (ended.why or "") or "is not paused" in (ended.why or "")
    assert [host.postgres_starts for host in fake.hosts.values()] == [1, 1, 1]
    assert sum(host.patroni_starts for host in fake.hosts.values()) == 4


def test_where_a_patroni_does_not_come_up_again_the_way_back_starts_it_with_its_file_as_it_was() -> None:
    fake = plain(("n1", "n2", "n3"))

    def die(cluster: FakeCluster) -> None:
        cluster.change("n2", patroni="dead")
        cluster.change_host("n2", lambda host: replace(host, running=frozenset()))

    with operator_host():
        case, world = Case(INSTALL, PARAMS, lambda: fake, serve), _world(fake)
        plan = case.plan(world)
        actions = [action for step in plan.steps for action in step.actions]
        first = next(
            at for at, action in enumerate(actions) if isinstance(action, RunCommand) and "restart" in action.argv
        )
        world.faults.drifts_after[first] = die
        ended = case.run_plan(world, plan)
        assert ended.code is ExitCode.STOPPED_MIDWAY and "step restart-n2 did not reach its goal" in ended.sentence
        assert fake.dynamic_config()["pause"] is True
        back = case.go_on(case.world(fake), back=True)
    assert back is not None and back.code is ExitCode.DONE, back
    assert all(dict(host.files) == {PATRONI_FILE: AS_IT_WAS} for host in fake.hosts.values())
    assert [host.postgres_starts for host in fake.hosts.values()] == [1, 1, 1]
    assert fake.members["n2"].patroni == "running" and not fake.dynamic_config().get("pause")


def _facts(binding: BindingFacts, *, overrides: tuple[str, ...] = ()) -> Callable[[], FakeCluster]:
    def world() -> FakeCluster:
        fake = plain()
        fake.facts["n2"] = {"guard": Known(GuardFacts(None, {}, None, overrides, binding))}
        return fake

    return world


def _seen() -> BindingFacts:
    facts = known(plain().snapshot(INSTALL.views).nodes[1].guard)
    assert facts is not None
    return facts.binding


def _upgraded() -> FakeCluster:
    fake = plain()
    fake.change("n1", patroni_version="3.0.3")
    fake.turn()
    return fake


def _held() -> FakeCluster:
    fake = plain()
    for file in fake.manager.hold_files("patroni", "text"):
        _write(fake, "n2", file.path, file.content)
    fake.change_host("n2", lambda host: replace(host, loaded=frozenset(host.files)))
    return fake


@pytest.mark.parametrize(
    ("world", "said"),
    [
        (_upgraded, "Patroni 3.0.3 on n1 knows bin_name, and that of another member does not"),
        (_held, "patroni on n2 is held, and would not be started again"),
        (
            _facts(_seen(), overrides=("the environment of its Patroni",)),
            "the environment of its Patroni names programs",
        ),
        (
            _facts(replace(_seen(), kill_mode="control-group")),
            "KillMode=control-group of patroni on n2 ends PostgreSQL",
        ),
        (_facts(replace(_seen(), kill_mode=None)), "KillMode=unknown of patroni on n2 ends PostgreSQL"),
        (
            _facts(replace(_seen(), files=(), processes=())),
            "none whose command line names one file in .yml is seen there",
        ),
        (_facts(replace(_seen(), files=("/a.yml", "/b.yml"))), "those of /a.yml, /b.yml run there"),
        (_facts(replace(_seen(), processes=("17:1:boot",))), "patroni on n2 does not run the Patroni of"),
        (_facts(replace(_seen(), postmaster=None)), "PostgreSQL of n2 does not run"),
        (_facts(replace(_seen(), stage="bound", directory="/srv/guard")), "the guard stands in /srv/guard already"),
    ],
)
def test_where_a_patroni_cannot_be_bound_or_restarted_alone_it_is_refused(
    world: Callable[[], FakeCluster], said: str
) -> None:
    assert said in check_refused(Case(INSTALL, PARAMS, world, serve))


def test_members_on_one_machine_need_a_directory_each() -> None:
    def world() -> FakeCluster:
        fake = plain()
        fake.config = replace(fake.config, hosts=tuple(replace(host, ssh=None) for host in fake.config.hosts))
        return fake

    assert "members on one machine need a directory of links each" in check_refused(Case(INSTALL, PARAMS, world, serve))


def test_a_member_that_does_not_answer_is_not_restarted_and_nothing_is_done() -> None:
    def world() -> FakeCluster:
        fake = plain()
        fake.facts["n2"] = {"rest": Unknown("no answer in time")}
        return fake

    with operator_host():
        case = Case(INSTALL, PARAMS, world, serve)
        plan = case.plan(case.world())
    assert plan.blocked is not None and plan.blocked.verdict.unread
    assert "Patroni of n2 does not answer: no answer in time" in plan.blocked.verdict.reason


def test_after_an_upgrade_of_patroni_the_links_go_first() -> None:
    def world() -> FakeCluster:
        fake = installed()
        for name in fake.hosts:
            fake.change(name, patroni_version="4.0.0")
        fake.turn()
        return fake

    said = check_refused(Case(INSTALL, PARAMS, world, serve))
    assert "Patroni 4.0.0 does not need any more" in said


def test_a_configuration_taken_from_the_bound_file_does_not_lead_the_guard_to_itself() -> None:
    """On a database host pgops reads `bin_dir` in Patroni's own file, and that names the links by now."""
    fake = installed()
    hosts = tuple(replace(host, bin_dir=DIRECTORY) for host in fake.config.hosts)
    fake.config = replace(fake.config, hosts=hosts)
    with operator_host():
        case = Case(INSTALL, {**PARAMS, "mode": "stop"}, lambda: fake, serve)
        assert case.run(_world(fake)).code is ExitCode.DONE
    told = json.loads(fake.hosts["n1"].files[settings_path(DATA_DIR)])
    assert told["bin_dir"] == BIN_DIR and told["mode"] == "stop"
    assert set(programs()) == {"pg_rewind", "keep.py"}
