"""One cluster on three whole hosts for all tests here; each test leaves it as well as it found it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hosts.harness.boot import booted_hosts, obstacle
from hosts.harness.cluster import PatroniCluster
from hosts.harness.desk import Desk


@pytest.fixture(scope="package")
def cluster() -> Iterator[PatroniCluster]:
    """Three hosts h1, h2, h3 with the cluster on them, all well."""
    if reason := obstacle():
        pytest.skip(reason)
    with booted_hosts(("h1", "h2", "h3")) as hosts:
        found = PatroniCluster(hosts)
        found.install()
        yield found


@pytest.fixture
def desk(cluster: PatroniCluster, tmp_path: Path) -> Desk:
    """An operator's desk with root's login on the hosts, and a state directory of the test's own."""
    tmp_path.chmod(0o700)
    return Desk(cluster, tmp_path / "state")
