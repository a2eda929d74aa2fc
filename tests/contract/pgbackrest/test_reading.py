"""What the real pgBackRest prints is what the parsers take it for."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import timedelta

from contract.pgbackrest.site import Site
from pgops.observe.archive import parse_archive
from pgops.observe.archived_timelines import read_archived_timelines
from pgops.observe.branch_facts import SameTimeline
from pgops.observe.contested import read_barring, read_stored
from pgops.observe.facts import Archiver
from pgops.observe.lsn import parse_lsn, segment_timeline
from pgops.observe.snapshot import View
from pgops.observe.stanza import parse_info, parse_version, read_stanza
from pgops.pgbackrest.commands import check_argv, info_argv, list_argv, version_argv
from pgops.pgbackrest.statuses import explain_status
from pgops.readings import Known, Unknown, known
from pgops.testing.fake_cluster import FakeCluster, fake_config
from pgops.testing.fake_snapshot import EPOCH

_SEGMENT_BYTES = 16 * 1024 * 1024


def test_info_of_a_stanza_that_is_well(site: Site) -> None:
    reading = read_stanza(site.host, site.stanza, timeout_s=10)
    assert isinstance(reading, Known)
    facts = reading.value
    assert (facts.code, facts.backup_running, facts.archive_id) == (0, False, facts.databases[0].version + "-1")
    assert facts.pgbackrest_version == parse_version(site.pgbackrest(version_argv()))
    assert facts.current_system_identifier == site.query("select system_identifier from pg_control_system()")
    (backup,) = facts.backups
    assert (backup.kind, backup.error, backup.prior, backup.references) == ("full", False, None, ())
    assert backup.annotations == {"pgops-run": "20261123-0412-k7f3"}
    assert backup.wal_start is not None
    assert backup.wal_stop is not None
    assert backup.wal_start <= backup.wal_stop
    assert backup.stop_lsn_bytes is not None
    assert backup.stop_lsn_bytes > (backup.start_lsn_bytes or 0)
    assert (backup.size_bytes or 0) > (backup.repository_size_bytes or 0) > 0


def test_the_archive_holds_what_the_check_put_there(site: Site) -> None:
    site.pgbackrest(check_argv(site.stanza))
    archived = site.query("select last_archived_wal from pg_stat_archiver")
    listed = site.pgbackrest(list_argv(site.stanza, f"archive/demo/{_archive_id(site)}", recurse=True)).splitlines()
    facts = parse_archive(listed, 1, _archive_id(site), _SEGMENT_BYTES)
    (run,) = facts.ranges  # without a gap, although backup labels lie between
    assert (run.timeline, run.last >= int(archived[-8:], 16)) == (1, True)
    assert facts.partial == ()
    assert any(".backup" in name for name in listed)


def test_statuses_of_repositories_that_are_not_well(site: Site) -> None:
    told = {}
    cipher = {"repo1-cipher-type": "aes-256-cbc", "repo1-cipher-pass": "wrong"}
    remote = {"repo1-host": "127.63.1.9", "repo1-host-user": "nobody"}
    for name, stanza in (
        ("name", site.write_config(stanza="other", config=site.top / "s.conf")),
        ("path", site.write_config(config=site.top / "p.conf", repository=site.top / "nowhere")),
        ("cipher", site.write_config(cipher, config=site.top / "c.conf")),
        ("remote", site.write_config(remote, config=site.top / "r.conf")),
    ):
        facts = parse_info(json.loads(site.pgbackrest(info_argv(stanza))), stanza.name)
        (repository,) = facts.repositories
        told[name] = (repository.code, *explain_status(repository.code, repository.message))
    assert told["name"][:2] == told["path"][:2] == (1, "no stanza of this name in the repository")
    assert (told["cipher"][0], "decryption failed" in told["cipher"][1]) == (99, True)
    assert (told["remote"][0], "cannot be reached over ssh" in told["remote"][1]) == (99, True)
    assert "repo1-host" in told["remote"][2]
    site.run("chmod", "000", str(site.repository / "backup"))
    try:
        (closed,) = parse_info(json.loads(site.pgbackrest(info_argv(site.stanza))), "demo").repositories
    finally:
        site.run("chmod", "750", str(site.repository / "backup"))
    assert (closed.code, "may not be used" in explain_status(closed.code, closed.message)[0]) == (99, True)


def _archive_id(site: Site) -> str:
    return f"{int(site.query('show server_version_num')) // 10000}-1"


def test_the_timelines_that_the_archive_knows(site: Site) -> None:
    fake = FakeCluster(("n1",), config=replace(fake_config(("n1",), stanza="demo")))
    whole = fake.snapshot(frozenset({View.DCS, View.SQL}))
    hosts = tuple(replace(host, pgbackrest_config=site.stanza.config) for host in whole.cluster.hosts)
    nodes = tuple(replace(node, stanza=read_stanza(site.host, site.stanza, timeout_s=10)) for node in whole.nodes)
    snapshot = replace(whole, cluster=replace(whole.cluster, hosts=hosts), nodes=nodes)
    assert read_archived_timelines(snapshot, {"n1": site.host}).archived_timelines == Known({})
    texts = {number: f"1\t0/{number}000000\tno recovery target specified\n" for number in (2, 3, 17)}
    wal = site.server / "pg_wal"
    for number, text in texts.items():
        path = wal / f"{number:08X}.history"
        site.run("sh", "-c", 'printf %s "$1" >"$2"', "sh", text, str(path))
        site.run(
            "pgbackrest",
            f"--config={site.config}",
            "--stanza=demo",
            f"--pg1-path={site.server}",
            "archive-push",
            str(path),
        )
        site.run("rm", str(path))
    seen = read_archived_timelines(snapshot, {"n1": site.host}).archived_timelines
    assert seen == Known(texts), "n1 is on timeline 2"
    on_3 = tuple(replace(node, sql=Known(replace(sql, timeline=3))) for node in nodes if (sql := known(node.sql)))
    seen = read_archived_timelines(replace(snapshot, nodes=on_3), {"n1": site.host}).archived_timelines
    assert seen == Known({3: texts[3], 17: texts[17]})
    site.write_config(repository=site.top / "nowhere")
    unread = read_archived_timelines(snapshot, {"n1": site.host}).archived_timelines
    assert isinstance(unread, Unknown) and "nothing lies in archive/demo/" in unread.reason, unread


def test_whose_partial_segment_bars_another_ones(site: Site) -> None:
    """n2 archived it first; n1 has another content under its name, and its archiver fails there."""
    wal, others = site.server / "pg_wal", site.top / "other" / "pg_wal"
    segment = site.query("SELECT pg_walfile_name(pg_current_wal_lsn())")
    partial = f"{segment}.partial"
    site.run("mkdir", "-p", str(others))
    site.run("cp", str(wal / segment), str(others / partial))
    argv = ("pgbackrest", f"--config={site.config}", "--stanza=demo", f"--pg1-path={site.server}", "archive-push")
    site.run(*argv, str(others / partial))
    site.run(
        "sh", "-c", 'head -c -8 "$1" >"$2" && printf 12345678 >>"$2"', "sh", str(wal / segment), str(wal / partial)
    )

    fake = FakeCluster(("n1", "n2"), config=fake_config(("n1", "n2"), stanza="demo"))
    whole = fake.snapshot(frozenset({View.DCS, View.SQL}))
    places = {"n1": str(site.server), "n2": str(site.top / "other")}
    hosts = tuple(
        replace(host, pgbackrest_config=site.stanza.config, data_dir=places[host.name]) for host in whole.cluster.hosts
    )
    stanza = read_stanza(site.host, site.stanza, timeout_s=10)
    failing = Archiver(1, segment, EPOCH, 1, partial, EPOCH + timedelta(minutes=1), Known(1))
    mended = replace(failing, last_archived_at=EPOCH + timedelta(minutes=2))

    def seen(archiver: Archiver) -> object:
        nodes = tuple(
            replace(node, stanza=stanza, sql=Known(replace(sql, archiver=Known(archiver))))
            for node in whole.nodes
            if (sql := known(node.sql))
        )
        snapshot = replace(whole, cluster=replace(whole.cluster, hosts=hosts), nodes=nodes)
        return read_barring(snapshot, {"n1": site.host, "n2": site.host}).barring

    found = seen(failing)
    assert isinstance(found, Known)
    (item,) = found.value
    assert (item.name, item.holders, item.strangers) == (partial, ("n2",), ("n1",))
    assert item.path.startswith(f"archive/demo/{_archive_id(site)}/{segment[:16]}/{partial}-{item.sha1}")
    assert seen(mended) == Known(())
    site.run("rm", str(wal / partial), str(others / partial))


def test_what_a_member_archived_since_it_was_looked_at_is_not_foreign_to_it(site: Site) -> None:
    """n1 finished and archived a segment behind the end that was seen, and another one that it recycled; n2 has neither."""
    other = site.top / "behind"
    site.run("mkdir", "-p", str(other / "pg_wal" / "archive_status"))
    wal = site.server / "pg_wal"
    began = site.query("SELECT pg_current_wal_lsn()")
    names = [
        site.query("SELECT pg_walfile_name(pg_switch_wal())") for _ in range(3) if site.query("SELECT txid_current()")
    ]
    deadline = time.monotonic() + 60
    while site.query("SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver") < names[2]:
        assert time.monotonic() < deadline, "they were not archived"
        time.sleep(0.1)
    site.run("rm", str(wal / names[0]))
    first = f"{names[0][:16]}{int(names[0][16:], 16) - 1:08X}"
    site.run("touch", str(other / "pg_wal" / first))

    fake = FakeCluster(("n1", "n2"), config=fake_config(("n1", "n2"), stanza="demo"))
    whole = fake.snapshot(frozenset({View.DCS, View.SQL}))
    places = {"n1": str(site.server), "n2": str(other)}
    hosts = tuple(
        replace(host, pgbackrest_config=site.stanza.config, data_dir=places[host.name]) for host in whole.cluster.hosts
    )
    timeline, end = segment_timeline(names[0]), parse_lsn(began)
    nodes = tuple(
        replace(
            node,
            stanza=read_stanza(site.host, site.stanza, timeout_s=10),
            sql=Known(replace(sql, timeline=timeline, flush_bytes=end, in_recovery=False)),
        )
        for node in whole.nodes
        if (sql := known(node.sql))
    )
    snapshot = replace(whole, cluster=replace(whole.cluster, hosts=hosts), nodes=nodes)
    pair = SameTimeline("n1", "n2", timeline, Known(end))
    seen = read_stored(snapshot, {"n1": site.host, "n2": site.host}, pair, end, 16 << 20)
    assert isinstance(seen, Known), seen
    told = {item.name: (item.holders, item.strangers) for item in seen.value if item.name in names}
    assert told == {names[0]: ((), ("n2",)), names[1]: (("n1",), ("n2",)), names[2]: (("n1",), ("n2",))}
