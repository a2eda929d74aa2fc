"""Opens the DCS of a cluster for a command that will ask it more than once."""

from __future__ import annotations

import sys
import threading
from functools import partial
from typing import Any

from pgops.config.model import ClusterConfig
from pgops.dcs import Dcs
from pgops.plugins import find_driver


def open_dcs(cluster: ClusterConfig) -> Dcs:
    """The driver; where this process has one thread and gRPC is not loaded, in a process of its own, which loads it
    meanwhile: gRPC does not bear a fork.

    Open it early, before other heavy imports. Raises `PgopsError` when no driver serves the cluster's DCS.
    """
    driver: Any = find_driver(cluster.dcs.kind.value, "dcs_drivers")
    make = partial(driver, cluster.dcs, timeout_s=cluster.timeouts.answer_s)
    if threading.active_count() > 1 or "grpc" in sys.modules:
        dcs: Dcs = make()
        return dcs
    from pgops.dcs.forked import ForkedDcs

    return ForkedDcs(make, timeout_s=cluster.timeouts.answer_s)
