"""The local host and the SSH host under the same tests, the latter against a real sshd."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest

from contract.hosts.sshd import Sshd, need_sshd
from pgops.config.model import HostConfig, SshConfig, Timeouts
from pgops.hosts.factory import open_host
from pgops.hosts.host import Host, HostFault, Identity

TIMEOUTS = Timeouts(connect_s=1.0, answer_s=2.0, command_s=15.0)

HOSTILE = [
    "; touch /tmp/pgops-pwned",
    "$(touch /tmp/pgops-pwned)",
    "`id`",
    "two\nlines\n",
    "'single' \"double\" \\back",
    "-oProxyCommand=id",
    "--",
    "*",
    "~",
    "",
    " ",
    "ünïcødé €",
    "\x1b[31mred",
    "a&&b||c|d>e<f#g!h",
    "%s%h%C",
]


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    need_sshd()
    server = Sshd()
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(params=["local", "ssh"])
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    ssh = None
    if request.param == "ssh":
        server: Sshd = request.getfixturevalue("sshd")
        ssh = SshConfig(server.address, user=server.user, port=server.port, config_file=str(server.config))
    host = open_host(HostConfig("n1", ssh=ssh, become=None), TIMEOUTS)
    yield host
    host.close()


def test_arguments_arrive_exactly(host: Host) -> None:
    result = host.run(["printf", "%s\\0", *HOSTILE])
    assert result.ok, result.fault
    assert result.stdout.split("\0")[:-1] == HOSTILE
    assert not os.path.exists("/tmp/pgops-pwned")  # noqa: PTH110
    assert result.argv[0] == "printf"


def test_a_nul_byte_is_refused(host: Host) -> None:
    with pytest.raises(HostFault, match="NUL"):
        host.run(["echo", "a\0b"])


@pytest.mark.parametrize("code", [0, 1, 3, 124, 255])
def test_the_exit_code_is_the_commands_own(host: Host, code: int) -> None:
    result = host.run(["sh", "-c", f"echo out; echo err >&2; exit {code}"])
    assert (result.exit_code, result.stdout, result.stderr) == (code, "out\n", "err\n")


def test_a_missing_program_is_a_result(host: Host) -> None:
    result = host.run(["/nonexistent/program"])
    assert result.exit_code == 127
    assert "No such file" in result.fault


def test_messages_are_in_english_and_commands_run_in_the_root_directory(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert host.run(["sh", "-c", "echo $LC_ALL; pwd"]).stdout == "C\n/\n"


def test_standard_input_arrives_and_without_any_there_is_none(host: Host) -> None:
    sent = bytes(range(256)) * 4000
    assert host.run(["sha1sum"], stdin=sent).stdout.split()[0] == __import__("hashlib").sha1(sent).hexdigest()
    assert host.run(["cat"]).stdout == ""


def test_output_is_bounded(host: Host) -> None:
    result = host.run(["head", "-c", "9000000", "/dev/zero"])
    assert result.truncated and not result.ok
    assert len(result.stdout) == 8 * 1024 * 1024
    assert "more than 8 MiB" in result.fault


def test_a_timeout_ends_the_command_there(host: Host) -> None:
    mark = f"77.{os.getpid()}"
    started = time.monotonic()
    result = host.run(["sleep", mark], timeout_s=0.7)
    assert result.exit_code is None
    assert "no answer within" in result.fault
    assert time.monotonic() - started < 20, "waited for the command"
    deadline = time.monotonic() + 5
    while host.run(["pgrep", "-f", f"^sleep {mark}"]).exit_code == 0:
        assert time.monotonic() < deadline, "the command still runs there"
        time.sleep(0.2)


def test_a_background_child_that_keeps_the_pipe_does_not_hold_us(host: Host) -> None:
    started = time.monotonic()
    result = host.run(["sh", "-c", "sleep 30 >/dev/null 2>&1 & echo done"])
    assert result.stdout == "done\n"
    assert time.monotonic() - started < 20, "waited for the child"


def test_many_at_once(host: Host) -> None:
    answers: dict[int, str] = {}

    def work(number: int) -> None:
        answer = host.run(["sh", "-c", f"sleep 0.05; echo {number}"])
        answers[number] = answer.stdout if answer.ok else answer.fault

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: f"{number}\n" for number in range(20)}


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user directly needs root")
def test_root_becomes_the_user_directly(sshd: Sshd) -> None:
    for ssh in (None, SshConfig(sshd.address, port=sshd.port, config_file=str(sshd.config))):
        host = open_host(HostConfig("n1", ssh=ssh, become="nobody"), TIMEOUTS)
        assert host.run(["id", "-un"], identity=Identity.OWNER).stdout == "nobody\n"
        assert host.run(["id", "-un"]).stdout == "root\n"
        host.close()
        missing = open_host(HostConfig("n1", ssh=ssh, become="no-such-user"), TIMEOUTS)
        with pytest.raises(HostFault, match="there is no user no-such-user"):
            missing.run(["id"], identity=Identity.OWNER)
        missing.close()


def test_variables_of_the_operators_shell_stay_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGBACKREST_STANZA", "PATRONI_SCOPE"):
        monkeypatch.setenv(name, "canary")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    told = open_host(HostConfig("n1", become=None), TIMEOUTS).run(["env"]).stdout
    assert "canary" not in told
    assert "/usr/sbin" in told
