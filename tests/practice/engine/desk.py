"""An operator's desk: a lab, a state directory of its own, and pgops in processes that may be struck."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from practice.conftest import LabUnderTest
from practice.engine.etcd_view import EtcdView

ENTRY = Path(__file__).with_name("entry.py")


@dataclass(frozen=True)
class Ended:
    """How a pgops ended."""

    code: int
    out: str
    err: str
    took_s: float

    @property
    def said(self) -> str:
        """All that it said."""
        return self.out + self.err


class Running:
    """A pgops that runs."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self.child = child
        self._began = time.monotonic()

    def await_stop(self) -> None:
        """Until it has stopped itself."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            seen, status = os.waitpid(self.child.pid, os.WUNTRACED | os.WNOHANG)
            if seen and os.WIFSTOPPED(status):
                return
            assert not seen, f"it ended instead of stopping: {status}"
            time.sleep(0.02)
        raise AssertionError("it neither stopped nor ended")

    def go_on(self, *numbers: signal.Signals) -> Ended:
        """Let it go on, with these signals, and wait for its end."""
        self._began = time.monotonic()
        for number in numbers:
            self.child.send_signal(number)
        self.child.send_signal(signal.SIGCONT)
        return self.end()

    def end(self) -> Ended:
        """Wait for its end."""
        out, err = self.child.communicate(timeout=120)
        return Ended(self.child.returncode, out, err, time.monotonic() - self._began)


@dataclass(frozen=True)
class Desk:
    """One operator host on a lab; a `host` name makes it another one."""

    lab: LabUnderTest
    state: Path
    host: str | None = None

    @property
    def cluster(self) -> dict[str, Any]:
        """The cluster as pgops.yml has it."""
        document = yaml.safe_load(Path(self.lab.config).read_text())
        cluster: dict[str, Any] = next(iter(document["clusters"].values()))
        return cluster

    @property
    def etcd(self) -> EtcdView:
        """etcd, at its first member."""
        return EtcdView(self.cluster["dcs"]["endpoints"][0], self.cluster["scope"])

    def start(self, *arguments: str, env: dict[str, str] | None = None, **options: Any) -> Running:
        """Start pgops; `at`, `after`, `signal` say which blow it meets, see `entry`."""
        if self.host:
            options["host"] = self.host
        child = subprocess.Popen(
            [sys.executable, str(ENTRY), json.dumps(options), "-c", self.lab.config, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "PGOPS_STATE_DIR": str(self.state), **(env or {})},
        )
        return Running(child)

    def pgops(self, *arguments: str, env: dict[str, str] | None = None, **options: Any) -> Ended:
        """Run pgops to its end."""
        return self.start(*arguments, env=env, **options).end()

    def done(self, *arguments: str) -> Ended:
        """Run pgops; it must end well."""
        ended = self.pgops(*arguments)
        assert ended.code == 0, ended.said
        return ended

    def stopped(self, *arguments: str, at: int, after: bool = False) -> Running:
        """pgops that has stopped itself before or after its `at`th action."""
        running = self.start(*arguments, at=at, after=after, signal="SIGSTOP")
        running.await_stop()
        return running

    def set_pause(self, *, on: bool) -> None:
        """Bring the cluster there, whoever paused it."""
        if self.etcd.is_paused() is not on or ("pause" in self.etcd.own()) is not on:
            self.done(*(("pause", "--reason", "test") if on else ("resume", "--yes")))
        assert not {"run", "lock/topology"} & set(self.etcd.own())

    def run_id(self) -> str:
        """The id of the unfinished run, from etcd."""
        found: str = json.loads(self.etcd.own()["run"].value)["id"]
        return found

    def supervise(self, *words: str) -> None:
        """supervisorctl on the lab."""
        services = self.cluster["services"]
        done = subprocess.run(
            [services["control"], "-c", services["config"], *words],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def await_healthy(self) -> None:
        """Until a look finds nothing bad."""
        wait_until(lambda: self.lab.health()[0] == 0, 60)

    def leader(self) -> str:
        """Who holds Patroni's lock; empty for nobody."""
        key = self.etcd.keys().get(f"/service/{self.etcd.scope}/leader")
        return key.value if key else ""

    def ask_patroni(self, method: str, path: str, body: dict[str, Any]) -> None:
        """Call the leader's REST API; it must do it."""
        cluster = self.cluster
        coded = base64.b64encode(f"{cluster['rest']['username']}:{cluster['rest']['password']}".encode()).decode()
        request = urllib.request.Request(  # noqa: S310 - Patroni
            f"{cluster['hosts'][self.leader()]['rest_url']}{path}",
            json.dumps(body).encode(),
            {"Authorization": f"Basic {coded}"},
            method=method,
        )
        urllib.request.urlopen(request, timeout=60).close()  # noqa: S310 - as above


def named_run(text: str) -> str:
    """The id of the run that a text names."""
    found = re.search(r"\b\d{8}-\d{4}-[a-z0-9]{6}\b", text)
    assert found, text
    return found[0]


def wait_until(holds: Callable[[], bool], limit_s: float) -> None:
    """Until it holds."""
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.2)
