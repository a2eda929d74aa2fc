"""A survivor's way to a new timeline, with programs that behave as PostgreSQL's do; the lab has the real ones."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pgops_recover.remote import lift

_CONTROL = """#!/bin/sh
read -r timeline state <"$2/control"
echo "Database cluster state:               $state"
echo "Latest checkpoint's TimeLineID:       $timeline"
"""
_PG_CTL = """#!/bin/sh
case "$*" in
    *status) [ -f "$2/postmaster.pid" ] && exit 0; exit 3 ;;
    *stop) kill -INT "$(cat "$2/postmaster.pid")" ;;
esac
"""
_POSTGRES = """#!{python}
import os, re, signal, sys, time
data = sys.argv[2]
open(f"{{data}}/postmaster.opts", "w").write(sys.argv[0] + "".join(f' "{{word}}"' for word in sys.argv[1:]) + "\\n")
open(f"{{data}}/postmaster.pid", "w").write(str(os.getpid()))
number, _ = open(f"{{data}}/control").read().split(None, 1)
if not os.path.exists(f"{{data}}/recovery.signal"):
    sys.exit("FATAL:  no recovery")
taken = [int(name[:8], 16) for name in os.listdir(f"{{data}}/pg_wal") if name.endswith(".history")]
while int(number) + 1 in taken: number = int(number) + 1
number = int(number) + 1
def end(*_):
    open(f"{{data}}/control", "w").write(f"{{number}} shut down\\n")
    os.unlink(f"{{data}}/postmaster.pid")
    os._exit(0)
signal.signal(signal.SIGINT, end)
os.unlink(f"{{data}}/recovery.signal")
open(f"{{data}}/control", "w").write(f"{{number}} in production\\n")
while True: time.sleep(1)
"""
HISTORIES = {"00000002.history": "1\t0/4000000\tx\n", "00000003.history": "2\t0/5000000\tx\n"}


class Survivor:
    """A data directory and its programs."""

    def __init__(self, top: Path) -> None:
        self.data, self.bin = top / "data", top / "bin"
        (self.data / "pg_wal" / "archive_status").mkdir(parents=True)
        self.bin.mkdir()
        for name, text in (
            ("pg_controldata", _CONTROL),
            ("pg_ctl", _PG_CTL),
            ("postgres", _POSTGRES.format(python=sys.executable)),
        ):
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)
        self.control("1 shut down")

    def control(self, text: str) -> None:
        """What pg_controldata tells."""
        (self.data / "control").write_text(f"{text}\n")

    def run(self, **more: object) -> int:
        """As it is called on a host."""
        wish: dict[str, Any] = {
            "data_dir": str(self.data),
            "bin_dir": str(self.bin),
            "above": 3,
            "own": [],
            "archive": None,
        }
        before = os.umask(0o022)
        try:
            return lift.main([json.dumps({**wish, "histories": HISTORIES, **more})])
        finally:
            os.umask(before)

    def histories(self) -> list[str]:
        """The history files in pg_wal."""
        return sorted(path.name for path in (self.data / "pg_wal").glob("*.history"))


@pytest.fixture
def survivor(tmp_path: Path) -> Survivor:
    return Survivor(tmp_path)


def test_above_every_number_that_was_used_and_stopped_again(
    survivor: Survivor, capsys: pytest.CaptureFixture[str]
) -> None:
    assert survivor.run() == 0
    assert json.loads(capsys.readouterr().out) == {"timeline": 4}
    assert (survivor.data / "control").read_text() == "4 shut down\n"
    assert survivor.histories() == [] and not (survivor.data / "recovery.signal").exists()
    assert survivor.run() == 0
    assert json.loads(capsys.readouterr().out) == {"timeline": 4}


def test_nobody_can_connect_and_only_history_files_are_fetched(survivor: Survivor) -> None:
    assert survivor.run(archive=["pgbackrest", "--config=/odd dir/100%.conf"]) == 0
    said = (survivor.data / "postmaster.opts").read_text()
    assert '"listen_addresses="' in said and "config_file" not in said and "recovery_target_timeline=current" in said
    command = said.partition('"restore_command=')[2].rpartition('"')[0]
    asked = command.replace("%f", "{name}").replace("%p", "/x/y").replace("%%", "%").replace("exec", "echo", 1)
    for name, code in (("00000002.history", 0), ("000000010000000000000004", 1)):
        ended = subprocess.run(["/bin/sh", "-c", asked.format(name=name)], capture_output=True, text=True, check=False)
        assert ended.returncode == code, ended
        words = ["pgbackrest", "--config=/odd dir/100%.conf", "archive-get", name, "/x/y"]
        assert ended.stdout.split() == (" ".join(words).split() if code == 0 else []), shlex.join(words)


@pytest.mark.parametrize("words", ['"--config-file=/etc/pg/x.conf" "--port=1"', '"-c" "config_file=/etc/pg/x.conf"'])
def test_it_is_started_with_the_configuration_that_it_had(survivor: Survivor, words: str) -> None:
    """As Patroni names it, and Debian's pg_ctlcluster; again after a try that was cut off."""
    (survivor.data / "postmaster.opts").write_text(f'/bin/postgres "-D" "{survivor.data}" {words}\n')
    for above in (3, 4):
        assert survivor.run(above=above) == 0
        assert '"-c" "config_file=/etc/pg/x.conf"' in (survivor.data / "postmaster.opts").read_text()


