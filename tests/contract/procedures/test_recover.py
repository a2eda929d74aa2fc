"""`recover split-brain` under the contract: a frozen Patroni, another member promoted, rows on both sides."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest

from pgops.errors import Unreachable
from pgops.observe.branch_facts import CopyFacts, Proof
from pgops.observe.facts import RestStatus, StanzaDatabase, StanzaFacts
from pgops.observe.lsn import parse_lsn, segment_start
from pgops.observe.snapshot import Snapshot, View
from pgops.plan.actions import RunCommand
from pgops.readings import Known, known
from pgops.testing.case import PINNED, Case, operator_host
from pgops.testing.contract import CHECKS, check_refused
from pgops.testing.fake_cluster import FakeCluster, fake_config
from pgops.testing.fake_member import SEGMENT_BYTES, FakeMember, history_text
from pgops.testing.fake_world import FakeWorld
from pgops.testing.faults import Faults
from pgops_recover.recovering import RECOVER

PARAMS = {"survivor": "n2", "without": ""}
SURVIVOR_BELOW = {"survivor": "n1", "without": ""}
OWN_BYTES = 0x8000


def split_brain() -> FakeCluster:
    """n1 leads, its Patroni freezes, n2 is promoted, and n1 goes on taking writes."""
    fake = FakeCluster()
    fake.change("n1", patroni="frozen")
    fake.advance(60)
    assert fake.members["n2"].holds_lock
    fork = fake.ends[2]
    fake.change("n1", own_branch=True, position_bytes=fork + OWN_BYTES, holds_lock=False)
    return fake


def paused_split_brain() -> FakeCluster:
    """As above, and somebody paused the cluster."""
    fake = split_brain()
    fake.patch_config({"pause": True})
    fake.turn()
    return fake


def dead_patroni() -> FakeCluster:
    """The Patroni of the old leader died; its PostgreSQL takes writes."""
    fake = split_brain()
    fake.change("n1", patroni="dead")
    fake.change_host("n1", lambda host: replace(host, running=frozenset()))
    return fake


def stopped_loser() -> FakeCluster:
    """Its PostgreSQL crashed meanwhile: what only it has is on its disk."""
    fake = dead_patroni()
    fake.change("n1", postgres="crashed")
    return fake


def same_number() -> FakeCluster:
    """n1 and n2 were promoted apart and took one number; n2 has the lock. Both archive into one repository."""
    fake = FakeCluster(config=fake_config(("n1", "n2", "n3"), stanza="demo"))
    database = StanzaDatabase(1, 1, "7711099966935465950", "15")
    facts = StanzaFacts(0, "ok", (), (), 1, None, None, "15-1", backup_running=False, databases=(database,))
    fake.change("n1", patroni="frozen")
    fake.advance(60)
    fake.change("n2", position_bytes=fake.ends[2] + 2 * OWN_BYTES)
    fake.turn()
    fake.change("n1", own_branch=True, holds_lock=False, timeline=3, position_bytes=fake.ends[2] + OWN_BYTES)
    fake.change("n3", position_bytes=fake.members["n2"].position_bytes)
    for follower in ("n2", "n3"):
        fake.parted[frozenset({"n1", follower})] = fake.ends[2] + 0x100
    for name in fake.members:
        fake.facts[name] = {"stanza": Known(facts)}
    return fake


def two_dcses() -> FakeCluster:
    """n1's Patroni lives, leads, and says so: by a DCS that is not the one that is asked."""
    fake = split_brain()
    status = RestStatus("running", "primary", 2, 150020, dcs_last_seen_s=1795380375)
    fake.facts["n1"] = {"rest": Known(status), "primary_code": Known(200)}
    return fake


