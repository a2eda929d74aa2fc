"""Which of a lab's addresses and ports are free, and who holds those that are not."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable

from pgops.errors import Refused
from pgops_lab import processes
from pgops_lab.lab import Lab


def taken(endpoints: Iterable[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    """Those of `endpoints` that somebody listens on."""
    return tuple(endpoint for endpoint in endpoints if not _is_free(*endpoint))


def refuse_taken(lab: Lab, endpoints: tuple[tuple[str, int], ...]) -> None:
    """Raise `Refused` that names each taken port and its holder."""
    if endpoints:
        raise Refused(
            "a port that the lab needs is taken",
            why="\n".join(f"{address}:{port} by {processes.listener(address, port)}" for address, port in endpoints),
            next_step=f"stop that program, then: pgops lab up --name {lab.name}",
        )


def _is_free(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # as the servers do: connections that linger after a close do not count
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise Refused("a loopback address cannot be used", where=address, why=error.strerror) from None
    return True
