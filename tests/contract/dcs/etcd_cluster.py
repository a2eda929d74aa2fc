"""A real etcd cluster on loopback addresses of its own, for the contract tests of the DCS drivers."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

ETCD = shutil.which("etcd")
ETCDCTL = shutil.which("etcdctl")

_networks = count(1)


@dataclass
class EtcdCluster:
    """Members `m1`...; v2 and v3 API both on. `scheme` https needs `client_tls` flags and `ctl_flags`."""

    size: int = 3
    scheme: str = "http"
    client_tls: tuple[str, ...] = ()
    ctl_flags: tuple[str, ...] = ()
    more_flags: tuple[str, ...] = ()
    home: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="pgops-etcd-")))
    network: str = field(default_factory=lambda: f"127.30.{10 + os.getpid() % 200}.{next(_networks) * 10}")
    processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    def address(self, number: int) -> str:
        base, _, last = self.network.rpartition(".")
        return f"{base}.{int(last) + number}"

    def url(self, number: int) -> str:
        return f"{self.scheme}://{self.address(number)}:2379"

    @property
    def urls(self) -> tuple[str, ...]:
        return tuple(self.url(number) for number in range(1, self.size + 1))

    def start(self) -> EtcdCluster:
        for number in range(1, self.size + 1):
            self.start_member(number)
        self.await_healthy()
        return self

    def start_member(self, number: int, *flags: str) -> None:
        peers = ",".join(f"m{n}=http://{self.address(n)}:2380" for n in range(1, self.size + 1))
        argv = [
            *(ETCD or "", "--name", f"m{number}", "--data-dir", str(self.home / f"m{number}")),
            *("--listen-client-urls", self.url(number), "--advertise-client-urls", self.url(number)),
            *("--listen-peer-urls", f"http://{self.address(number)}:2380"),
            *("--initial-advertise-peer-urls", f"http://{self.address(number)}:2380"),
            *("--initial-cluster", peers, "--enable-v2=true", "--unsafe-no-fsync"),
            *("--heartbeat-interval", "50", "--election-timeout", "500"),
            *self.client_tls,
            *self.more_flags,
            *flags,
        ]
        log = (self.home / f"m{number}.log").open("ab")
        self.processes[number] = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)
        log.close()

    def ctl(self, *argv: str, stdin: bytes | None = None, api: int = 3, number: int = 1, check: bool = True) -> str:
        endpoints = self.url(number)
        done = subprocess.run(
            [ETCDCTL or "", "--endpoints", endpoints, *(self.ctl_flags if api == 3 else ()), *argv],
            env={**os.environ, "ETCDCTL_API": str(api)},
            input=stdin,
            capture_output=True,
            timeout=20,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"etcdctl {argv}: {done.stderr.decode()}")
        return done.stdout.decode("utf-8", "replace")

    def fill(self) -> None:
        """Write until the quota is used up and etcd says so: it counts only what it has committed to its file."""
        deadline = time.monotonic() + 20
        while "NOSPACE" not in self.ctl("alarm", "list"):
            assert time.monotonic() < deadline, f"etcd raised no alarm, see {self.home}"
            self.ctl("put", f"/fill/{time.monotonic()}", stdin=b"x" * 900_000, check=False)

    def await_healthy(self, timeout_s: float = 20) -> None:
        deadline = time.monotonic() + timeout_s
        while True:
            alive = [number for number, process in self.processes.items() if process.poll() is None]
            if len(alive) == self.size and all(
                "true" in self.ctl("endpoint", "health", "-w", "json", number=number, check=False) for number in alive
            ):
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"etcd did not become healthy, see {self.home}")
            time.sleep(0.1)

    def signal(self, number: int, sign: signal.Signals) -> None:
        """Send it; that a stop has come to every thread is waited for, since one that runs may still answer."""
        process = self.processes[number]
        process.send_signal(sign)
        deadline = time.monotonic() + 10
        while sign == signal.SIGSTOP and any(
            path.read_text().rpartition(")")[2].split()[0] != "T"
            for path in Path(f"/proc/{process.pid}/task").glob("*/stat")
        ):
            assert time.monotonic() < deadline, f"member {number} does not stop"
            time.sleep(0.01)

    def kill(self, number: int) -> None:
        self.processes[number].kill()
        self.processes[number].wait(10)

    def mend(self) -> None:
        """All members running again."""
        for number, process in list(self.processes.items()):
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
            else:
                self.start_member(number)
        self.await_healthy()

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait(10)
        shutil.rmtree(self.home, ignore_errors=True)


def need_etcd() -> None:
    if not ETCD or not ETCDCTL:
        pytest.skip("etcd and etcdctl are not installed here: apt-get install etcd-server etcd-client")
