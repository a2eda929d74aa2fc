"""One cluster on three whole hosts for all tests here; each test leaves it as well as it found it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hosts.harness.boot import booted_hosts, obstacle
from hosts.harness.cluster import PatroniCluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[PatroniCluster]:
    """Three hosts h1, h2, h3 with the cluster on them, all well."""
    if reason := obstacle():
        pytest.skip(reason)
    with booted_hosts(("h1", "h2", "h3")) as hosts:
        found = PatroniCluster(hosts)
        found.install()
        yield found
