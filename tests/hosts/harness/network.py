"""The hosts' network: a bridge in the operator's namespace and a cable to a namespace for each host.

Nothing of it is in this machine's own network namespace, and there is no route out: a packet to a host that is gone goes
nowhere.
"""

from __future__ import annotations

from hosts.harness.command import call
from hosts.harness.layout import NAMESPACE_PREFIX

OPERATOR = f"{NAMESPACE_PREFIX}operator"
"""The namespace of the operator's machine: the bridge lies in it, and pgops runs in it."""

SUBNET = "10.87.0.0/24"
OPERATOR_ADDRESS = "10.87.0.1"
_BRIDGE = "hosts"


def namespace(host: str) -> str:
    """The network namespace of a host."""
    return f"{NAMESPACE_PREFIX}{host}"


def address(index: int) -> str:
    """The address of the host with this place in the list, from 0."""
    return f"10.87.0.{11 + index}"


def make_network(hosts: tuple[str, ...]) -> None:
    """Make the operator's namespace with the bridge, and a namespace with one cable (`eth0`) for each host."""
    _add_namespace(OPERATOR)
    _ip(OPERATOR, "link", "add", _BRIDGE, "type", "bridge", "forward_delay", "0")
    _ip(OPERATOR, "address", "add", f"{OPERATOR_ADDRESS}/24", "dev", _BRIDGE)
    _ip(OPERATOR, "link", "set", _BRIDGE, "up")
    for index, host in enumerate(hosts):
        inside = namespace(host)
        _add_namespace(inside)
        _ip(OPERATOR, "link", "add", host, "type", "veth", "peer", "name", "eth0", "netns", inside)
        _ip(OPERATOR, "link", "set", host, "master", _BRIDGE)
        _ip(inside, "address", "add", f"{address(index)}/24", "dev", "eth0")
        _ip(inside, "link", "set", "eth0", "up")
        plug_in(host)


def pull_out(host: str) -> None:
    """Take the host's cable out of the bridge: it reaches nobody and nobody reaches it, but it runs on."""
    _ip(OPERATOR, "link", "set", host, "down")


def plug_in(host: str) -> None:
    """Put the host's cable back."""
    _ip(OPERATOR, "link", "set", host, "up")


def _add_namespace(name: str) -> None:
    call(["ip", "netns", "add", name])
    _ip(name, "link", "set", "lo", "up")


def _ip(name: str, *rest: str) -> None:
    call(["ip", "-n", name, *rest])
