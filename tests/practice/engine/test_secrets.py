"""The lab's passwords are canaries: they turn up nowhere but in the files that hold them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from practice.engine.desk import Desk

LAB = "eng-desk"
pytestmark = [pytest.mark.practice, pytest.mark.xdist_group("engine-desk")]


def _secrets(desk: Desk) -> list[str]:
    kept = json.loads(Path(desk.lab.config).with_name("passwords.json").read_text())
    cluster = desk.cluster
    found = {cluster["rest"]["password"], cluster["sql"]["password"], *_texts(kept)}
    secrets = sorted(word for word in found if len(word) >= 12)
    assert len(secrets) >= 3
    return secrets


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in _texts(item)]
    return [value] if isinstance(value, str) else []


def test_no_password_is_told_to_anybody(desk: Desk, tmp_path: Path) -> None:
    desk.set_pause(on=False)
    heard = tmp_path / "children"
    seen: dict[str, str] = {}

    def tell(name: str, *words: str, **options: Any) -> None:
        ended = desk.pgops(*words, env={"PGOPS_DEBUG": "1"}, record=str(heard), **options)
        seen[f"{name}, exit {ended.code}"] = ended.said

    tell("plan", "pause", "--reason", "canary", "--plan-out", str(tmp_path / "plan.json"), "-f", "json")
    seen["plan file"] = (tmp_path / "plan.json").read_text()
    tell("cut", "pause", "--reason", "canary", at=2, after=True)
    run_id = desk.run_id()
    seen["records"] = repr(desk.etcd.own())
    tell("list", "runs", "list", "-f", "json")
    tell("refused", "resume")
    tell("show", "runs", "show", run_id, "-f", "json")
    tell("go on", "runs", "continue", run_id, "-f", "json")
    seen["pause record"] = repr(desk.etcd.own())
    tell("a bug", "resume", "--yes", at=1, signal="BUG")
    seen["records of a bug"] = repr(desk.etcd.own())
    if "run" in desk.etcd.own():
        tell("go on after a bug", "runs", "continue", desk.run_id(), "--yes")
    tell("resume", "resume", "--yes", "-f", "json")
    tell("hold", "node", "hold", "n3", "--reason", "canary")
    tell("release", "node", "release", "n3")
    tell("health", "health", "--deep", "-f", "json")
    for journal in (desk.state / "runs").iterdir():
        seen[str(journal)] = journal.read_text()
    seen["argv and environment of children"] = heard.read_text()

    assert any("Traceback" in text for text in seen.values()), "no traceback was looked at"
    assert len(seen) > 14
    assert not desk.etcd.is_paused()
    for place, text in seen.items():
        for number, secret in enumerate(_secrets(desk)):
            assert secret not in text, f"secret {number} in {place}"
