"""What a failed write can have done, by gRPC's and etcd's words."""

from __future__ import annotations

import pytest

from pgops.dcs.etcd3_meaning import Fate, explain, fate, may_be_read_again


@pytest.mark.parametrize(
    ("code", "details", "expected"),
    [
        ("UNAVAILABLE", "failed to connect to all addresses; last error: UNKNOWN: Connection refused", Fate.NOT_SENT),
        ("UNAVAILABLE", "DNS resolution failed for etcd1:2379", Fate.NOT_SENT),
        ("UNKNOWN", "raft proposal dropped", Fate.NOT_SENT),
        ("UNAVAILABLE", "Socket closed", Fate.UNKNOWN),
        ("UNAVAILABLE", "etcdserver: request timed out", Fate.UNKNOWN),
        ("UNAVAILABLE", "etcdserver: request timed out, possibly due to previous leader failure", Fate.UNKNOWN),
        ("UNAVAILABLE", "etcdserver: leader changed", Fate.UNKNOWN),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", Fate.UNKNOWN),
        ("CANCELLED", "", Fate.UNKNOWN),
        ("INTERNAL", "anything", Fate.UNKNOWN),
        ("", "", Fate.UNKNOWN),
        ("RESOURCE_EXHAUSTED", "CLIENT: Received message larger than max (9 vs. 8)", Fate.UNKNOWN),
        ("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded", Fate.REFUSED),
        ("RESOURCE_EXHAUSTED", "etcdserver: too many requests", Fate.REFUSED),
        ("PERMISSION_DENIED", "etcdserver: permission denied", Fate.REFUSED),
        ("NOT_FOUND", "etcdserver: requested lease not found", Fate.REFUSED),
        ("INVALID_ARGUMENT", "etcdserver: duplicate key given in txn request", Fate.REFUSED),
        ("UNAUTHENTICATED", "etcdserver: invalid auth token", Fate.NO_LOGIN),
        ("INVALID_ARGUMENT", "etcdserver: revision of auth store is old", Fate.NO_LOGIN),
    ],
)
def test_fate(code: str, details: str, expected: Fate) -> None:
    assert fate(code, details) is expected


def test_only_an_election_that_is_over_asks_for_the_read_again() -> None:
    assert may_be_read_again("etcdserver: leader changed")
    assert not may_be_read_again("etcdserver: no leader")
    assert not may_be_read_again("etcdserver: request timed out")


def test_words() -> None:
    assert "serves no v3 API" in explain("UNAVAILABLE", "Failed parsing HTTP/2 (Expected SETTINGS frame as)", 2, None)
    assert explain("DEADLINE_EXCEEDED", "", 2.0, None) == "no answer within 2 s"
    assert "user op may not write this" in explain("PERMISSION_DENIED", "permission denied", 2, "op", verb="write")
    assert explain("UNKNOWN", "a\x1b[31m b", 2, None) == explain("UNKNOWN", "a\x1b[31m  b", 2, None)
    assert "\x1b" not in explain("UNKNOWN", "a\x1b[31m b", 2, None)
