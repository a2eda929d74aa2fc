"""The operator's machine: its place in the network, its SSH key, and what it knows of the hosts' keys.

Sources: ssh_config(5), sshd(8) on known_hosts and authorized_keys.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping, Sequence
from pathlib import Path

from hosts.harness import network
from hosts.harness.command import call
from hosts.harness.machine import Machine
from pgops.hosts.process import CommandResult, run

PLAIN_USER = "nobody"
"""The operating-system user of this machine that stands for a plain operator; nothing is his but `directory`."""

HOST_USER = "pgopsop"
"""The plain operator's login on the hosts."""


class Operator:
    """Someone at a machine beside the hosts, with a key that opens `HOST_USER` and root on each of them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ssh_config = directory / "ssh_config"
        self._known_hosts = directory / "known_hosts"
        self._key = directory / "id_ed25519"
        directory.mkdir(mode=0o700)
        call(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "operator", "-f", str(self._key)])
        self._known_hosts.touch()
        self.ssh_config.write_text(
            f"Host *\n  IdentityFile {self._key}\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {self._known_hosts}\n  GlobalKnownHostsFile /dev/null\n"
        )
        self.hand_over(directory, self._key, self._known_hosts, self.ssh_config)

    def hand_over(self, *paths: Path) -> None:
        """Make these files the plain operator's own; root can read them as well."""
        entry = pwd.getpwnam(PLAIN_USER)
        for path in paths:
            os.chown(path, entry.pw_uid, entry.pw_gid)

    def introduce(self, machine: Machine) -> None:
        """Give the host a key of its own that is known here, and let this operator in as `HOST_USER` and as root."""
        key = machine.root / "etc/ssh/ssh_host_ed25519_key"
        call(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", machine.name, "-f", str(key)])
        public = key.with_suffix(".pub").read_text().split()
        with self._known_hosts.open("a") as known:
            known.write(f"{machine.address} {public[0]} {public[1]}\n")
        with self.ssh_config.open("a") as config:
            config.write(f"Host {machine.name}\n  HostName {machine.address}\n")
        machine.change(["useradd", "--create-home", "--shell", "/bin/bash", HOST_USER])
        own = self._key.with_suffix(".pub").read_text()
        for user, home in (("root", "/root"), (HOST_USER, f"/home/{HOST_USER}")):
            machine.write(f"{home}/.ssh/authorized_keys", own, owner=user, mode=0o600)
            os.chown(machine.root / home.lstrip("/") / ".ssh", *machine.ids(user))
        machine.change(["systemctl", "enable", "ssh"])

    def run(
        self,
        argv: Sequence[str],
        *,
        user: str = "root",
        timeout_s: float = 60.0,
        environment: Mapping[str, str] | None = None,
    ) -> CommandResult:
        """Run `argv` on the operator's machine, from where the hosts can be reached, as root or as `PLAIN_USER`."""
        enter = ["ip", "netns", "exec", network.OPERATOR]
        become = [] if user == "root" else ["setpriv", f"--reuid={user}", f"--regid={_group(user)}", "--clear-groups"]
        world = {"PATH": os.environ["PATH"], "HOME": str(self.directory), "LANG": "C.UTF-8", **(environment or {})}
        return run([*enter, *become, *argv], timeout_s=timeout_s, env=world, cwd="/")

    def ssh(self, host: str, argv: Sequence[str], *, user: str = HOST_USER, as_user: str = PLAIN_USER) -> CommandResult:
        """Run a command on a host over SSH, with plain words only, as `user` there and `as_user` here."""
        options = ["-F", str(self.ssh_config), "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-l", user]
        return self.run(["ssh", *options, host, "--", *argv], user=as_user, timeout_s=30.0)


def _group(user: str) -> str:
    return str(pwd.getpwnam(user).pw_gid)
