"""Every field of good recorded replies replaced by wrong values: no check fails by itself, and every output is sound."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import cycle
from math import isfinite
from typing import Any, NoReturn, TypeVar

import jsonschema
import pytest

from pgops.checks import Verdict
from pgops.clients.json_text import parse_json
from pgops.dcs import DcsKey
from pgops.observe.facts import RestStatus, StanzaFacts
from pgops.observe.fields import ShapeFault
from pgops.observe.keys import parse_keys, record_prefix
from pgops.observe.rest import parse_status
from pgops.observe.snapshot import Snapshot
from pgops.observe.stanza import parse_info
from pgops.readings import Known, Reading, Unknown
from pgops_health.checks import CHECKS
from pgops_health.examination import read_schema
from pgops_health.formats import json_text, nagios_text, prometheus_text, table, tsv_text
from pgops_health.report import Report, judge
from unit.checks import worlds as w
from unit.health.mutations import mutations
from unit.observe import recorded

T = TypeVar("T")
PREFIX = "/service/demo/"
VALIDATOR = jsonschema.Draft202012Validator(json.loads(read_schema()))


def _refuse(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is no JSON")


def check_json(report: Report) -> str:
    text = json_text.render([report])
    VALIDATOR.validate(json.loads(text, parse_constant=_refuse))
    return text


def check_tsv(report: Report) -> str:
    text = tsv_text.render([report])
    assert {line.count("\t") for line in text.splitlines()} == {5}
    return text


def check_nagios(report: Report) -> str:
    text = nagios_text.render([report])
    assert text.splitlines()[0].count("|") == 1
    return text


FORMATS: tuple[Callable[[Report], str], ...] = (
    check_json,
    check_tsv,
    lambda report: table.render([report], width=100, colour=False, verbose=True),
    check_nagios,
    lambda report: prometheus_text.render([report]),
    lambda report: table.render([report], width=None, colour=False, verbose=False),
)
_next_format = cycle(FORMATS)


def examine(world: Snapshot, where: str) -> Report:
    """Run every check and one of the formats over a world; nothing may be a fault of pgops."""
    report = judge(world, CHECKS)
    failed = [item for item in report.judged if "itself failed" in item.finding.text]
    assert not failed, (where, failed)
    for item in report.judged:
        assert all(isfinite(value) for value in item.finding.numbers.values() if isinstance(value, float)), (
            where,
            item,
        )
        if item.finding.verdict in (Verdict.WARNING, Verdict.CRITICAL):
            assert item.finding.next_step, (where, item)
    text = next(_next_format)(report)
    text.encode()
    raw = {c for c in text if c not in "\n\t" and not c.isprintable()}
    assert not raw, (where, raw)
    return report


def reading(parse: Callable[[], T]) -> Reading[T]:
    """As the probes do it: these two are what their parsers may raise."""
    try:
        return Known(parse())
    except (ShapeFault, ValueError) as fault:
        assert str(fault), "a fault says why"
        assert len(str(fault)) < 300
        return Unknown(str(fault))


def changed(document: Any) -> Iterator[tuple[str, Any]]:
    """(where, document) of every mutation."""
    return ((f"{path} = {str(value)[:30]!r}", made) for path, value, made in mutations(document))


def _parse_reply(body: bytes) -> RestStatus:
    return parse_status(parse_json(body))


def _parse_info(text: str) -> StanzaFacts:
    return parse_info(json.loads(text), "demo")


REPLIES = {
    "n1": [recorded.LEADER_407, recorded.LEADER_415],
    "n2": [recorded.REPLICA_415],
}


@pytest.mark.parametrize(
    ("member", "number"), [(name, place) for name in REPLIES for place in range(len(REPLIES[name]))]
)
def test_any_field_of_patroni_s_reply(member: str, number: int) -> None:
    for where, reply in changed(REPLIES[member][number]):
        body = json.dumps(reply).encode()
        status = reading(partial(_parse_reply, body))
        world = w.with_node(member, rest=status, sql=Unknown("not asked"))
        report = examine(world, where)
        if isinstance(status, Unknown):
            (said,) = [
                item.finding for item in report.judged if item.check == "patroni" and item.finding.subject == member
            ]
            assert said.verdict in (Verdict.UNKNOWN, Verdict.CRITICAL)
            assert status.reason in said.text


def _keys_world(values: dict[str, str], **own: str) -> Snapshot:
    """Patroni's keys, and pgops's own records; `_` in a name of those is a slash."""
    entries = {PREFIX + name: DcsKey(PREFIX + name, value, 1, 7) for name, value in values.items()}
    names = {name: f"{record_prefix(PREFIX)}{name.replace('_', '/')}" for name in own}
    records = {names[name]: DcsKey(names[name], value, 1, 7) for name, value in own.items()}
    keys = parse_keys(PREFIX, entries, records)
    members = {member.name: member for member in keys.members}
    world = w.healthy()
    nodes = tuple(replace(node, member=members.get(node.name)) for node in world.nodes)
    return replace(world, keys=Known(keys), nodes=nodes)


def _good_keys() -> dict[str, str]:
    values = {name: json.dumps(value) for name, value in recorded.KEYS.items()}
    others = {f"members/{name}": values["members/n2"] for name in ("n1", "n3")}
    return {**values, **others, "leader": "n1", "initialize": w.SYSTEM}


@pytest.mark.parametrize("key", recorded.KEYS)
def test_any_field_of_patroni_s_keys(key: str) -> None:
    good = _good_keys()
    for where, value in changed(recorded.KEYS[key]):
        examine(_keys_world({**good, key: json.dumps(value)}), where)


def test_any_field_of_our_own_pause_record() -> None:
    keys = {**_good_keys(), "config": '{"pause": true}'}
    for where, value in changed(recorded.PAUSE_RECORD):
        report = examine(_keys_world(keys, pause=json.dumps(value)), where)
        assert any(item.check == "pause" and item.finding.verdict is Verdict.WARNING for item in report.judged)


def _said_of_runs(report: Report) -> set[Verdict]:
    return {item.finding.verdict for item in report.judged if item.check == "runs"}


def test_any_field_of_our_own_run_record() -> None:
    """Without its lock a run that can be read is unfinished, and one that cannot be read is unknown: never ok."""
    for where, value in changed(recorded.RUN_RECORD):
        report = examine(_keys_world(_good_keys(), run=json.dumps(value)), where)
        assert _said_of_runs(report) in ({Verdict.WARNING}, {Verdict.UNKNOWN}), where


def test_any_field_of_our_own_lock() -> None:
    run = json.dumps(recorded.RUN_RECORD)
    for where, value in changed(recorded.LOCK_RECORD):
        report = examine(_keys_world(_good_keys(), run=run, lock_topology=json.dumps(value)), where)
        expected = ({Verdict.OK}, {Verdict.OK, Verdict.WARNING}, {Verdict.UNKNOWN})
        assert _said_of_runs(report) in expected, where


RAW = (
    "",
    " ",
    "null",
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "{",
    '{"a":1,}',
    "[" * 100_000,
    '{"a":' * 3000,
    '{"a":' * 500 + "1" + "}" * 500,
    "9" * 5000,
    "\x1b[31m\u202e\n",
    "\\xff\\xfe",
    "\ud800",
    "²",
    "٣",
    "x" * 1_000_000,
    json.dumps({"optime": "x" * 1_000_000}),
    "true",
    '"text"',
)
OWN = ("run", "pause", "lock_topology", "lock_backup", "unheard_of")
KEYS = (*recorded.KEYS, "leader", "initialize", "optime/leader", "members/n9", "unheard/of")


@pytest.mark.parametrize("key", KEYS)
def test_any_text_in_any_key(key: str) -> None:
    good = _good_keys()
    good.pop("status")
    for value in RAW:
        examine(_keys_world({**good, key: value}), f"{key} {value[:30]!r}")


@pytest.mark.parametrize("name", OWN)
def test_any_text_in_any_record_of_ours(name: str) -> None:
    good = {"run": json.dumps(recorded.RUN_RECORD), "lock_topology": json.dumps(recorded.LOCK_RECORD)}
    for value in RAW:
        report = examine(_keys_world({**_good_keys(), "config": '{"pause": true}'}, **{**good, name: value}), name)
        assert (Verdict.UNKNOWN in _said_of_runs(report)) == (name.startswith(("run", "lock")))


@pytest.mark.parametrize("info", [recorded.INFO_245, recorded.INFO_259], ids=["2.45", "2.59"])
def test_any_field_of_pgbackrest_s_info(info: Any) -> None:
    for where, reply in changed(info):
        text = json.dumps(reply)
        stanza = reading(partial(_parse_info, text))
        examine(w.with_node("n1", stanza=stanza), where)
