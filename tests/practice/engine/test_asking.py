"""Who is asked, what is asked, and which cluster is meant."""

from __future__ import annotations

import json
import os
import pty
import sys
from pathlib import Path

import pytest
import yaml

from practice.engine.desk import ENTRY, Desk

LAB = "eng-desk"
pytestmark = [pytest.mark.practice, pytest.mark.xdist_group("engine-desk")]


@pytest.fixture
def paused_by_another(desk: Desk) -> Desk:
    """A cluster that somebody else paused."""
    if os.geteuid() != 0:
        pytest.skip("SUDO_USER is believed of root alone")
    desk.set_pause(on=False)
    ended = desk.pgops("pause", "--reason", "disk change", env={"SUDO_USER": "alice"})
    assert ended.code == 0, ended.said
    return desk


def _at_terminal(desk: Desk, answer: str, *words: str) -> tuple[int, str]:
    """pgops at a terminal where this is typed: its exit code, and what stood on the screen."""
    child, master = pty.fork()
    if child == 0:
        os.environ["PGOPS_STATE_DIR"] = str(desk.state)
        os.execv(sys.executable, [sys.executable, str(ENTRY), "{}", "-c", desk.lab.config, *words])  # noqa: S606 - argv
    shown = b""
    typed = False
    try:
        while chunk := os.read(master, 4096):
            shown += chunk
            if not typed and b"[y/N]" in shown:
                os.write(master, f"{answer}\n".encode())
                typed = True
    except OSError:  # EIO: the other side is closed
        pass
    os.close(master)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), shown.decode()


def test_a_pause_of_somebody_else_is_not_resumed_unasked(paused_by_another: Desk) -> None:
    desk = paused_by_another
    still = desk.etcd.still()

    ended = desk.pgops("resume")
    assert ended.code == 3, ended.said
    assert "alice" in ended.err
    assert "disk change" in ended.err
    assert "--yes" in ended.err
    assert desk.etcd.still() == still

    code, shown = _at_terminal(desk, "n", "resume")
    assert code == 3, shown
    assert "alice" in shown
    assert "[y/N]" in shown
    assert "declined" in shown
    assert desk.etcd.still() == still

    code, shown = _at_terminal(desk, "y", "resume")
    assert code == 0, shown
    assert not desk.etcd.is_paused()


def test_one_of_two_clusters_must_be_named(desk: Desk, tmp_path: Path) -> None:
    desk.set_pause(on=False)
    document = yaml.safe_load(Path(desk.lab.config).read_text())
    name, cluster = next(iter(document["clusters"].items()))
    document["clusters"]["other"] = json.loads(json.dumps({**cluster, "scope": "other", "stanza": "other"}))
    both = tmp_path / "both.yml"
    both.write_text(yaml.safe_dump(document))
    both.chmod(0o600)
    still = desk.etcd.still()

    ended = desk.pgops("pause", "--reason", "which", "-c", str(both))

    assert ended.code in (2, 3), ended.said
    assert name in ended.err
    assert "other" in ended.err
    assert desk.etcd.still() == still
    assert desk.pgops("pause", "--cluster", name, "--dry-run", "-c", str(both)).code == 0
