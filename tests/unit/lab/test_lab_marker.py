"""The marker: without a good one nothing is touched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pgops.errors import ConfigError, Refused
from pgops_lab import lab as labs
from unit.lab.samples import sample


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PGOPS_LAB_HOME", str(tmp_path))


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    lab = sample(tmp_path)
    lab.directory.mkdir(parents=True)
    labs.save(lab)
    assert labs.load("demo") == lab
    assert labs.names() == ("demo",)


def test_a_directory_without_marker_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "labs/demo").mkdir(parents=True)
    with pytest.raises(Refused) as caught:
        labs.load("demo")
    assert "not touched" in str(caught.value)
    assert labs.names() == ()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", 2),
        ("name", "other"),
        ("index", 0),
        ("index", 255),
        ("size", 8),
        ("patroni", "$(id)"),
        ("index", "x"),
    ],
)
def test_a_marker_that_says_something_else_is_refused(tmp_path: Path, key: str, value: object) -> None:
    lab = sample(tmp_path)
    lab.directory.mkdir(parents=True)
    labs.save(lab)
    marker = lab.directory / labs.MARKER
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {key: value}))
    with pytest.raises(Refused, match="cannot be read"):
        labs.load("demo")


def test_a_marker_or_a_lab_that_is_a_link_is_refused(tmp_path: Path) -> None:
    lab = sample(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "labs").mkdir()
    lab.directory.symlink_to(elsewhere)
    labs.save(lab)
    with pytest.raises(Refused, match="not ours"):
        labs.load("demo")


def test_addresses_follow_from_the_index_and_no_two_labs_share_one(tmp_path: Path) -> None:
    first, second = sample(tmp_path, index=1, size=7), sample(tmp_path, index=2, size=7)
    assert [member.address for member in first.members] == [f"127.20.1.{last}" for last in range(11, 18)]
    assert first.proxy_address == "127.20.1.10"
    assert len(set(first.endpoints)) == 7 * 4 + 4
    assert not set(first.endpoints) & set(second.endpoints)


def test_programs_are_named_by_role_and_member(tmp_path: Path) -> None:
    assert sample(tmp_path, size=1).programs == ("etcd-n1", "patroni-n1", "haproxy")
    with pytest.raises(ConfigError, match="n9"):
        sample(tmp_path).member("n9")
