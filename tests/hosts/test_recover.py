"""`pgops recover split-brain` over SSH on whole systemd hosts, with their configuration in /etc: nothing is lost."""

from __future__ import annotations

import csv
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hosts.harness.cluster import PatroniCluster
from hosts.harness.desk import Desk
from hosts.harness.guide import SCOPE, STANZA
from hosts.harness.operator import HOST_USER

pytestmark = [pytest.mark.hosts, pytest.mark.xdist_group("hosts")]

_SETUP = """
CREATE TABLE sides (id int PRIMARY KEY, note text); CREATE TABLE beside (id int, note text);
INSERT INTO sides SELECT n, 'before' FROM generate_series(1, 10) n
"""
_WRITES = (
    "INSERT INTO sides SELECT n, '{word}, ' || n FROM generate_series({first}, {last}) n",
    "UPDATE sides SET note = 'changed by {word}' WHERE id = 1",
    "DELETE FROM sides WHERE id = 2",
    "BEGIN; INSERT INTO sides VALUES (9999, 'never'); ROLLBACK",
    "INSERT INTO beside VALUES ({first}, NULL), ({first}, '{word}')",
)
_HOLD = ("/etc/systemd/system/patroni.service.d/50-pgops-hold.conf", "/etc/pgops/hold/patroni.service")
_UNIT = ["systemctl", "show", "--property=UnitFileState,ActiveState,DropInPaths,NeedDaemonReload", "patroni"]
_LONG_S = 300.0


@contextmanager
def split(cluster: PatroniCluster) -> Iterator[tuple[str, str]]:
    """(the former leader, whose Patroni is frozen and whose PostgreSQL goes on, the new one); all is well at the end."""
    former = cluster.wait_until_well()
    cluster.sql(former, _SETUP)
    cluster.freeze_patroni(former)
    try:
        yield former, cluster.wait_for_leader_beside(former)
    except BaseException:
        for host in cluster.hosts.machines.values():
            host.call(["rm", "-f", *_HOLD])
            host.call(["systemctl", "daemon-reload"])
            host.call(["systemctl", "start", "patroni"])
        cluster.thaw_patroni(former)
        raise
    finally:
        cluster.sql(cluster.wait_until_well(), "DROP TABLE sides, beside")


def write(cluster: PatroniCluster, name: str, word: str, first: int) -> dict[int, tuple[str, str]]:
    """Forty rows, one change and one deletion, and a transaction that is rolled back; what a salvage would say of them."""
    for statement in _WRITES:
        cluster.sql(name, statement.format(word=word, first=first, last=first + 39))
    rows = {first + n: (f"{word}, {first + n}", "insert") for n in range(40)}
    return {1: (f"changed by {word}", "update"), **rows}


def read_sides(cluster: PatroniCluster, name: str) -> dict[int, str]:
    """What a member has."""
    return {int(id_): note for id_, note in cluster.sql(name, "SELECT id, note FROM sides")}


def expected(written: dict[int, tuple[str, str]]) -> dict[int, str]:
    """The whole table where only this side wrote."""
    before = {n: "before" for n in range(1, 11) if n != 2}
    return {**before, **{id_: note for id_, (note, _) in written.items()}}


def streams(cluster: PatroniCluster, name: str) -> bool:
    """Whether it is a replica that streams."""
    return cluster.sql(name, "SELECT pg_is_in_recovery(), (SELECT status FROM pg_stat_wal_receiver)") == [
        ["t", "streaming"]
    ]


def check_salvage(
    cluster: PatroniCluster, desk: Desk, run: str, member: str, lost: dict[int, tuple[str, str]], first: int
) -> None:
    """The rows that only this member had are there, one for one, and no others."""
    (copy,) = json.loads(desk.done("copies", "show", run, "--node", member, "-f", "json"))["copies"]
    assert copy["salvage"] is not None and copy["account"]["complete"], copy
    tables = {
        table["table"]: [table[name] for name in ("inserted", "updated", "deleted", "rows")]
        for table in copy["salvage"]["tables"]
    }
    assert tables == {"public.sides": [40, 1, 1, 41], "public.beside": [2, 0, 0, 2]}
    host = cluster.hosts[member]

    def rows(table: str) -> list[dict[str, str]]:
        text = host.call(["cat", f"{copy['path']}/salvage/postgres/public.{table}.csv"])
        return list(csv.DictReader(text.splitlines()))

    assert {int(row["id"]): (row["note"], row["_pgops_change"]) for row in rows("sides")} == lost
    assert len(rows("sides")) == len(lost)
    assert [int(row["id"]) for row in rows("beside")] == [first, first]
    deleted = host.call(["cat", f"{copy['path']}/salvage/postgres/public.sides.deleted.tsv"]).splitlines()
    assert len(deleted) == 2, "one row, below the headline"
    owner = host.call(["stat", "-c", "%U %a", f"{copy['path']}/salvage/postgres/public.sides.csv"]).split()
    assert owner == ["postgres", "600"]


