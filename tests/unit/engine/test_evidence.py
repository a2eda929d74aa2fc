"""What is written down of an incident: all that was seen first, and the DCS's keys as they are."""

from __future__ import annotations

import json
from dataclasses import replace

from pgops.engine.evidence import fill_seen, keys_file
from pgops.observe.snapshot import ALL
from pgops.plan import documents
from pgops.plan.actions import SEEN_FIRST, RunCommand, SaveKeys, WriteFile, render_action
from pgops.readings import Known, known
from pgops.testing.fake_cluster import FakeCluster

SAVE = WriteFile("n1", "/keep/evidence.json", SEEN_FIRST)


def test_the_first_snapshot_stands_in_the_place_of_the_hole() -> None:
    first = FakeCluster().snapshot(ALL)
    filled = fill_seen(SAVE, first)
    assert isinstance(filled, WriteFile) and isinstance(filled.content, str)
    document = json.loads(filled.content)
    assert document["taken_at"] == first.taken_at.isoformat()
    assert documents.from_document(document["snapshot"], first.cluster) == first
    assert filled.mode == 0o600


def test_no_password_of_the_configuration_comes_into_it() -> None:
    first = FakeCluster().snapshot(ALL)
    keys = known(first.keys)
    assert keys is not None
    config = {**(keys.config or {}), "postgresql": {"parameters": {"primary_conninfo": "host=x password=canary-1"}}}
    filled = fill_seen(SAVE, replace(first, keys=Known(replace(keys, config=config))))
    assert isinstance(filled, WriteFile) and "canary" not in str(filled.content) and "primary_conninfo" in str(filled)


def test_other_actions_stay_as_they_are() -> None:
    first = FakeCluster().snapshot(ALL)
    for action in (WriteFile("n1", "/a", "text"), WriteFile("n1", "/a", None), RunCommand("n1", ("true",))):
        assert fill_seen(action, first) is action


def test_every_key_is_written_as_it_is() -> None:
    fake = FakeCluster()
    prefix = fake.config.prefix
    fake.plant("odd", "not JSON, \u20ac")
    action = SaveKeys("n1", "/keep/dcs.json")
    file = keys_file(action, prefix, fake.dcs)
    assert isinstance(file.content, str) and (file.host, file.path, file.mode) == ("n1", "/keep/dcs.json", 0o600)
    document = json.loads(file.content)
    there = fake.dcs.read_prefix(prefix)
    assert {key: item["value"] for key, item in document["keys"].items()} == {
        key: item.value for key, item in there.items()
    }
    assert {key: item["mod_revision"] for key, item in document["keys"].items()} == {
        key: item.revision for key, item in there.items()
    }
    assert document["prefix"] == prefix and not any(key.startswith("/pgops") for key in document["keys"])


def test_a_plan_tells_what_is_written_and_not_its_content() -> None:
    assert render_action(SAVE).endswith("(mode 0600): <what was seen when the plan was made>")
    assert render_action(SaveKeys("n1", "/keep/dcs.json")).endswith("write /keep/dcs.json: Patroni's keys in the DCS")
