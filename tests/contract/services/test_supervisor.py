"""The supervisor driver against a real supervisord, over its socket and through supervisorctl."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pgops.config.model import HostConfig, ServiceConfig, Timeouts
from pgops.hosts.host import Host, HostFault, Identity
from pgops.hosts.local import LocalHost
from pgops.hosts.process import OUTPUT_LIMIT_BYTES, CommandResult
from pgops.services.supervisor import SupervisorServices
from pgops_lab.places import environment_dir

NAMES = (("patroni", "steady"), ("etcd", "idle"), ("haproxy", "absent"), ("pgbouncer", "pair:one"))

CONFIG = """
[unix_http_server]
file=%(here)s/supervisor.sock
chmod=0700
username=pgops ; a comment
password=s3cret
[supervisord]
pidfile=%(here)s/supervisord.pid
logfile=%(here)s/supervisord.log
childlogdir=%(here)s
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://%(here)s/supervisor.sock
username=pgops
password=s3cret
[program:steady]
command=sleep 600
[program:idle]
command=sleep 600
autostart=false
[program:one]
command=sleep 600
[program:guarded]
command=sh -c 'test ! -e %(here)s/hold/guarded || exit 69; exec sleep 600'
autostart=false
startretries=0
[group:pair]
programs=one
"""


def find_supervisord() -> Path:
    """In the environment that labs run on."""
    found = environment_dir("4.1") / "bin/supervisord"
    if not found.exists():
        pytest.skip("the environment of labs is not made yet: pgops lab prepare")
    return found


class ElsewhereHost:
    """This machine as if it were another: only commands reach it."""

    name = "n1"

    def __init__(self, directory: Path) -> None:
        self._local = LocalHost(HostConfig("n1", become=None), Timeouts())
        self._directory = directory

    def run(
        self,
        argv: Sequence[str],
        *,
        identity: Identity = Identity.LOGIN,
        timeout_s: float | None = None,
        stdin: bytes | None = None,
        limit_bytes: int = OUTPUT_LIMIT_BYTES,
    ) -> CommandResult:
        program = str(self._directory / argv[0]) if argv[0] == "supervisorctl" else argv[0]
        return self._local.run([program, *argv[1:]], identity=identity, timeout_s=timeout_s, stdin=stdin)

    def address(self) -> str | None:
        return None

    def close(self) -> None:
        """Nothing is kept open."""


@pytest.fixture(scope="module")
def config_file() -> Iterator[Path]:
    supervisord = find_supervisord()
    home = Path(tempfile.mkdtemp(prefix="pgops-supervisor-"))
    file = home / "supervisord.conf"
    file.write_text(CONFIG)
    (home / "hold").mkdir()
    (home / "hold" / "idle").write_text("a test\n")
    process = subprocess.Popen(
        [str(supervisord), "-n", "-c", str(file)], stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 20
        # `entered RUNNING state` is logged once startsecs are over.
        while _count_running(home) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        yield file
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(home)


def _count_running(home: Path) -> int:
    log = home / "supervisord.log"
    return log.read_text().count("entered RUNNING state") if log.exists() else 0


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_states_of_programs(config_file: Path, where: str) -> None:
    here = LocalHost(HostConfig("n1", become=None), Timeouts())
    host: Host = here if where == "here" else ElsewhereHost(find_supervisord().parent)
    manager = SupervisorServices(ServiceConfig("supervisor", NAMES, str(config_file)))
    steady, idle, absent, grouped = manager.states(host, NAMES, timeout_s=10)
    assert (steady.role, steady.unit, steady.running, steady.state, steady.held) == (
        "patroni",
        "steady",
        True,
        "RUNNING",
        False,
    )
    assert steady.pid is not None and Path(f"/proc/{steady.pid}").exists()
    assert (idle.running, idle.state, idle.pid, idle.held) == (False, "STOPPED", None, True)
    assert (absent.running, absent.state, absent.pid) == (False, "not-found", None)
    assert grouped.running and grouped.pid
    assert {item.enabled for item in (steady, idle, absent, grouped)} == {None}


def test_supervisord_that_does_not_run_is_a_fault(tmp_path: Path) -> None:
    file = tmp_path / "supervisord.conf"
    file.write_text("[unix_http_server]\nfile=%(here)s/none.sock\n")
    host = LocalHost(HostConfig("n1", become=None), Timeouts())
    with pytest.raises(HostFault, match="supervisord does not run"):
        SupervisorServices(ServiceConfig("supervisor", NAMES, str(file))).states(host, NAMES, timeout_s=2)
    with pytest.raises(HostFault, match="No such file"):
        missing = ServiceConfig("supervisor", NAMES, f"{tmp_path}/missing.conf")
        SupervisorServices(missing).states(host, NAMES, timeout_s=2)


def test_nothing_is_asked_for_no_names(config_file: Path) -> None:
    host = LocalHost(HostConfig("n1", become=None), Timeouts())
    assert SupervisorServices(ServiceConfig("supervisor", (), str(config_file))).states(host, (), timeout_s=1) == ()


def test_a_held_program_is_not_started(config_file: Path) -> None:
    host = LocalHost(HostConfig("n1", become=None), Timeouts())
    names = (("patroni", "guarded"),)
    control = str(find_supervisord().parent / "supervisorctl")
    manager = SupervisorServices(ServiceConfig("supervisor", names, str(config_file), control=control))
    (file,) = manager.hold_files("guarded", "a reason\n")
    Path(file.path).write_text(file.content)
    assert host.run(manager.assert_argv("guarded")).exit_code == 1
    started = host.run(manager.start_argv("guarded"), timeout_s=15)
    assert manager.refused(started), started
    (state,) = manager.states(host, names, timeout_s=10)
    assert (state.running, state.held, state.hold_text) == (False, True, "a reason\n")
    Path(file.path).unlink()
    assert host.run(manager.assert_argv("guarded")).ok
    assert not manager.refused(host.run(manager.start_argv("guarded"), timeout_s=15))
    (state,) = manager.states(host, names, timeout_s=10)
    assert (state.running, state.held, state.hold_text) == (True, False, None)


@pytest.mark.parametrize("unit", ["", "../x", "a/b", ".x", "-x"])
def test_a_name_that_leads_out_of_the_hold_directory_is_refused(unit: str) -> None:
    with pytest.raises(HostFault, match="is not a program's name"):
        SupervisorServices(ServiceConfig("supervisor")).hold_files(unit, "")
