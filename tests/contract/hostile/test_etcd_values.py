"""Hostile values and names under Patroni's keys in a real etcd, read by both drivers and judged."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contract.dcs.etcd_cluster import EtcdCluster, need_etcd
from contract.hostile.observing import cluster as configured
from contract.hostile.observing import look
from pgops.checks import Verdict
from pgops.config.model import DcsKind
from pgops.observe.snapshot import View
from pgops.readings import Known
from unit.health.names import NAMES

PREFIX = "/service/demo/"
KEYS = (
    *("leader", "config", "history", "status", "sync", "failover", "failsafe", "initialize"),
    *("optime/leader", "members/n1", "members/n9"),
)
VALUES = {
    "nothing": b"",
    "not JSON": b"{not json",
    "null": b"null",
    "NaN": b"NaN",
    "a huge number": b"9" * 400,
    "a text": b'"x"',
    "a list of lists": b"[[[[]]],[1,2,3],[null,null,null]]",
    "deep nesting": b"[" * 50_000,
    "objects in objects": b'{"a":' * 3000 + b"1" + b"}" * 3000,
    "escape codes": b"\x1b[31mred\x1b]0;title\x07\nCRITICAL faked",
    "escape codes in JSON": b'{"state":"\\u001b[31m","role":"\\u202e\\n","tags":{"\\u0007":"\\ud800"}}',
    "not UTF-8": b'{"state":"\xff\xfe\x00"}\xc3',
    "large": b'{"state":"' + b"x" * 200_000 + b'"}',
}
VIEWS = frozenset({View.REST, View.DCS, View.SQL})


@pytest.fixture(scope="module")
def etcd() -> Iterator[EtcdCluster]:
    need_etcd()
    made = EtcdCluster(size=1)
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.mark.parametrize("value", VALUES)
def test_one_value_in_every_key(etcd: EtcdCluster, value: str) -> None:
    etcd.ctl("del", "--prefix", PREFIX)
    for key in KEYS:
        if VALUES[value]:
            etcd.ctl("put", PREFIX + key, stdin=VALUES[value])
        else:
            etcd.ctl("put", PREFIX + key, "")
    outcome = look(configured(kind=DcsKind.ETCD3, endpoints=etcd.urls, login=False), VIEWS)
    assert isinstance(outcome.report.snapshot.keys, Known)
    assert outcome.report.verdict in (Verdict.CRITICAL, Verdict.UNKNOWN)
    assert all(finding.verdict is not Verdict.OK for finding in outcome.of("lock"))
    if value not in ("nothing", "null"):
        assert any(finding.verdict is Verdict.UNKNOWN for finding in outcome.of("configuration"))


@pytest.mark.parametrize("kind", [DcsKind.ETCD3, DcsKind.ETCD])
def test_hostile_member_names(etcd: EtcdCluster, kind: DcsKind) -> None:
    """A name is a key here: all of them at once, each of a member whose address leads nowhere."""
    member = b'{"api_url":"http://127.0.0.1:1/patroni","conn_url":"postgres://127.0.0.1:1/x","state":"running"}'
    verb, api = ("put", 3) if kind is DcsKind.ETCD3 else ("set", 2)
    etcd.ctl(*(("del", "--prefix", PREFIX) if api == 3 else ("rm", "-r", PREFIX)), api=api, check=False)
    names = [name for name in NAMES if name and "\ud800" not in name and len(name) < 200]
    for name in names:
        etcd.ctl(verb, f"{PREFIX}members/{name}", stdin=member, api=api)
    etcd.ctl(verb, f"{PREFIX}leader", stdin=names[0].encode(), api=api)
    outcome = look(configured(kind=kind, endpoints=etcd.urls, login=False), VIEWS)
    seen = {node.name for node in outcome.report.snapshot.nodes}
    assert len(seen) == len(names) + 1
    assert outcome.report.verdict is Verdict.CRITICAL
