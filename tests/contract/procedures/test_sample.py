"""The sample procedure of tests/sample_plugin under the contract, as the author of any plugin would test it."""

from __future__ import annotations

from pgops.testing.contract import check_procedure
from pgops.testing.fake_cluster import FakeCluster
from sample_plugin.pgops_sample_lag_limit import LAG_LIMIT


def test_the_sample_procedure() -> None:
    check_procedure(LAG_LIMIT, {"limit_bytes": 33554432}, FakeCluster)
