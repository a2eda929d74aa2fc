"""Eight operators at once, fifty times: one of them does it, the others are told so."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from practice.engine.desk import Desk

LAB = "eng-race"
pytestmark = [pytest.mark.practice, pytest.mark.xdist_group("engine-operators")]

ROUNDS = 50


def test_of_eight_operators_one_acts_in_every_round(desk: Desk, tmp_path: Path) -> None:
    script = Path(__file__).with_name("race.py")
    codes: Counter[int] = Counter()
    with subprocess.Popen(
        [sys.executable, str(script), desk.lab.config, str(tmp_path), str(ROUNDS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        while child.stdout.readline().strip() != "warm":
            assert child.poll() is None
        for number in range(ROUNDS):
            before = desk.etcd.config()
            record_before = desk.etcd.own().get("pause")
            child.stdin.write("go\n")
            child.stdin.flush()
            ended = json.loads(child.stdout.readline())
            told = f"round {number}: {ended}"
            did = [said for code, said in ended if code == 0 and "nothing to do" not in said]
            assert {code for code, _ in ended} <= {0, 7}, told
            assert len(did) == 1, told
            codes.update(code for code, _ in ended)
            own = desk.etcd.own()
            assert desk.etcd.config().version == before.version + 1, told
            if number % 2 == 0:
                assert record_before is None
                assert own["pause"].version == 1, told
                assert json.loads(own["pause"].value)["reason"] == f"round {number}"
            else:
                assert "pause" not in own, told
            assert not {"run", "lock/topology"} & set(own), told
    assert codes[7] > 0, "nobody ever met another one: they did not run at once"
