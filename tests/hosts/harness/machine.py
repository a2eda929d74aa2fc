"""One whole host: its own layer over the image, its systemd as process 1, its power switch and its console.

Sources: systemd-nspawn(1); overlayfs in the kernel's documentation; nsenter(1).
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from hosts.harness import network
from hosts.harness.command import HarnessFault, call, expect_ok
from pgops.hosts.process import CommandResult, run

_BOOT_TIMEOUT_S = 60.0
_HOMES = {"root": "/root", "postgres": "/var/lib/postgresql"}


class Machine:
    """A host named `name` at `address`. It is made switched off."""

    def __init__(self, name: str, address: str, directory: Path, image: Path, binds: dict[Path, str]) -> None:
        self.name = name
        self.address = address
        self.root = directory / "root"
        self._directory = directory
        self._binds = binds
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._init_pid: int | None = None
        for layer in ("upper", "work", "root"):
            (directory / layer).mkdir(parents=True)
        layers = f"lowerdir={image},upperdir={directory / 'upper'},workdir={directory / 'work'}"
        call(["mount", "-t", "overlay", f"pgops-test-{name}", "-o", layers, str(self.root)])
        self.write("/etc/hostname", f"{name}\n")
        self.write("/etc/machine-id", f"{secrets.token_hex(16)}\n")

    def write(self, path: str, text: str, *, owner: str = "root", mode: int = 0o644) -> None:
        """Write a file on the host, running or not, as its administrator would."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)
        os.chown(target, *self.ids(owner))

    def ids(self, user: str) -> tuple[int, int]:
        """(uid, gid) of a user of the host."""
        for line in (self.root / "etc/passwd").read_text().splitlines():
            fields = line.split(":")
            if fields[0] == user:
                return int(fields[2]), int(fields[3])
        raise HarnessFault(f"{self.name} has no user {user}")

    def change(self, argv: Sequence[str]) -> str:
        """Run a program in the host's files, without the host running (`useradd`, `systemctl enable`)."""
        return call(["chroot", str(self.root), *argv])

    def power_on(self) -> None:
        """Boot, and wait until systemd has reached its default target or says that some unit failed."""
        network.plug_in(self.name)
        binds = [f"--bind={source}:{target}" for source, target in self._binds.items()]
        argv = [
            *("systemd-nspawn", "-q", "-D", str(self.root), f"--machine={self.name}", "--register=no", "--keep-unit"),
            *(f"--network-namespace-path=/run/netns/{network.namespace(self.name)}", "--resolv-conf=off"),
            *("--console=pipe", *binds, "--boot"),
        ]
        with (self._directory / "console.log").open("ab") as console:
            self._nspawn = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True
            )
        deadline = time.monotonic() + _BOOT_TIMEOUT_S
        while True:
            self._init_pid = self._find_init()
            if self._init_pid and self.run(["systemctl", "is-active", "multi-user.target"]).ok:
                return
            if self._nspawn.poll() is not None or time.monotonic() > deadline:
                log = (self._directory / "console.log").read_text(errors="replace")
                raise HarnessFault(f"{self.name} did not boot:\n{log[-3000:]}")
            time.sleep(0.2)

    @property
    def is_on(self) -> bool:
        """Whether it runs; a partitioned host does."""
        return self._init_pid is not None

    def partition(self) -> None:
        """A true network partition: the host runs on, alone."""
        network.pull_out(self.name)

    def heal(self) -> None:
        """End a partition or a power failure."""
        if self.is_on:
            network.plug_in(self.name)
        else:
            self.power_on()

    def power_off(self) -> None:
        """A power failure: every process is gone at once, and so is the link."""
        network.pull_out(self.name)
        if self._init_pid is None or self._nspawn is None:
            return
        # Process 1 of the container, not nspawn: without nspawn the host would simply run on.
        os.kill(self._init_pid, signal.SIGKILL)
        self._nspawn.wait(30)
        self._nspawn = self._init_pid = None

    def run(self, argv: Sequence[str], *, user: str = "root", timeout_s: float = 60.0) -> CommandResult:
        """Run `argv` on the host's console, whatever the network and sshd do; `user` is root or postgres.

        Raises `HarnessFault` when the host is off.
        """
        if self._init_pid is None:
            raise HarnessFault(f"{self.name} is switched off")
        enter = ["nsenter", "--target", str(self._init_pid), "--mount", "--uts", "--ipc", "--net", "--pid", "--root"]
        become = [] if user == "root" else ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
        home = _HOMES[user]
        env = ["env", "-i", "-C", home, "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", f"HOME={home}"]
        return run([*enter, *become, *env, *argv], timeout_s=timeout_s)

    def call(self, argv: Sequence[str], *, user: str = "root", timeout_s: float = 60.0) -> str:
        """As `run`, but gives the standard output and raises `HarnessFault` when the command fails."""
        return expect_ok(self.run(argv, user=user, timeout_s=timeout_s)).stdout

    def _find_init(self) -> int | None:
        """The container's process 1: the child of nspawn that has a process 1 of its own."""
        assert self._nspawn is not None
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children")
        try:
            for pid in children.read_text().split():
                status = Path(f"/proc/{pid}/status").read_text()
                inner = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()
                if inner[-1] == "1" and len(inner) > 2:
                    return int(pid)
        except (OSError, StopIteration):
            pass
        return None


def missing_programs() -> list[str]:
    """The programs that booting hosts needs and this machine lacks."""
    wanted = ("debootstrap", "systemd-nspawn", "ip", "ssh", "ssh-keygen", "nsenter", "setpriv")
    return [program for program in wanted if shutil.which(program) is None]
