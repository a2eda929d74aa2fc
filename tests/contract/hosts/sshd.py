"""A real sshd on a loopback address of its own, with its own keys and its own ssh_config for the client."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/bin:/sbin")
KEYGEN = shutil.which("ssh-keygen")

_numbers = count(1)


@dataclass
class Sshd:
    """Serves logins of any local user by one key. `known_hosts` and `config` belong to the client."""

    address: str = field(default_factory=lambda: f"127.31.{10 + os.getpid() % 200}.{next(_numbers)}")
    port: int = 2222
    home: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="pgops-sshd-")))
    process: subprocess.Popen[bytes] | None = None

    @property
    def config(self) -> Path:
        return self.home / "ssh_config"

    @property
    def known_hosts(self) -> Path:
        return self.home / "known_hosts"

    @property
    def log(self) -> str:
        return (self.home / "sshd.log").read_text()

    @property
    def user(self) -> str:
        return pwd.getpwuid(os.geteuid()).pw_name

    def start(self) -> Sshd:
        # sshd reads authorized_keys as the user who logs in.
        self.home.chmod(0o755)
        for name in ("host_key", "user_key", "other_key"):
            subprocess.run(
                [KEYGEN or "", "-q", "-t", "ed25519", "-N", "", "-f", str(self.home / name)], check=True, timeout=20
            )
        shutil.copy(self.home / "user_key.pub", self.home / "authorized_keys")
        (self.home / "authorized_keys").chmod(0o644)
        self.write_config("user_key")
        self.trust()
        self.serve()
        return self

    def write_config(self, key: str) -> None:
        self.config.write_text(
            f"Host *\n  IdentityFile {self.home / key}\n  IdentitiesOnly yes\n  IdentityAgent none\n"
            f"  UserKnownHostsFile {self.known_hosts}\n  GlobalKnownHostsFile /dev/null\n  Port {self.port}\n"
            "  StrictHostKeyChecking no\n"
        )

    def trust(self) -> None:
        key = (self.home / "host_key.pub").read_text()
        self.known_hosts.write_text(f"[{self.address}]:{self.port} {key}")

    def serve(self) -> None:
        server = self.home / "sshd_config"
        server.write_text(
            f"ListenAddress {self.address}\nPort {self.port}\nHostKey {self.home}/host_key\n"
            f"AuthorizedKeysFile {self.home}/authorized_keys\nStrictModes no\nPasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nUsePAM no\nPidFile none\n"
            "LogLevel VERBOSE\nX11Forwarding no\nMaxStartups 100\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        with (self.home / "sshd.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(SSHD), "-D", "-e", "-f", str(server)], stderr=log, stdout=log, start_new_session=True
            )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                socket.create_connection((self.address, self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"sshd did not start: {self.log}")

    def logins(self) -> int:
        return self.log.count("Accepted publickey")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
        shutil.rmtree(self.home, ignore_errors=True)


def need_sshd() -> None:
    if not SSHD or not shutil.which("ssh"):
        pytest.skip("ssh and sshd are not installed here: apt-get install openssh-server openssh-client")
