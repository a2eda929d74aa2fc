"""The audit line: to a file, to journald in its own protocol, to syslog; a log that fails stops nobody."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgops.engine import audit
from pgops.engine.audit import log_run

FIELDS = {"run": "20261123-0300-abcdef", "state": "begun"}


@pytest.fixture
def listening() -> Iterator[tuple[socket.socket, str]]:
    """A datagram socket; its path is short, as sun_path demands."""
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        path = f"{directory}/socket"
        server.bind(path)
        server.settimeout(2)
        yield server, path


def test_a_line_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "pgops.log"
    assert log_run("alice begins run x: pause\nthe cluster", FIELDS, str(file)) is None
    assert log_run("alice ends it", FIELDS, str(file)) is None
    first, second = file.read_text().splitlines()
    assert first.endswith(
        f"pgops[{os.getpid()}] alice begins run x: pause the cluster run=20261123-0300-abcdef state=begun"
    )
    assert "alice ends it" in second
    assert file.stat().st_mode & 0o137 == 0


def test_a_link_or_a_fifo_is_not_written(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.touch()
    (tmp_path / "link").symlink_to(other)
    os.mkfifo(tmp_path / "fifo")
    for name in ("link", "fifo", "missing/log"):
        said = log_run("alice begins", FIELDS, str(tmp_path / name))
        assert said is not None and said.startswith(str(tmp_path / name)), name
    assert other.read_text() == ""


def test_a_datagram_to_journald(listening: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch) -> None:
    server, path = listening
    monkeypatch.setattr(audit, "JOURNAL_SOCKET", path)
    assert log_run("alice begins\nPRIORITY=0", {**FIELDS, "cluster": "demo\nFORGED=1"}, None) is None
    lines = server.recv(65536).decode().splitlines()
    fields = dict(line.split("=", 1) for line in lines)
    assert fields["MESSAGE"] == "alice begins PRIORITY=0" and fields["PRIORITY"] == "5"
    assert fields["SYSLOG_IDENTIFIER"] == "pgops" and fields["PGOPS_RUN"] == FIELDS["run"]
    assert fields["PGOPS_CLUSTER"] == "demo FORGED=1" and "FORGED" not in fields


def test_a_datagram_to_syslog(
    listening: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server, path = listening
    monkeypatch.setattr(audit, "JOURNAL_SOCKET", str(tmp_path / "none"))
    monkeypatch.setattr(audit, "SYSLOG_SOCKET", path)
    assert log_run("alice begins", FIELDS, None) is None
    assert server.recv(65536).decode() == f"<85>pgops[{os.getpid()}]: alice begins"


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(audit, "JOURNAL_SOCKET", str(tmp_path / "none"))
    monkeypatch.setattr(audit, "SYSLOG_SOCKET", str(tmp_path / "none"))
    assert log_run("alice begins", FIELDS, None) is None
    (tmp_path / "plain").touch()
    monkeypatch.setattr(audit, "JOURNAL_SOCKET", str(tmp_path / "plain"))
    said = log_run("alice begins", FIELDS, None)
    assert said is not None and said.startswith("the system log")
