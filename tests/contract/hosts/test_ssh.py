"""What only an SSH host has: one connection, host keys, dead hosts, sudo; against a real sshd."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.hosts.sshd import Sshd, need_sshd
from pgops.config.model import HostConfig, SshConfig, Timeouts
from pgops.hosts.host import HostFault, Identity
from pgops.hosts.ssh import SshHost

TIMEOUTS = Timeouts(connect_s=1.0, answer_s=2.0, command_s=5.0)
OPERATOR = "pgopsop"

SLACK_S = 4.0
"""For a busy machine; two timeouts one after the other would take longer still."""


@pytest.fixture
def sshd() -> Iterator[Sshd]:
    need_sshd()
    server = Sshd()
    try:
        yield server.start()
    finally:
        server.stop()


def open_ssh(
    sshd: Sshd, *, destination: str | None = None, user: str | None = None, become: str | None = None
) -> SshHost:
    ssh = SshConfig(destination or sshd.address, user=user, config_file=str(sshd.config))
    return SshHost(HostConfig("n1", ssh=ssh, become=become), TIMEOUTS)


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime directory of this test's own, with a name as short as a socket's path wants it."""
    directory = Path(tempfile.mkdtemp(prefix="rt-", dir="/tmp"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))
    yield directory
    shutil.rmtree(directory)


