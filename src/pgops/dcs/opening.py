"""Opens the DCS of a cluster for a command that will ask it more than once."""

from __future__ import annotations

from functools import partial
from typing import Any

from pgops.config.model import ClusterConfig
from pgops.dcs import Dcs
from pgops.dcs.forked import ForkedDcs, may_fork
from pgops.plugins import find_driver


def open_dcs(cluster: ClusterConfig) -> Dcs:
    """The driver; where this process may fork, in a process of its own, which loads its library meanwhile.

    Open it early, before other heavy imports. Raises `PgopsError` when no driver serves the cluster's DCS.
    """
    driver: Any = find_driver(cluster.dcs.kind.value, "dcs_drivers")
    make = partial(driver, cluster.dcs, timeout_s=cluster.timeouts.answer_s)
    if may_fork():
        return ForkedDcs(make, timeout_s=cluster.timeouts.answer_s)
    dcs: Dcs = make()
    return dcs
