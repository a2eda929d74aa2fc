"""Transactions and leases against a real etcd, by both drivers; in a forked child where `test_forked` runs this."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

import pytest

from contract.dcs.etcd_cluster import EtcdCluster, need_etcd
from pgops.config.model import DcsConfig, DcsKind
from pgops.dcs import Compare, Dcs, DcsFault, DcsOutcomeUnknown, Delete, Put
from pgops.dcs.etcd2 import Etcd2Dcs
from pgops.dcs.etcd3 import Etcd3Dcs
from pgops.dcs.forked import GRACE_S, ForkedDcs

TIMEOUT_S = 2.0
LIMIT_S = TIMEOUT_S + GRACE_S + 0.5

KINDS = ["etcd3 forked", "etcd forked"] if os.environ.get("PGOPS_TEST_DCS") == "forked" else ["etcd3", "etcd"]

_names = count(1)

Open = Callable[[], Dcs]


@pytest.fixture(scope="module")
def cluster() -> Iterator[EtcdCluster]:
    need_etcd()
    cluster = EtcdCluster()
    try:
        yield cluster.start()
    finally:
        cluster.stop()


@pytest.fixture
def mended(cluster: EtcdCluster) -> Iterator[EtcdCluster]:
    yield cluster
    cluster.mend()


def make_dcs(kind: DcsKind, urls: tuple[str, ...]) -> Dcs:
    driver = Etcd3Dcs if kind is DcsKind.ETCD3 else Etcd2Dcs
    return driver(DcsConfig(kind, urls), timeout_s=TIMEOUT_S)


@pytest.fixture(params=KINDS)
def open_dcs(request: pytest.FixtureRequest, cluster: EtcdCluster) -> Iterator[Open]:
    kind, _, forked = request.param.partition(" ")
    opened: list[Dcs] = []

    def make() -> Dcs:
        direct = partial(make_dcs, DcsKind(kind), cluster.urls)
        opened.append(ForkedDcs(direct, timeout_s=TIMEOUT_S) if forked else direct())
        return opened[-1]

    yield make
    for dcs in opened:
        dcs.close()


@pytest.fixture
def key() -> str:
    return f"/pgops/v1/service/main/k{next(_names)}"


def test_a_transaction_makes_all_changes_or_none(open_dcs: Open, key: str) -> None:
    dcs = open_dcs()
    made = dcs.transact([Compare(key, 0)], [Put(key, "one"), Put(f"{key}/b", "two")])
    assert made.succeeded and made.found == {}
    keys = dcs.read_keys([key, f"{key}/b", f"{key}/none"])
    assert {name: (item.value, item.revision) for name, item in keys.items()} == {
        key: ("one", made.revision),
        f"{key}/b": ("two", made.revision),
    }
    failed = dcs.transact([Compare(key, 0), Compare(f"{key}/none", 0)], [Put(key, "three"), Delete(f"{key}/b")])
    assert not failed.succeeded
    assert failed.found == {key: keys[key], f"{key}/none": None}
    assert dcs.read_prefix(f"{key}/") == {f"{key}/b": keys[f"{key}/b"]}
    changed = dcs.transact([Compare(key, made.revision)], [Put(key, "ü\n"), Delete(f"{key}/b")])
    assert changed.revision > made.revision
    assert {name: item.value for name, item in dcs.read_keys([key, f"{key}/b"]).items()} == {key: "ü\n"}


def test_of_two_writers_exactly_one_wins(open_dcs: Open, key: str) -> None:
    writers, won = [open_dcs(), open_dcs()], []

    def race(number: int, dcs: Dcs) -> None:
        for turn in range(20):
            if dcs.transact([Compare(f"{key}/{turn}", 0)], [Put(f"{key}/{turn}", str(number))]).succeeded:
                won.append((turn, str(number)))

    threads = [threading.Thread(target=race, args=pair) for pair in enumerate(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(turn for turn, _ in won) == list(range(20))
    keys = writers[0].read_prefix(f"{key}/")
    assert {int(name.rpartition("/")[2]): item.value for name, item in keys.items()} == dict(won)


def test_a_lease_is_kept_ends_and_is_revoked(open_dcs: Open, key: str) -> None:
    dcs = open_dcs()
    lease = dcs.grant_lease(2)
    assert dcs.transact([Compare(key, 0)], [Put(key, "held", lease)]).succeeded
    assert dcs.read_keys([key])[key].lease == lease
    for _ in range(4):
        time.sleep(0.7)
        assert dcs.keep_lease(lease) == 2
    assert key in dcs.read_keys([key])
    deadline = time.monotonic() + 10
    while dcs.read_keys([key]) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert dcs.read_keys([key]) == {}
    assert dcs.keep_lease(lease) == 0
    dcs.revoke_lease(lease)
    with pytest.raises(DcsFault, match="the lease is gone") as caught:
        dcs.transact([], [Put(key, "late", lease)])
    assert not isinstance(caught.value, DcsOutcomeUnknown)
    other = dcs.grant_lease(60)
    dcs.transact([], [Put(key, "held", other)])
    dcs.revoke_lease(other)
    assert dcs.read_keys([key]) == {} and dcs.keep_lease(other) == 0


def test_keeping_a_lease_leaves_nothing_behind(cluster: EtcdCluster) -> None:
    dcs = make_dcs(DcsKind.ETCD3, cluster.urls)
    lease = dcs.grant_lease(30)
    time.sleep(0.5)  # the questions to the other members end
    before = threading.active_count()
    started = time.monotonic()
    assert {dcs.keep_lease(lease) for _ in range(100)} == {30}
    assert threading.active_count() <= before
    assert time.monotonic() - started < 10
    dcs.close()


def test_more_than_etcd_takes_is_refused(open_dcs: Open, key: str) -> None:
    with pytest.raises(DcsFault, match=r"more than etcd takes in one request") as caught:
        open_dcs().transact([], [Put(key, "x" * 3_000_000)])
    assert not isinstance(caught.value, DcsOutcomeUnknown)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_leader_is_preferred_and_one_that_hangs_is_not(mended: EtcdCluster, key: str, number: int) -> None:
    ids = {member: _status(mended, member)["header"]["member_id"] for member in (1, 2, 3)}
    leader = next(member for member in ids if ids[member] == _status(mended, member)["leader"])
    if leader != number:
        mended.ctl("move-leader", f"{ids[number]:x}", number=leader)
    config = DcsConfig(DcsKind.ETCD3, mended.urls)
    dcs = Etcd3Dcs(config, timeout_s=TIMEOUT_S)
    dcs.warm_up()
    assert dcs._writes.chosen() == mended.url(number)
    assert dcs.transact([], [Put(key, "one")]).succeeded
    dcs.close()
    mended.signal(number, signal.SIGSTOP)
    other = Etcd3Dcs(config, timeout_s=TIMEOUT_S)
    deadline = time.monotonic() + 20
    while other._writes.chosen() is None and time.monotonic() < deadline:  # the others have to elect first
        other.warm_up()
    assert other._writes.chosen() in {mended.url(n) for n in (1, 2, 3) if n != number}
    assert other.transact([], [Put(key, "two")]).succeeded
    other.close()


def _status(cluster: EtcdCluster, number: int) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(cluster.ctl("endpoint", "status", "-w", "json", number=number))[0]["Status"]
    return status


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP])
def test_a_member_lost_is_left_for_another_and_nothing_is_done_twice(
    mended: EtcdCluster, open_dcs: Open, key: str, sign: signal.Signals
) -> None:
    """Whichever member takes the writes: each is lost in turn, with writes before and after."""
    dcs = open_dcs()
    lease = dcs.grant_lease(60)
    for number in (1, 2, 3):
        counter = f"{key}/{number}"
        assert dcs.transact([Compare(counter, 0)], [Put(counter, "before")]).succeeded
        mended.kill(number) if sign is signal.SIGKILL else mended.signal(number, sign)
        sent, deadline = 0, time.monotonic() + 20
        while True:
            started = time.monotonic()
            try:
                done = dcs.transact([], [Put(counter, "after")])
                assert done.succeeded
                sent += 1
                break
            except DcsFault as fault:
                sent += isinstance(fault, DcsOutcomeUnknown)
                assert time.monotonic() - started < LIMIT_S
                assert time.monotonic() < deadline, str(fault)
        mended.mend()
        time.sleep(0.3)  # what a frozen member still held is done by now
        versions = json.loads(mended.ctl("get", "-w", "json", counter))["kvs"][0]["version"]
        assert 2 <= versions <= 1 + sent
        assert dcs.keep_lease(lease) == 60
    assert {item.value for item in dcs.read_prefix(f"{key}/").values()} == {"after"}


def test_without_a_quorum_a_write_fails_in_time(mended: EtcdCluster, open_dcs: Open, key: str) -> None:
    dcs = open_dcs()
    lease = dcs.grant_lease(60)
    dcs.transact([], [Put(key, "before")])
    mended.kill(2)
    mended.kill(3)
    calls: list[Callable[[], object]] = [
        lambda: dcs.transact([], [Put(key, "after")]),
        lambda: dcs.keep_lease(lease),
        lambda: dcs.grant_lease(60),
        lambda: dcs.read_keys([key]),
    ]
    for call in calls:
        started = time.monotonic()
        with pytest.raises(DcsFault):
            call()
        assert time.monotonic() - started < LIMIT_S
    # By now no member is in touch with a leader: it is known that nothing was sent.
    with pytest.raises(DcsFault) as caught:
        dcs.transact([], [Put(key, "after")])
    assert not isinstance(caught.value, DcsOutcomeUnknown)


def test_several_threads_do_not_wait_for_each_other(mended: EtcdCluster, open_dcs: Open, key: str) -> None:
    """A read that hangs with one member must not hold up the keeping of a lease."""
    dcs = open_dcs()
    lease = dcs.grant_lease(60)
    slow = threading.Thread(target=lambda: [dcs.health() for _ in range(2)], daemon=True)
    mended.signal(1, signal.SIGSTOP)
    slow.start()
    worst = 0.0
    for _ in range(10):
        started = time.monotonic()
        assert dcs.keep_lease(lease) == 60
        worst = max(worst, time.monotonic() - started)
    assert worst < LIMIT_S  # where the stopped member led etcd, the others elect first; the reads take twice TIMEOUT_S
    mended.signal(1, signal.SIGCONT)
    slow.join(20)


def test_patronis_own_keys_are_not_written_beside_the_v2_api(cluster: EtcdCluster) -> None:
    dcs = make_dcs(DcsKind.ETCD, cluster.urls)
    for call in (
        lambda: dcs.transact([], [Put("/service/main/config", "{}")]),
        lambda: dcs.transact([Compare("/service/main/config", 1)], [Put("/pgops/x", "")]),
        lambda: dcs.read_keys(["/service/main/config"]),
    ):
        with pytest.raises(DcsFault, match=r"only keys under /pgops/ .*not /service/main/config"):
            call()
    cluster.ctl("set", "/pgops/v1/in-v2", "x", api=2)
    assert "/pgops/v1/in-v2" not in dcs.read_prefix("/pgops/v1/")
    dcs.close()