def test_one_connection_carries_everything_and_is_gone_at_the_end(sshd: Sshd, runtime: Path) -> None:
    host = open_ssh(sshd)
    threads = [threading.Thread(target=host.run, args=(["true"],)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sshd.logins() == 1
    (directory,) = runtime.iterdir()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    host.close()
    assert not list(runtime.iterdir())
    with pytest.raises(HostFault, match="closed"):
        host.run(["true"])
    assert sshd.logins() == 1


def test_an_unknown_host_key_is_never_accepted(sshd: Sshd) -> None:
    """Also where ssh_config says StrictHostKeyChecking no, as this one does."""
    sshd.known_hosts.write_text("")
    with pytest.raises(HostFault, match=r"host key is not known.*ssh-keyscan"):
        open_ssh(sshd).run(["true"])
    assert sshd.known_hosts.read_text() == ""
    assert sshd.logins() == 0


def test_a_changed_host_key_is_told_as_such(sshd: Sshd) -> None:
    key = (sshd.home / "other_key.pub").read_text()
    sshd.known_hosts.write_text(f"[{sshd.address}]:{sshd.port} {key}")
    with pytest.raises(HostFault, match="host key has CHANGED"):
        open_ssh(sshd).run(["true"])
    assert sshd.logins() == 0


def test_a_wrong_key_says_what_to_do(sshd: Sshd) -> None:
    sshd.write_config("other_key")
    with pytest.raises(HostFault, match=r"login refused; load the key into the agent"):
        open_ssh(sshd).run(["true"])


def test_a_dead_host_is_found_dead_once(sshd: Sshd) -> None:
    host = open_ssh(sshd, destination="127.31.9.250")
    with pytest.raises(HostFault, match="connection refused"):
        host.run(["true"])
    quickest_s = 1.0
    for _ in range(5):
        started = time.monotonic()
        with pytest.raises(HostFault, match="connection refused"):
            host.run(["true"])
        quickest_s = min(quickest_s, time.monotonic() - started)
    assert quickest_s < 0.01
    with pytest.raises(HostFault, match="its name is not known"):
        open_ssh(sshd, destination="nohost.invalid").run(["true"])


def test_a_black_hole_costs_one_timeout_for_all_commands(sshd: Sshd) -> None:
    with socket.socket() as hole:
        hole.bind(("127.31.9.251", sshd.port))
        hole.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.31.9.251", sshd.port))
        host = open_ssh(sshd, destination="127.31.9.251")
        reasons: list[str] = []

        def work() -> None:
            try:
                host.run(["true"])
            except HostFault as fault:
                reasons.append(str(fault))

        started = time.monotonic()
        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert time.monotonic() - started < TIMEOUTS.connect_s + TIMEOUTS.answer_s + SLACK_S
        assert len(reasons) == 6 and "no connection" in reasons[0]
        for filler in fillers:
            filler.close()


def test_a_server_that_accepts_and_says_nothing_costs_one_timeout(sshd: Sshd) -> None:
    assert sshd.process is not None
    sshd.process.send_signal(signal.SIGSTOP)
    started = time.monotonic()
    with pytest.raises(HostFault, match="no connection"):
        open_ssh(sshd).run(["true"])
    assert time.monotonic() - started < TIMEOUTS.connect_s + TIMEOUTS.answer_s + SLACK_S
    sshd.process.send_signal(signal.SIGCONT)


def test_a_connection_lost_midway_is_a_fault_and_no_exit_code(sshd: Sshd) -> None:
    host = open_ssh(sshd)
    # The command ends the sshd process of its own connection: the master with all its sessions.
    kill = "p=$PPID; kill -9 $(ps -o ppid= $p) $p 2>/dev/null; sleep 5"
    with pytest.raises(HostFault, match="connection was lost"):
        host.run(["sh", "-c", f"p=$(ps -o ppid= $PPID); kill -9 $p; {kill}"])
    with pytest.raises(HostFault, match="connection was lost"):
        host.run(["true"])
    host.close()


@pytest.mark.parametrize(
    "destination", ["-oProxyCommand=touch /tmp/pgops-pwned", "a;b", "$(id)", "a\nb", "", "a b", "\x1b[31m", "a`b`"]
)
def test_a_hostile_destination_never_reaches_ssh(sshd: Sshd, destination: str) -> None:
    host = SshHost(HostConfig("n1", ssh=SshConfig(destination, config_file=str(sshd.config))), TIMEOUTS)
    with pytest.raises(HostFault, match="is not a host name") as caught:
        host.run(["true"])
    assert "\x1b" not in str(caught.value)
    assert not Path("/tmp/pgops-pwned").exists()


@pytest.fixture
def operator(sshd: Sshd) -> Iterator[Path]:
    """A plain user with nothing but an SSH login; gives the path of a sudoers file for it."""
    if os.geteuid() != 0 or not shutil.which("sudo") or not shutil.which("useradd", path="/usr/sbin"):
        pytest.skip("needs root, sudo and useradd")
    sudoers = Path("/etc/sudoers.d/pgops-test-operator")
    subprocess.run(["/usr/sbin/useradd", "-m", "-s", "/bin/bash", "-p", "*", OPERATOR], check=True, timeout=20)
    try:
        yield sudoers
    finally:
        sudoers.unlink(missing_ok=True)
        subprocess.run(["/usr/sbin/userdel", "-rf", OPERATOR], check=False, timeout=20, capture_output=True)


def test_a_plain_operator_becomes_by_sudo_what_its_line_allows(sshd: Sshd, operator: Path) -> None:
    host = open_ssh(sshd, user=OPERATOR, become="nobody")
    assert host.run(["id", "-un"]).stdout == f"{OPERATOR}\n"
    with pytest.raises(HostFault, match="sudo refused to run /usr/bin/id as nobody"):
        host.run(["/usr/bin/id", "-un"], identity=Identity.OWNER)
    operator.write_text(f"{OPERATOR} ALL=(nobody) NOPASSWD: /usr/bin/id, /usr/bin/sleep\n")
    operator.chmod(0o440)
    assert host.run(["/usr/bin/id", "-un"], identity=Identity.OWNER).stdout == "nobody\n"
    assert host.run(["id", "-un"], identity=Identity.OWNER).stdout == "nobody\n"
    with pytest.raises(HostFault, match="sudo refused to run /usr/bin/cat"):
        host.run(["/usr/bin/cat", "/etc/hostname"], identity=Identity.OWNER)
    failed = host.run(["/usr/bin/id", "no-such-user"], identity=Identity.OWNER)
    assert failed.exit_code == 1 and "no such user" in failed.fault
    mark = f"66.{os.getpid()}"
    assert host.run(["/usr/bin/sleep", mark], identity=Identity.OWNER, timeout_s=0.7).exit_code is None
    time.sleep(3.5)
    still = subprocess.run(
        [shutil.which("pgrep") or "", "-f", f"^/usr/bin/sleep {mark}"], check=False, timeout=20, capture_output=True
    )
    assert still.returncode == 1, "the command still runs there"
    host.close()
