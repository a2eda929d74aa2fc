"""What the checks know of Patroni's rules, and what they say of a world that nobody could see."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from pgops.checks import Check, Finding, Verdict
from pgops.observe.facts import WalSender
from pgops.observe.record_facts import PauseRecord
from pgops.observe.snapshot import ALL, NOT_ASKED, QUICK, ProxyServer, ProxyTarget, ProxyView, Snapshot, SyncKey
from pgops.readings import Known, Skipped, Unknown
from pgops_health.checks import CHECKS
from pgops_health.report import judge
from unit.checks import worlds as w
from unit.checks.test_checks import BY_NAME, NO_SQL, REFUSED, say

CAPACITY: list[tuple[str, Snapshot, str]] = [
    ("warning", w.with_rest("n2", tags={"nofailover": True}), "n2: tag nofailover"),
    ("warning", w.with_rest("n2", tags={"failover_priority": 0}), "n2: tag failover_priority is 0"),
    ("warning", w.with_rest("n2", state="starting"), "n2: its PostgreSQL is starting"),
    ("warning", w.with_rest("n2", watchdog_failed=True), "n2: its watchdog is required and failed"),
    ("warning", w.with_node("n2", rest=REFUSED), "n2: its Patroni is not running"),
    ("warning", w.with_node("n2", member=None), "n2: it is not registered in the DCS"),
    ("warning", w.with_config(pause=True), "Patroni promotes nobody by itself"),
    (
        "warning",
        w.with_keys(config={"synchronous_mode": True}, sync=SyncKey("n1", ("n2",))),
        "n3: not a synchronous standby",
    ),
    (
        "warning",
        w.with_keys(config={"failsafe_mode": True}, failsafe={"n1": "", "n2": ""}),
        "n3: not in the failsafe key",
    ),
]


@pytest.mark.parametrize(("verdict", "world", "text"), CAPACITY, ids=[case[2] for case in CAPACITY])
def test_failover_capacity_names_the_rule(verdict: str, world: Snapshot, text: str) -> None:
    (finding,) = say("failover-capacity", world)
    assert finding.verdict.value == verdict
    assert text in finding.text


def test_failover_capacity_counts_against_the_primary_s_real_position() -> None:
    behind = w.END - 5 * w.MIB
    nodes = [w.node("n1", leader=True)]
    for name in ("n2", "n3"):
        late = replace(w.sql_facts(leader=False), receive_bytes=behind, replay_bytes=behind)
        rest = w.rest_status(leader=False, received_bytes=behind, replayed_bytes=behind)
        nodes.append(replace(w.node(name), sql=Known(late), rest=Known(rest)))
    world = replace(w.healthy(), nodes=tuple(nodes), keys=Known(w.keys(optime_bytes=behind)))
    (finding,) = say("failover-capacity", world)
    assert finding.verdict is Verdict.CRITICAL
    assert "n2: 5.0 MiB behind, maximum_lag_on_failover is 1.0 MiB" in finding.text


def test_nobody_can_take_over_while_the_dcs_refuses_writes() -> None:
    (finding,) = say("failover-capacity", w.with_dcs(*map(w.dcs_member, "abc"), alarms=(("id-a", "NOSPACE"),)))
    assert (finding.verdict, "NOSPACE" in finding.text) == (Verdict.CRITICAL, True)


@pytest.mark.parametrize(
    ("expires", "text"),
    [(None, "2h by ops@db1: upgrade"), (1, "until 2026"), (-1, "it expired 1h ago, at 2026-11-23T02:00:00+00:00")],
)
def test_a_pause_of_pgops_is_told_with_owner_reason_and_expiry(expires: int | None, text: str) -> None:
    ends = None if expires is None else w.NOW + timedelta(hours=expires)
    record = PauseRecord("ops@db1", "upgrade", w.NOW - timedelta(hours=2), ends)
    found = say("pause", w.with_keys(config={"pause": True}, pause_record=record))
    assert text in found[0].text
    assert found[0].next_step == "pgops resume --cluster demo"
    assert ("the pause has expired" in found[0].text) == (expires == -1)


@pytest.mark.parametrize(
    ("target", "reachable", "verdict", "text"),
    [
        (Known(ProxyTarget(2.0, True, None)), True, "critical", "leads to n2, a replica"),
        (
            Known(ProxyTarget(9.0, False, "10.9.9.9:5432")),
            True,
            "critical",
            "leads to 10.9.9.9:5432, but n1 holds the lock",
        ),
        (Unknown("lb:5000: closed"), False, "critical", "nobody answers behind its primary port"),
        (Unknown("lb:5000: no such user"), None, "unknown", "could not be asked: lb:5000: no such user"),
        (Skipped("no primary port is configured"), None, "skipped", "no primary port"),
    ],
)
def test_proxy(target: Known[ProxyTarget] | Unknown | Skipped, reachable: bool | None, verdict: str, text: str) -> None:
    view = ProxyView("front", 5000, Known((ProxyServer("primary", "n1", None, "no check"),)), target, reachable)
    found = say("proxy", replace(w.healthy(), proxies=(view,)))
    assert (found[0].verdict.value, text in found[0].text) == (verdict, True), found
    assert any("not checked" in finding.text for finding in found)


def test_a_silent_holder_makes_the_proxy_unknown_and_not_wrong() -> None:
    world = w.with_node("n1", sql=NO_SQL)
    assert say("proxy", world)[0].verdict is Verdict.UNKNOWN


def test_synchronous_standbys_by_the_primary_s_own_word() -> None:
    senders = tuple(WalSender(n, None, "streaming", s, 1, 1, 1, None) for n, s in (("n2", "quorum"), ("n3", "quorum")))
    world = w.with_sql("n1", senders=Known(senders))
    agreed = replace(world, keys=Known(w.keys(config={"synchronous_mode": "quorum"}, sync=SyncKey("n1", ("n2", "n3")))))
    assert [finding.verdict for finding in say("sync", agreed)] == [Verdict.OK]
    other = replace(agreed, keys=Known(w.keys(config={"synchronous_mode": True}, sync=SyncKey("n1", ("n2",)))))
    assert [finding.verdict for finding in say("sync", other)] == [Verdict.WARNING]


def blind(world: Snapshot, reading: Unknown | Skipped) -> Snapshot:
    """The world with every reading replaced by this one."""
    names = (
        "rest",
        "primary_code",
        "liveness_code",
        "sql",
        "control",
        "files",
        "disks",
        "services",
        "stanza",
        "identity",
    )
    changes: dict[str, Any] = dict.fromkeys(names, reading)
    nodes = tuple(replace(node, **changes) for node in world.nodes)
    proxies = tuple(replace(proxy, servers=reading, target=reading, reachable=None) for proxy in world.proxies)
    return replace(world, nodes=nodes, keys=reading, dcs=reading, proxies=proxies, repository=reading)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_what_nobody_saw_is_never_ok(check: Check) -> None:
    verdicts = {finding.verdict for finding in check.find(blind(w.healthy(), Unknown("no answer")))}
    harmless = {"configuration", "replay-delay", "history-files", "wal-identity", "system-id", "ahead", "replicas"}
    assert verdicts
    if check.name not in harmless:
        assert Verdict.OK not in verdicts
    assert verdicts <= {Verdict.UNKNOWN, Verdict.CRITICAL, Verdict.SKIPPED, Verdict.OK}


def test_a_world_without_hosts_skips_what_hosts_tell() -> None:
    absent = Skipped("no host is configured for this member")
    changes: dict[str, Any] = dict.fromkeys(("control", "files", "disks", "services", "stanza", "identity"), absent)
    nodes = tuple(replace(node, **changes) for node in w.healthy().nodes)
    report = judge(replace(w.healthy(), nodes=nodes, proxies=(), repository=absent), CHECKS)
    assert report.verdict is Verdict.OK, report.of(Verdict.UNKNOWN)


def test_quick_says_ok_of_a_healthy_world_from_rest_and_dcs_alone() -> None:
    world = w.healthy()
    names = ("sql", "control", "files", "disks", "services", "stanza", "identity")
    changes: dict[str, Any] = dict.fromkeys(names, NOT_ASKED)
    nodes = tuple(replace(n, **changes) for n in world.nodes)
    checks = [check for check in CHECKS if check.runs_with(QUICK)]
    report = judge(replace(world, nodes=nodes, views=QUICK, proxies=()), checks)
    assert report.verdict is Verdict.OK, report.of(Verdict.UNKNOWN) + report.of(Verdict.WARNING)
    assert len(checks) >= 15


def test_a_check_that_raises_is_unknown_and_hides_no_other() -> None:
    def fail(_: Snapshot) -> list[Finding]:
        raise ZeroDivisionError("oops")

    report = judge(w.healthy(), [Check("bad", "fails", ALL, fail), BY_NAME["primary"]])
    assert [item.finding.verdict for item in report.judged] == [Verdict.UNKNOWN, Verdict.OK]
    assert "ZeroDivisionError: oops" in report.judged[0].finding.text
