"""What pgops's own records make health say: runs, locks, and holds on a node."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from pgops.checks import Verdict
from pgops.observe.record_facts import LockRecord, RunRecord
from pgops.observe.records import HoldRecord, hold_value
from pgops.readings import Known, Unknown
from pgops.services import ServiceState
from unit.checks import worlds as w
from unit.checks.test_checks import say

ID = "20261123-0256-k7f3"
TOPOLOGY = LockRecord("topology", ID, "alice", "ops1", 123, "pause", w.NOW - timedelta(minutes=4))
BACKUP = LockRecord("backup", None, "bob", "ops2", 7, "backup --type full", w.NOW - timedelta(minutes=9))
CONTINUE = f"pgops runs continue {ID} (or take it back: pgops runs abort {ID})"


def run(**changes: Any) -> RunRecord:
    """A run at its second step."""
    made = RunRecord(
        id=ID,
        procedure="pause",
        goal="pause the cluster demo",
        by="alice",
        host="ops1",
        pid=123,
        since=w.NOW - timedelta(minutes=4),
        state="running",
        step="set-pause",
        step_number=2,
        steps=3,
        why="",
        digest="0" * 64,
        token=123,
        journal=f"/home/alice/.local/state/pgops/runs/{ID}.jsonl",
    )
    return replace(made, **changes)


STOPPED = run(state="stopped", why="n2 does not acknowledge the pause")
CASES: list[tuple[dict[str, Any], list[tuple[str, str, str | None]]]] = [
    ({}, [("ok", "no run is under way, none is unfinished", None)]),
    (
        {"run_record": run(), "locks": (TOPOLOGY,)},
        [("ok", "pause runs: alice@ops1, step 2 of 3 (set-pause), since 2026-11-23T02:56:00+00:00 (4m)", None)],
    ),
    (
        {"run_record": run(step="", step_number=0), "locks": (replace(TOPOLOGY, by="bob", host="ops2"),)},
        [("ok", "pause runs: bob@ops2, step 0 of 3, since", None)],
    ),
    ({"run_record": STOPPED}, [("warning", "stopped at step 2 of 3 (set-pause): n2 does not acknowledge", CONTINUE)]),
    ({"run_record": run()}, [("warning", "broke off at step 2 of 3 (set-pause): process 123 on ops1 died", CONTINUE)]),
    (
        {"run_record": run(), "locks": (replace(TOPOLOGY, run="20261123-0300-aaaa", by="bob"), BACKUP)},
        [
            ("warning", "broke off", CONTINUE),
            ("ok", "lock topology: bob@ops1, process 123, for pause, run 20261123-0300-aaaa, since", None),
            ("ok", "lock backup: bob@ops2, process 7, for backup --type full, since", None),
        ],
    ),
    (
        {"run_record": run(back=True)},
        [("warning", "the way back of pause of alice@ops1, since", f"pgops runs abort {ID}")],
    ),
    ({"locks": (BACKUP,)}, [("ok", "lock backup: bob@ops2", None)]),
    (
        {"unread_records": {"run": "schema 2 is newer than this pgops knows (1); upgrade pgops"}},
        [
            (
                "unknown",
                "a run record is there that this pgops cannot read: schema 2 is newer",
                "/pgops/v1/service/demo/run",
            )
        ],
    ),
    (
        {"run_record": run(), "unread_records": {"lock/topology": "not JSON"}},
        [
            ("unknown", "the lock topology is there that this pgops cannot read: not JSON", "lock/topology says"),
            ("unknown", "whether anybody works on pause of alice@ops1", f"pgops runs show {ID}"),
        ],
    ),
    ({"unread_records": {"pause": "not JSON"}}, [("ok", "no run is under way", None)]),
    (
        {"records_fault": "permission denied"},
        [("unknown", "could not be read (permission denied)", "the keys under /pgops/v1/service/demo/")],
    ),
]


@pytest.mark.parametrize(("changes", "expected"), CASES)
def test_runs_and_locks(changes: dict[str, Any], expected: list[tuple[str, str, str | None]]) -> None:
    found = say("runs", w.with_keys(**changes))
    assert [finding.verdict.value for finding in found] == [verdict for verdict, _, _ in expected]
    for finding, (_, text, step) in zip(found, expected, strict=True):
        assert text in finding.text
        assert (step or "") in (finding.next_step or "")
        assert (finding.next_step is None) == (step is None)


def test_the_numbers_of_a_run() -> None:
    (finding,) = say("runs", w.with_keys(run_record=run()))
    assert finding.numbers == {"step_number": 2, "steps_count": 3, "age_s": 240.0}


def test_records_that_nobody_could_read() -> None:
    (finding,) = say("runs", replace(w.healthy(), keys=Unknown("etcd refused the login of pgops")))
    assert (finding.verdict, finding.because) == (Verdict.UNKNOWN, "etcd refused the login of pgops")


def test_a_pause_whose_record_cannot_be_read_is_not_called_a_stranger_s() -> None:
    finding, *_ = say("pause", w.with_keys(config={"pause": True}, unread_records={"pause": "not JSON"}))
    assert "pgops's own record could not be read: not JSON" in finding.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            hold_value(HoldRecord("alice", "disk swap", w.NOW - timedelta(hours=2))),
            "p is held, so a start is refused, for 2h by alice: disk swap",
        ),
        (None, "by whom and why could not be read"),
        ("", "by whom and why is not known (its hold file is not JSON)"),
        ("{", "by whom and why is not known"),
        ('{"schema":2,"owner":"a","reason":"b","since":"2026-11-23T03:00:00+00:00"}', "schema 2 is newer"),
        ('{"schema":1,"owner":"a","reason":"b"}', "no since"),
    ],
)
def test_a_hold_is_told_with_owner_and_reason(text: str | None, said: str) -> None:
    services = Known((ServiceState("patroni", "p", False, "inactive", held=True, hold_text=text),))
    found = say("services", w.with_node("n2", services=services))
    (finding,) = [item for item in found if item.subject == "n2"]
    assert finding.verdict is Verdict.WARNING
    assert said in finding.text
    assert finding.next_step == "pgops node release n2 --cluster demo, when the work is done"


SILENT = "http://n1:2379, http://n2:2379: connection refused; http://n3:2379: no answer within 2 s"
ANSWERS = (
    "http://n1:2379: etcd refused the login of pgops",
    "http://n1:2379: the answer is an HTML or XML page, not JSON (HTTP 401)",
    "http://n1:2379: connection refused; http://n2:2379: etcd wants a login; set dcs.username and dcs.password",
    "http://n1:2379: the answer is not etcd's",
)


@pytest.mark.parametrize("why", [SILENT, *ANSWERS])
@pytest.mark.parametrize("age_s", [2, 600, None])
def test_a_dcs_that_answered_is_not_called_unreachable(why: str, age_s: int | None) -> None:
    seen = None if age_s is None else int(w.NOW.timestamp()) - age_s
    world = replace(w.healthy(), keys=Unknown(why))
    nodes = tuple(
        replace(node, rest=Known(w.rest_status(leader=node.name == "n1", dcs_last_seen_s=seen))) for node in world.nodes
    )
    finding = say("dcs", replace(world, nodes=nodes))[0]
    assert why in finding.text
    assert ("is unreachable" in finding.text) == (why == SILENT and age_s != 2)
    assert ("no usable answer" in finding.text) == (why != SILENT)
    lost = age_s == 600 or (age_s is None and why == SILENT)
    assert finding.verdict is (Verdict.CRITICAL if lost else Verdict.UNKNOWN)
    assert finding.next_step