def bring_back(
    cluster: PatroniCluster, desk: Desk, run: str, loser: str, survivor: str, lost: dict[int, tuple[str, str]]
) -> None:
    """What only the loser had comes to the survivor, once a person wrote COMMIT, and once only."""
    one = (run, "--node", loser)
    shown = desk.pgops("salvage", "apply", *one, "--dry-run", "-f", "json")
    assert shown.exit_code == 3, shown.stdout + shown.stderr
    told = {each["table"]: each for each in json.loads(shown.stdout)["conflicts"]}
    counts = [told["public.sides"][name] for name in ("rows", "absent", "held", "same", "both", "changed")]
    assert counts == [41, 40, 0, 0, 0, 1] and told["public.sides"]["changed_keys"] == ["1"]
    assert told["public.beside"]["rows"] == 2 and "no primary key" in told["public.beside"]["why"]

    before = read_sides(cluster, survivor)
    (copy,) = [each for each in copies_of(desk) if each["member"] == loser]
    script = f"{copy['path']}/salvage/postgres.sql"
    cluster.hosts[loser].call(["sed", "-i", "s/^ROLLBACK;$/COMMIT;/", script])
    desk.done("salvage", "apply", *one)
    inserted = {id_: note for id_, (note, change) in lost.items() if change == "insert"}
    assert read_sides(cluster, survivor) == {**before, **inserted}
    assert "nothing to do" in desk.done("salvage", "apply", *one)
    ((applied,),) = [each["applied"] for each in copies_of(desk) if each["member"] == loser]
    assert (applied["leader"], applied["inserted"], applied["outcome"]) == (survivor, 40, "committed")
    kept = cluster.hosts[loser].call(["stat", "-c", "%U %a", f"{copy['path']}/salvage/applied.json"]).split()
    assert kept == ["postgres", "600"]
    desk.done("salvage", "remove", *one, "--confirm", SCOPE)
    assert desk.pgops("copies", "remove", *one, "--confirm", SCOPE).exit_code == 3
    desk.done("salvage", run)


def check_end(cluster: PatroniCluster, desk: Desk, survivor: str, run: str, units: dict[str, str]) -> None:
    """Nothing of it is left but what the survivor has; a second run does nothing."""
    assert "nothing to do" in desk.done("recover", "split-brain", "--survivor", survivor)
    desk.done("copies", "remove", run, "--confirm", SCOPE)
    assert "there are no safety copies" in desk.done("copies", "list")
    beside = Path(cluster.plan.data_dir).parent.relative_to("/")
    for name, host in cluster.hosts.machines.items():
        # A guard that was removed leaves the directory of its programs, with nothing in it.
        left = [path for path in (host.root / beside).iterdir() if not path.is_dir() or any(path.iterdir())]
        assert [path.name for path in left] == [Path(cluster.plan.data_dir).name]
        assert host.call(_UNIT) == units[name], name
        assert not any((host.root / path.lstrip("/")).exists() for path in _HOLD)
    assert cluster.wait_until_well() == survivor
    found = desk.health("--deep")
    assert found.exit_code == 0, found.faults


def kill_midway(cluster: PatroniCluster, desk: Desk, loser: str, *words: str) -> str:
    """pgops, killed as soon as WAL is kept; the id of its run."""
    doomed = desk.start(*words)
    place = Path(cluster.plan.data_dir)
    beside = cluster.hosts[loser].root / str(place.parent).lstrip("/")
    deadline = time.monotonic() + 60
    while not (copies := list(beside.glob(f"{place.name}.pgops-*/manifest.json"))):
        assert time.monotonic() < deadline, "no copy was made"
        time.sleep(0.05)
    os.killpg(doomed, signal.SIGKILL)
    os.waitpid(doomed, 0)
    assert "unfinished" in desk.done("runs", "list")
    return copies[0].parent.name.partition(".pgops-")[2]


