"""What the machine lacks is told with its remedy."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from pgops.errors import Refused
from pgops_lab import preflight

Usage = namedtuple("Usage", "total used free")


def test_missing_packages_are_named_with_the_apt_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "find_program", lambda name: None if name in ("etcd", "haproxy") else f"/bin/{name}")
    monkeypatch.setattr(preflight, "postgres_bin_dir", lambda: None)
    with pytest.raises(Refused) as caught:
        preflight.check_machine()
    assert caught.value.what == "packages are missing: etcd-server haproxy postgresql"
    assert (caught.value.next_step or "").endswith(
        "apt-get install --no-install-recommends etcd-server haproxy postgresql"
    )


def test_too_little_disk_is_told_in_numbers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PGOPS_LAB_HOME", str(tmp_path / "not-there-yet"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10 << 30, 9 << 30, 1 << 30))
    with pytest.raises(Refused) as caught:
        preflight.check_disk()
    assert "1.0 GiB free, 1.5 GiB needed" in str(caught.value)


def test_another_system_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    with pytest.raises(Refused, match="needs Linux"):
        preflight.check_machine()


def test_a_home_that_the_labs_user_cannot_enter_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setenv("PGOPS_LAB_HOME", str(closed / "home"))
    monkeypatch.setattr("pgops_lab.places.lab_user", lambda: "nobody")
    with pytest.raises(Refused) as caught:
        preflight.check_user()
    assert caught.value.where == str(closed)


def test_a_user_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pgops_lab.places.lab_user", lambda: "no-such-user")
    with pytest.raises(Refused, match="no-such-user"):
        preflight.check_user()
