"""Runs pgops's own host functions from the operator's place in the network, in this very process."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hosts.harness import network
from hosts.harness.boot import Hosts
from pgops.config.model import HostConfig, SshConfig, Timeouts
from pgops.hosts.factory import open_host
from pgops.hosts.host import Host

_CLONE_NEWNET = 0x40000000  # sched.h
CONFIG = HostConfig("h", become="postgres")
"""What jobs need to know of a host; the same for each."""


@contextmanager
def opened(hosts: Hosts, name: str) -> Iterator[Host]:
    """The host over SSH, as root there. Its connection ends with the block."""
    with _in_namespace(network.OPERATOR):
        ssh = SshConfig(name, user="root", config_file=str(hosts.operator.ssh_config))
        host = open_host(HostConfig(name, ssh=ssh, become=CONFIG.become), Timeouts(connect_s=5.0, command_s=30.0))
        try:
            yield host
        finally:
            host.close()


@contextmanager
def _in_namespace(name: str) -> Iterator[None]:
    """This thread, and what it starts, in a network namespace; man 2 setns."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    other = os.open(Path("/run/netns") / name, os.O_RDONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        if libc.setns(other, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        yield
    finally:
        libc.setns(own, _CLONE_NEWNET)
        os.close(own)
        os.close(other)
