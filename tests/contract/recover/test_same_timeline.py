"""Two real servers, promoted apart to one timeline number: nothing but their WAL tells where they part."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from contract.recover.own_server import place_for_servers
from contract.recover.test_account import SEGMENT, Pair, wait
from pgops.config.model import HostConfig, Timeouts
from pgops.hosts.factory import open_host
from pgops.observe.branches import read_branch
from pgops.observe.host import read_files
from pgops.observe.lsn import format_lsn, parse_lsn
from pgops.observe.same_timeline import read_same_timeline
from pgops.observe.snapshot import View
from pgops.readings import Known, known
from pgops.testing.fake_cluster import FakeCluster
from pgops_recover.programs import argv_of


@pytest.fixture
def pair() -> Iterator[Pair]:
    with place_for_servers("twins") as (top, programs):
        pair = Pair(top, programs)
        try:
            pair.run(
                f"{programs}/initdb", "-D", f"{top}/old", "-A", "trust", "-U", "boss", "--no-sync", "--wal-segsize=1"
            )
            pair.start("old")
            for name in ("one", "two"):
                words = ("-D", f"{top}/{name}", "-h", f"{top}/old.d", "-U", "boss", "-R", "-N", "-c", "fast")
                pair.run(f"{programs}/pg_basebackup", *words)
                pair.start(name)
            yield pair
        finally:
            for name in ("one", "two", "old"):
                pair.stop(name, "immediate")


def _fork(pair: Pair) -> int | None:
    """What pgops says, from the servers' own files; both take writes."""
    fake = FakeCluster(("one", "two"))
    now = fake.snapshot(frozenset({View.DCS, View.SQL}))
    owner = "postgres" if os.geteuid() == 0 else None
    config = [
        HostConfig(name, become=owner, data_dir=f"{pair.top}/{name}", bin_dir=str(pair.bin_dir))
        for name in ("one", "two")
    ]
    hosts = {host.name: open_host(host, Timeouts()) for host in config}
    now = replace(now, cluster=replace(now.cluster, hosts=tuple(config)))
    for node in now.nodes:
        sql = known(node.sql)
        assert sql is not None
        asked = "('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int"
        end = pair.sql(node.name, f"SELECT pg_current_wal_flush_lsn(), {asked}")
        lsn, timeline = end.split("|")
        sql = replace(sql, timeline=int(timeline), in_recovery=False, flush_bytes=parse_lsn(lsn), segment_bytes=SEGMENT)
        data_dir, host = f"{pair.top}/{node.name}", hosts[node.name]
        branch = read_branch(host, data_dir, str(pair.bin_dir), timeout_s=30)
        files = read_files(host, data_dir, timeout_s=30)
        now = now.with_node(replace(node, sql=Known(sql), branch=branch, files=files))
    pairs = known(read_same_timeline(now, hosts).same_timeline)
    assert pairs is not None and len(pairs) == 1
    assert isinstance(pairs[0].fork_bytes, Known), pairs[0].fork_bytes
    assert pairs[0].timeline == 2
    return pairs[0].fork_bytes.value


def test_where_two_of_one_number_part(pair: Pair) -> None:
    pair.sql("old", "CREATE TABLE t (id int, body text); SELECT pg_switch_wal(); INSERT INTO t VALUES (0, 'both')")
    for name in ("one", "two"):
        wait(lambda name=name: pair.sql(name, "SELECT count(*) FROM pg_class WHERE relname = 't'") == "1")
        wait(lambda name=name: pair.sql(name, "SELECT count(*) FROM t") == "1")
    pair.stop("old", "fast")
    for name in ("one", "two"):
        pair.run(f"{pair.bin_dir}/pg_ctl", "-D", f"{pair.top}/{name}", "-w", "promote")
    texts = {name: pair.run("cat", f"{pair.top}/{name}/pg_wal/00000002.history") for name in ("one", "two")}
    assert texts["one"] == texts["two"], "a history file would have told"
    begins = parse_lsn(texts["one"].split()[1])
    pair.sql("one", "INSERT INTO t SELECT n, repeat('one', 100) FROM generate_series(1, 20000) n")
    pair.sql("two", "INSERT INTO t SELECT n, repeat('two', 100) FROM generate_series(1, 9000) n")
    fork = _fork(pair)
    assert fork is not None and fork >= begins
    dumped = {}
    for name in ("one", "two"):
        words = ("-p", f"{pair.top}/{name}/pg_wal", "-t", "2", "-s", format_lsn(begins), "-n", "400")
        dumped[name] = pair.run(f"{pair.bin_dir}/pg_waldump", *words).splitlines()
    alike = 0
    while dumped["one"][alike] == dumped["two"][alike]:
        alike += 1
    place = dumped["one"][alike].partition("lsn: ")[2].partition(",")[0]
    assert format_lsn(fork) == format_lsn(parse_lsn(place)), (dumped["one"][alike], dumped["two"][alike])

    # What was open at the fork is read from the timeline before.
    wish = {
        "pg_waldump": f"{pair.bin_dir}/pg_waldump",
        "wal_dirs": [f"{pair.top}/two/pg_wal"],
        "segment_bytes": SEGMENT,
        "pieces": [{"timeline": 2, "from": format_lsn(fork), "to": None}],
        "ancestors": [{"timeline": 1, "to": format_lsn(begins)}],
        "into": None,
    }
    account = json.loads(pair.run(*argv_of("account", wish)))
    assert account["complete"] and account["transactions"]["count"] == 1, account
    assert [item["inserted"] for item in account["relations"]] == [9000]
    assert account["first_xid"] == int(pair.sql("two", "SELECT min(xmin::text::int) FROM t WHERE body LIKE 'two%'"))