def set_up(world: FakeWorld, survivor: str = "n2") -> None:
    """The programs of the hosts."""

    def silence(fake: FakeCluster, host: str, argv: tuple[str, ...]) -> int:
        fake.change(host, patroni="dead", holds_lock=False)
        fake.change_host(host, lambda item: replace(item, running=item.running - {"patroni"}))
        return 0

    def pg_ctl(fake: FakeCluster, host: str, argv: tuple[str, ...]) -> int:
        if fake.members[host].postgres != "running":
            return 1
        assert copies(fake, host) or host == survivor, "it was stopped before its WAL was copied"
        end = fake.members[host].position_bytes
        fake.change(host, postgres="stopped", wal_from_bytes=end)  # its checkpoint recycles what lies before
        return 0

    def python(fake: FakeCluster, host: str, argv: tuple[str, ...]) -> int:
        wish = json.loads(argv[-1])
        there = copies(fake, host)
        if "above" in wish:
            lift(fake, host, wish["above"])
            own = {int(name[:8], 16) for name in wish["own"]}
            told = {timeline: history_text(timeline, fake.origins) for timeline in own}
            fake.archives = tuple(replace(each, histories={**each.histories, **told}) for each in fake.archives)
        elif wish.get("stage") == "wal":
            keep_wal(fake, host, wish)
            keep(fake, host, copy_of(wish, host, ("wal",)))
        elif wish.get("stage") == "data":
            if fake.members[host].postgres == "running":
                return 74
            keep(fake, host, copy_of(wish, host, ("wal", "data")))
            # Its directory is gone: a Patroni that starts here makes a new one.
            member = fake.members[host]
            end = min(member.position_bytes, fake.ends.get(member.timeline, member.position_bytes))
            fake.change(
                host, role="replica", own_branch=False, postgres="stopped", position_bytes=end, wal_from_bytes=0
            )
            fake.parted = {pair: fork for pair, fork in fake.parted.items() if host not in pair}
        elif "foreign" in wish:
            assert fake.members[host].postgres != "running" and there[0].has("data"), "it may push more"
            gone = {path for _, path, _, _ in wish["barring"]}
            fake.barring = tuple(item for item in fake.barring if item.path not in gone)
            keep(fake, host, replace(there[0], quarantined=True))
        elif "prove_bytes" in wish:
            assert there[0].accounted
            keep(fake, host, replace(there[0], proof=Proof(True, "it opens")))
        else:
            keep(fake, host, replace(there[0], accounted=True, incomplete=bool(missing(fake, host, wish))))
        return 0

    world.commands.update({"sh": silence, "pg_ctl": pg_ctl, "python3": python})


def lift(fake: FakeCluster, host: str, above: int) -> None:
    """The survivor on a timeline above all, where every other one is stopped and kept."""
    member = fake.members[host]
    assert member.postgres == "stopped" and fake.dcs.peek(f"{fake.config.prefix}leader") is None
    assert all(other.patroni == "dead" for other in others(fake, host))
    assert all(copies(fake, other.name) or follows(other, member) for other in others(fake, host))
    if member.timeline <= above:
        archived = [timeline for archive in fake.archives for timeline in archive.histories]
        assert above == max([*archived, *(other.timeline for other in fake.members.values())])
        fake.begin_timeline(host, above + 1)


def keep_wal(fake: FakeCluster, host: str, wish: dict[str, Any]) -> None:
    """What is left of its WAL from there on is copied once, before a stop recycles more."""
    oldest = max(fake.members[host].wal_from_bytes, segment_start(f"{0:08X}{wish['from_segment']}", SEGMENT_BYTES))
    path = f"{wish['keep']}/wal"
    if path not in fake.hosts[host].files:
        fake.change_host(host, lambda item: item.with_file(path, str(oldest)))