def test_a_configuration_at_a_place_that_is_not_known_is_refused(
    survivor: Survivor, capsys: pytest.CaptureFixture[str]
) -> None:
    (survivor.data / "postmaster.opts").write_text('/bin/postgres "-D" "data" "--config_file=x.conf"\n')
    assert survivor.run() == 74
    assert "named the configuration x.conf" in capsys.readouterr().err
    assert survivor.histories() == [] and not (survivor.data / "recovery.signal").exists()


def test_a_number_that_stays_too_low_is_said(survivor: Survivor, capsys: pytest.CaptureFixture[str]) -> None:
    assert survivor.run(above=9) == 74
    assert "came to timeline 4 (shut down), and timeline 9 is known already" in capsys.readouterr().err


def test_what_one_that_was_cut_off_started_is_stopped_first(survivor: Survivor) -> None:
    (survivor.data / "recovery.signal").touch()
    argv = [str(survivor.bin / "postgres"), "-D", str(survivor.data), "-c", "cluster_name=pgops_lift"]
    with subprocess.Popen(argv) as earlier:
        while not (survivor.data / "control").read_text().endswith("in production\n"):
            pass
        assert survivor.run() == 0
        assert earlier.wait(10) == 0
    assert (survivor.data / "control").read_text() == "4 shut down\n"


@pytest.mark.parametrize(
    ("state", "running", "said"),
    [
        (
            "1 shut down in recovery",
            False,
            "is not a primary's that was stopped or that crashed: shut down in recovery",
        ),
        ("1 shut down", True, "a PostgreSQL may still use"),
    ],
)
def test_what_is_not_ours_or_no_primary_is_left_alone(
    survivor: Survivor, capsys: pytest.CaptureFixture[str], state: str, running: bool, said: str
) -> None:
    survivor.control(state)
    if running:
        (survivor.data / "postmaster.pid").write_text("1")
        (survivor.data / "postmaster.opts").write_text("postgres -c cluster_name=main")
    assert survivor.run() == 74
    assert said in capsys.readouterr().err
    assert (survivor.data / "control").read_text() == f"{state}\n" and survivor.histories() == []


def test_a_standby_is_none(survivor: Survivor, capsys: pytest.CaptureFixture[str]) -> None:
    (survivor.data / "standby.signal").touch()
    assert survivor.run() == 74
    assert "standby.signal" in capsys.readouterr().err


def test_a_server_that_does_not_start_says_why(survivor: Survivor, capsys: pytest.CaptureFixture[str]) -> None:
    (survivor.bin / "postgres").write_text("#!/bin/sh\necho 'FATAL:  no room'\nexit 1\n")
    assert survivor.run() == 74
    assert "does not start: FATAL:  no room" in capsys.readouterr().err