def units_of(cluster: PatroniCluster) -> dict[str, str]:
    """How Patroni's unit stands on each host."""
    return {name: host.call(_UNIT) for name, host in cluster.hosts.machines.items()}


def copies_of(desk: Desk) -> list[dict[str, Any]]:
    """What `copies list` says."""
    found: list[dict[str, Any]] = json.loads(desk.done("copies", "list", "-f", "json"))["copies"]
    return found


def test_the_former_leader_loses_and_nothing_is_lost(cluster: PatroniCluster, desk: Desk) -> None:
    """Though pgops is killed midway, and then the power of its host fails."""
    cluster.wait_until_well()
    units = units_of(cluster)
    with split(cluster) as (loser, survivor):
        lost, kept = write(cluster, loser, "lost", 101), write(cluster, survivor, "kept", 201)
        told = desk.done("recover", "split-brain", "--dry-run")
        assert f"what only {loser} has: 4 transactions" in told, told
        assert "postgres: public.sides: 40 rows inserted, 1 updated, 1 deleted" in told, told
        assert "postgres: public.beside: 2 rows inserted" in told and f"--survivor {survivor}" in told
        assert read_sides(cluster, loser) == expected(lost), "a dry run changed something"

        words = ("recover", "split-brain", "--survivor", survivor, "--yes")
        run = kill_midway(cluster, desk, loser, *words)
        cluster.hosts[loser].power_off()
        cluster.hosts[loser].power_on()
        assert cluster.primaries() == [survivor], "its Patroni was started at boot, or another one"
        desk.done("runs", "continue", run, "--yes", timeout_s=_LONG_S)
        assert read_sides(cluster, survivor) == expected(kept)
        assert streams(cluster, loser) and read_sides(cluster, loser) == expected(kept)
        (copy,) = copies_of(desk)
        assert (copy["member"], copy["run"], copy["accounted"]) == (loser, run, True)
        measured = cluster.hosts[loser].call(["du", "-s", "--block-size=1", copy["path"]]).split()[0]
        assert copy["size_bytes"] == int(measured)

        desk.done("salvage", run)
        check_salvage(cluster, desk, run, loser, lost, 101)
        bring_back(cluster, desk, run, loser, survivor, lost)
        check_end(cluster, desk, survivor, run, units)


def test_the_survivor_has_not_the_lock(cluster: PatroniCluster, tmp_path: Path) -> None:
    """Through sudo, by an operator who has no login of root's. The former leader goes on, above all timelines there."""
    cluster.wait_until_well()
    tmp_path.chmod(0o700)
    desk, units = Desk(cluster, tmp_path / "state", login=HOST_USER), units_of(cluster)
    for name in cluster.hosts.names:
        cluster.grant_root(name)
    try:
        with split(cluster) as (survivor, holder):
            kept, lost = write(cluster, survivor, "kept", 301), write(cluster, holder, "lost", 401)
            desk.done("recover", "split-brain", "--survivor", survivor, "--yes", timeout_s=_LONG_S)
            assert read_sides(cluster, survivor) == expected(kept)
            others = [name for name in cluster.hosts.names if name != survivor]
            assert all(streams(cluster, name) for name in others)
            assert all(read_sides(cluster, name) == expected(kept) for name in others)
            # Members that read the archive follow the highest timeline there: all of them down to the fork must be in it.
            histories = "SELECT pg_read_file('pg_wal/' || name) FROM pg_ls_waldir() WHERE name LIKE '%.history'"
            present = int(cluster.sql(survivor, "SELECT timeline_id FROM pg_control_checkpoint()")[0][0])
            archived = (
                cluster.hosts[survivor]
                .call(["ls", f"/var/lib/pgbackrest/archive/{STANZA}/{cluster.plan.version}-1"])
                .split()
            )
            ancestors = {int(line[0]) for line in cluster.sql(survivor, histories) if line[0].isdecimal()}
            assert {f"{each:08X}.history" for each in (*ancestors, present) if each > 1} <= set(archived)

            run = copies_of(desk)[0]["run"]
            desk.done("salvage", run)
            check_salvage(cluster, desk, run, holder, lost, 401)
            bring_back(cluster, desk, run, holder, survivor, lost)
            check_end(cluster, desk, survivor, run, units)
    finally:
        for name in cluster.hosts.names:
            cluster.revoke_root(name)