def missing(fake: FakeCluster, host: str, wish: dict[str, Any]) -> list[int]:
    """The segments behind the fork that neither the copy nor, where it is asked, the archive has."""
    kept = int(fake.hosts[host].files[wish["wal_dirs"][0]]) // SEGMENT_BYTES
    archive = wish["archive"]
    until = parse_lsn(archive["until"]) if archive and archive["until"] else None
    found = []
    for piece in wish["pieces"]:
        ranges = [each for item in fake.archives for each in item.ranges if each.timeline == piece["timeline"]]
        end = kept if piece["to"] is None else min(kept, parse_lsn(piece["to"]) // SEGMENT_BYTES)
        for number in range(parse_lsn(piece["from"]) // SEGMENT_BYTES, end):
            there = any(each.first <= number <= each.last for each in ranges)
            ours = until is None or (number + 1) * SEGMENT_BYTES <= until
            if archive is None or not there or not ours:
                found.append(number)
    return found


def others(fake: FakeCluster, survivor: str) -> list[FakeMember]:
    return [member for member in fake.members.values() if member.name != survivor]


def follows(member: FakeMember, survivor: FakeMember) -> bool:
    return member.in_recovery and not member.own_branch and member.timeline == survivor.timeline


def copies(fake: FakeCluster, host: str) -> tuple[CopyFacts, ...]:
    node = fake.snapshot(frozenset({View.COPIES})).node(host)
    assert node is not None
    return known(node.copies) or ()


def keep(fake: FakeCluster, host: str, copy: CopyFacts) -> None:
    fake.facts[host] = {**fake.facts.get(host, {}), "copies": Known((copy,))}


def let_leases_end(world: FakeWorld, survivor: str = "n1") -> None:
    """As above; the lock of a Patroni that was killed is gone once somebody looks at the DCS alone, to wait for that."""
    set_up(world, survivor)
    observe = world.observe

    def look(views: frozenset[View], hosts: frozenset[str] | None) -> Snapshot:
        if views == {View.DCS} and all(member.patroni == "dead" for member in world.fake.members.values()):
            world.fake.plant("leader", None)
        return observe(views, hosts)

    world.observe = look  # type: ignore[method-assign] # one world alone


def copy_of(wish: dict[str, Any], host: str, kinds: tuple[str, ...]) -> CopyFacts:
    parts = tuple((kind, f"{wish['keep']}/{kind}") for kind in kinds)
    moment = datetime(2026, 11, 23, 3, 0, tzinfo=timezone.utc)
    return CopyFacts(wish["keep"], wish["run"], RECOVER.name, host, moment, "alice@here", "", parts)


WORLDS: list[Callable[[], FakeCluster]] = [split_brain, paused_split_brain, dead_patroni, stopped_loser, same_number]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.__name__)
def test_recover(world: Callable[[], FakeCluster], check: Callable[[Case], None]) -> None:
    with operator_host():
        check(Case(RECOVER, PARAMS, world, set_up))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(
    "world", [split_brain, paused_split_brain, dead_patroni, same_number], ids=lambda world: world.__name__
)
def test_recover_without_the_lock(world: Callable[[], FakeCluster], check: Callable[[Case], None]) -> None:
    with operator_host():
        check(Case(RECOVER, SURVIVOR_BELOW, world, let_leases_end))


def test_the_survivor_without_the_lock_is_never_rewound() -> None:
    with operator_host():
        case = Case(RECOVER, SURVIVOR_BELOW, split_brain, let_leases_end)
        world = case.world()
        outcome = case.run(world)
        assert outcome.code == 0, outcome
        assert world.fake.destroyed == []
        assert world.fake.members["n1"].holds_lock and world.fake.members["n1"].timeline > 4


@pytest.mark.parametrize("params", [PARAMS, SURVIVOR_BELOW], ids=lambda params: str(params["survivor"]))
def test_a_patroni_that_dies_by_itself_before_it_is_killed_is_no_drift(params: dict[str, str]) -> None:
    with operator_host():
        case = Case(RECOVER, params, split_brain, let_leases_end)
        world = case.world()
        plan = case.plan(world)
        world.fake.change("n1", patroni="dead")
        world.fake.change_host("n1", lambda host: replace(host, running=frozenset()))
        outcome = case.run_plan(world, plan)
        assert outcome.code == 0, outcome
        commands = [action for action in world.fake.effects if isinstance(action, RunCommand) and action.host == "n1"]
        assert not any("pgops-silence" in str(action) for action in commands)


@pytest.mark.parametrize("params", [PARAMS, SURVIVOR_BELOW], ids=lambda params: str(params["survivor"]))
@pytest.mark.parametrize("made", [split_brain, same_number], ids=lambda made: made.__name__)
def test_a_saved_plan_fits_while_both_sides_go_on_writing(
    made: Callable[[], FakeCluster], params: dict[str, str]
) -> None:
    with operator_host():
        case = Case(RECOVER, params, made, let_leases_end)
        world = case.world()
        before = case.plan(world)
        for name in ("n2", "n1"):
            world.fake.change(name, position_bytes=world.fake.members[name].position_bytes + 0x5000)
        after = case.plan(world)
        assert after.blocked is None and after.digest == before.digest


@pytest.mark.parametrize("cut", [False, True])
def test_what_comes_next_is_told(cut: bool) -> None:
    with operator_host():
        faults = Faults()
        case = Case(RECOVER, PARAMS, same_number, set_up)
        world = case.world(faults=faults)
        if cut:
            faults.crash_after(7)
            case.crash(world)
            ended = case.go_on(case.world(world.fake))
        else:
            ended = case.run(world)
        assert ended is not None and ended.next_step == (
            "pgops backup --type full, since one that was made behind the fork may be of either branch; "
            f"then pgops salvage {PINNED.run_id}, which reads the rows that n1 alone had"
        )
        assert case.run(case.world(world.fake)).next_step is None, "there was nothing to do"


def test_a_loser_whose_postgresql_ends_by_itself_before_it_is_stopped_is_no_drift() -> None:
    """Its host was rebooted, say: the hold keeps its Patroni from starting it again."""
    with operator_host():
        case = Case(RECOVER, PARAMS, split_brain, set_up)
        world = case.world()
        plan = case.plan(world)
        world.fake.change("n1", postgres="crashed")
        outcome = case.run_plan(world, plan)
        assert outcome.code == 0, outcome
        assert not any(
            "pg_ctl" in str(action.argv[0]) for action in world.fake.effects if isinstance(action, RunCommand)
        )
        assert world.fake.destroyed == [] and world.fake.members["n1"].in_recovery


def test_a_loser_whose_patroni_starts_its_postgresql_until_it_is_killed_is_no_drift() -> None:
    """Patroni tries again and again, where a guard does not let it rewind, say: it is down in one look and up in the next."""

    def down() -> FakeCluster:
        fake = split_brain()
        fake.change("n1", postgres="stopped")
        return fake

    with operator_host():
        case = Case(RECOVER, PARAMS, down, set_up)
        world = case.world()
        plan = case.plan(world)
        assert plan.blocked is None, plan.blocked
        (stop,) = [step for step in plan.steps if step.id == "stop-n1"]
        assert stop.actions and stop.verdict.reason == "PostgreSQL of n1 may have been started by its Patroni meanwhile"
        world.fake.change("n1", postgres="running")
        outcome = case.run_plan(world, plan)
        assert outcome.code == 0, outcome
        assert world.fake.destroyed == [] and world.fake.members["n1"].in_recovery


def test_nobody_is_rewound_on_the_way() -> None:
    with operator_host():
        case = Case(RECOVER, PARAMS, paused_split_brain, set_up)
        world = case.world()
        outcome = case.run(world)
        assert outcome.code == 0, outcome
        assert world.fake.destroyed == []
        assert world.fake.members["n1"].patroni == "running" and world.fake.members["n1"].in_recovery


def test_what_cannot_be_moved_aside_is_told_before_any_patroni_is_killed() -> None:
    def world() -> FakeCluster:
        fake = split_brain()
        node = fake.snapshot(frozenset({View.BRANCH})).node("n1")
        branch = known(node.branch) if node else None
        assert branch is not None
        fake.facts["n1"] = {"branch": Known(replace(branch, fixed=("/srv/space is a mount point",)))}
        return fake

    said = check_refused(Case(RECOVER, PARAMS, world, set_up))
    assert "cannot be done: n1: /srv/space is a mount point" in said


@pytest.mark.parametrize(("survivor", "told"), [("n2", "the data of n1 lies"), ("n1", "the data of n2, n3, n1 lies")])
def test_a_data_directory_that_only_the_server_tells_is_to_be_configured_first(survivor: str, told: str) -> None:
    """Once it is stopped nobody would find its copies, and the run would end with every Patroni killed."""

    def world() -> FakeCluster:
        fake = split_brain()
        fake.config = replace(fake.config, hosts=tuple(replace(host, data_dir=None) for host in fake.config.hosts))
        return fake

    assert told in check_refused(Case(RECOVER, {**PARAMS, "survivor": survivor}, world, let_leases_end))


def test_what_must_not_be_done_is_refused() -> None:
    assert "n3 takes no writes" in check_refused(Case(RECOVER, {**PARAMS, "survivor": "n3"}, split_brain, set_up))
    below = {"survivor": "n1", "without": "n2=off"}
    assert "could take the lock" in check_refused(Case(RECOVER, below, split_brain, set_up))
    assert "two DCSs" in check_refused(Case(RECOVER, PARAMS, two_dcses, set_up))
    assert "no member n9" in check_refused(Case(RECOVER, {**PARAMS, "survivor": "n9"}, split_brain, set_up))


LEFT_OUT = {"survivor": "n2", "without": "n1=off"}


def out_of_reach() -> FakeCluster:
    """n1 has commits of its own, and its host answers nobody. Patroni would rewind it, were it to come back."""
    fake = split_brain()
    fake.change("n1", host_up=False)
    fake.patch_config({"postgresql": {"use_pg_rewind": True, "parameters": {"wal_level": "replica"}}})
    fake.advance(60)
    return fake


def back_again() -> FakeCluster:
    """n1 was left out, and can be reached again; nobody kept anything of it yet."""
    fake = out_of_reach()
    outcome = Case(RECOVER, LEFT_OUT, lambda: fake, set_up).run(Case(RECOVER, LEFT_OUT, lambda: fake, set_up).world())
    assert outcome.code == 0, outcome
    fake.effects.clear()
    fake.change("n1", host_up=True)
    return fake


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(
    ("world", "params"), [(out_of_reach, LEFT_OUT), (back_again, PARAMS)], ids=["left out", "back again"]
)
def test_recover_without_a_member(
    world: Callable[[], FakeCluster], params: dict[str, str], check: Callable[[Case], None]
) -> None:
    with operator_host():
        check(Case(RECOVER, params, world, set_up))


def test_nobody_is_rewound_until_the_member_that_was_left_out_is_recovered() -> None:
    with operator_host():
        fake = out_of_reach()
        before = fake.dynamic_config()
        left = Case(RECOVER, LEFT_OUT, lambda: fake, set_up)
        assert left.run(left.world()).code == 0
        assert fake.dynamic_config() == {
            **before,
            "postgresql": {**before["postgresql"], "bin_name": {"pg_rewind": "/bin/cat"}},
        }
        fake.change("n1", host_up=True)
        back = Case(RECOVER, PARAMS, lambda: fake, set_up)
        assert back.run(back.world()).code == 0
        assert fake.dynamic_config() == before and fake.destroyed == []


def test_whom_to_leave_out_is_doubted() -> None:
    """A sign of life, a hold that is none, a member that is none, an old Patroni, one that may delete."""

    def unseen(**postgresql: object) -> Callable[[], FakeCluster]:
        def world() -> FakeCluster:
            fake = out_of_reach()
            fake.patch_config({"postgresql": postgresql})
            return fake

        return world

    refused = check_refused(Case(RECOVER, LEFT_OUT, split_brain, set_up))
    assert "n1 is said to be off, and its PostgreSQL answers" in refused
    held = {**LEFT_OUT, "without": "n1=held"}
    assert "said to be held, and its Patroni still runs" in check_refused(Case(RECOVER, held, split_brain, set_up))
    nobody = {**LEFT_OUT, "without": "n1=off,n9=off"}
    assert "no member n9 to be left out" in check_refused(Case(RECOVER, nobody, out_of_reach, set_up))
    removing = unseen(remove_data_directory_on_diverged_timelines=True)
    assert "lets Patroni remove what n1 has" in check_refused(Case(RECOVER, LEFT_OUT, removing, set_up))


def test_an_archive_that_cannot_be_read_is_not_taken_for_one_without_the_losers_wal() -> None:
    case = Case(RECOVER, PARAMS, same_number, set_up)
    with operator_host():
        world = case.world()
        world.fake.archive_unread = "the repository is not mounted"
        with pytest.raises(
            Unreachable, match=r"quarantine-n1.*the archive cannot be read: the repository is not mounted"
        ):
            case.run(world)
    assert world.fake.effects == []
