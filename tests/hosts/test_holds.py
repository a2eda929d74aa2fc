"""A held Patroni does not start, whoever asks: by hand, by systemd itself, or at boot."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from hosts.harness.cluster import PatroniCluster
from hosts.harness.reach import opened
from pgops.config.model import ServiceConfig
from pgops.hosts.fence import Fence
from pgops.hosts.files import read_file, remove_file, write_file
from pgops.hosts.host import Host, Identity
from pgops.hosts.process import CommandResult
from pgops.services import ServiceState
from pgops.services.systemd import SystemdServices

pytestmark = [pytest.mark.hosts, pytest.mark.xdist_group("hosts")]

MANAGER = SystemdServices(ServiceConfig())
UNIT = "patroni"
TEXT = json.dumps({"owner": "a test", "reason": "to see", "since": "2026-11-23T04:00:00+00:00"})
FENCE = Fence(7, "/service/holds/")


def run(host: Host, *argv: str) -> CommandResult:
    return host.run(argv, identity=Identity.ROOT, timeout_s=30)


def hold(host: Host) -> None:
    for file in MANAGER.hold_files(UNIT, TEXT):
        content = file.content.encode()
        write_file(host, file.path, content, mode=file.mode, identity=Identity.ROOT, fence=FENCE, timeout_s=10)
    assert run(host, *MANAGER.reload_argv()).ok


def release(host: Host) -> None:
    for file in reversed(MANAGER.hold_files(UNIT, TEXT)):
        remove_file(host, file.path, identity=Identity.ROOT, fence=FENCE, timeout_s=10)
    assert run(host, *MANAGER.reload_argv()).ok


def seen(host: Host) -> ServiceState:
    return MANAGER.states(host, ((UNIT, UNIT),), timeout_s=10)[0]


def wait(until: Callable[[], bool], what: str, limit_s: float = 30.0) -> None:
    deadline = time.monotonic() + limit_s
    while not until():
        assert time.monotonic() < deadline, what
        time.sleep(0.3)


def postmaster(host: Host) -> bool:
    return run(host, "pgrep", "-u", "postgres", "-x", "postgres").ok


def test_a_hold_from_kill_to_release(cluster: PatroniCluster) -> None:
    leader = cluster.wait_until_well()
    name = next(each for each in cluster.hosts.names if each != leader)
    try:
        with opened(cluster.hosts, name) as host:
            assert run(host, *MANAGER.assert_argv(UNIT)).exit_code == 0
            drop_in, file = MANAGER.hold_files(UNIT, TEXT)
            write_file(
                host,
                drop_in.path,
                drop_in.content.encode(),
                mode=0o644,
                identity=Identity.ROOT,
                fence=FENCE,
                timeout_s=10,
            )
            assert not seen(host).held, "a drop-in that is not loaded, without its file"
            assert run(host, *MANAGER.reload_argv()).ok
            assert not seen(host).held, "a drop-in without its file"
            assert run(host, *MANAGER.assert_argv(UNIT)).exit_code == 0
            hold(host)
            state = seen(host)
            assert state.held and state.running and state.hold_text == TEXT
            assert read_file(host, file.path, identity=Identity.OWNER, timeout_s=10) == TEXT.encode()
            assert run(host, *MANAGER.assert_argv(UNIT)).exit_code not in (0, None)

            # systemd's own restart (Restart=on-failure) is refused, and PostgreSQL runs on.
            assert run(host, "systemctl", "kill", "--kill-whom=main", "--signal=SIGKILL", UNIT).ok
            wait(lambda: seen(host).state == "failed" or not seen(host).running, "Patroni was killed")
            time.sleep(3)
            assert not seen(host).running and postmaster(host)
            started = run(host, *MANAGER.start_argv(UNIT))
            assert MANAGER.refused(started), started
            assert not seen(host).running and postmaster(host)

        # And so is the start at boot.
        cluster.hosts[name].power_off()
        cluster.hosts[name].power_on()
        with opened(cluster.hosts, name) as host:
            state = seen(host)
            assert (state.held, state.running, state.enabled) == (True, False, True)
            assert MANAGER.refused(run(host, *MANAGER.start_argv(UNIT)))
            assert not postmaster(host)

            release(host)
            assert (seen(host).held, seen(host).hold_text) == (False, None)
            started = run(host, *MANAGER.start_argv(UNIT))
            assert started.ok, started
    finally:
        with opened(cluster.hosts, name) as host:
            release(host)
            run(host, *MANAGER.start_argv(UNIT))
    cluster.wait_until_well()


def test_a_file_whose_drop_in_is_not_loaded_holds_nothing(cluster: PatroniCluster) -> None:
    leader = cluster.wait_until_well()
    with opened(cluster.hosts, next(each for each in cluster.hosts.names if each != leader)) as host:
        try:
            for file in MANAGER.hold_files(UNIT, TEXT):
                content = file.content.encode()
                write_file(host, file.path, content, mode=file.mode, identity=Identity.ROOT, fence=FENCE, timeout_s=10)
            assert not seen(host).held
        finally:
            release(host)


def test_a_start_that_fails_otherwise_is_no_refusal(cluster: PatroniCluster) -> None:
    with opened(cluster.hosts, cluster.hosts.names[0]) as host:
        assert not MANAGER.refused(run(host, *MANAGER.start_argv("no-such-unit")))
