"""Boots the hosts, and takes everything away again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from hosts.harness import network
from hosts.harness.image import ensure_image
from hosts.harness.layout import own_state
from hosts.harness.machine import Machine, missing_programs
from hosts.harness.operator import Operator

RELEASE = os.environ.get("PGOPS_HOSTS_RELEASE", "trixie")
"""The Debian release of the hosts: `trixie`, or `bookworm`."""


@dataclass(frozen=True)
class Hosts:
    """The running hosts by name, and the operator who can reach them."""

    machines: dict[str, Machine]
    operator: Operator
    release: str

    def __getitem__(self, name: str) -> Machine:
        return self.machines[name]

    @property
    def names(self) -> tuple[str, ...]:
        """The hosts' names, in the order they were asked for."""
        return tuple(self.machines)


def obstacle() -> str | None:
    """Why this machine cannot boot hosts, or None."""
    if os.geteuid() != 0:
        return "whole hosts need root"
    if missing := missing_programs():
        packages = "debootstrap systemd-container iproute2 openssh-client util-linux"
        return f"whole hosts need {', '.join(missing)} (apt-get install {packages})"
    return None


@contextmanager
def booted_hosts(names: Sequence[str], *, release: str = RELEASE) -> Iterator[Hosts]:
    """Whole Debian hosts with systemd and sshd, one directory (`/var/lib/pgbackrest`) shared by all of them.

    What an earlier run left is removed first, and everything at the end. Raises `HarnessFault`.
    """
    image = ensure_image(release)
    with own_state() as state:
        network.make_network(tuple(names))
        operator = Operator(state / "operator")
        (state / "machines").mkdir(mode=0o700)
        shared = state / "machines" / "repository"
        shared.mkdir()
        machines: dict[str, Machine] = {}
        for index, name in enumerate(names):
            directory = state / "machines" / name
            directory.mkdir()
            binds = {shared: "/var/lib/pgbackrest"}
            machines[name] = Machine(name, network.address(index), directory, image, binds)
            os.chown(shared, *machines[name].ids("postgres"))
            operator.introduce(machines[name])
        book = "".join(f"{machine.address} {machine.name}\n" for machine in machines.values())
        for machine in machines.values():
            machine.write("/etc/hosts", f"127.0.0.1 localhost\n{book}")
            machine.power_on()
        yield Hosts(machines, operator, release)
