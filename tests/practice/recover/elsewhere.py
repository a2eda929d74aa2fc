"""A member whose Patroni was told of another etcd, found nobody there, and promoted its PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import yaml

from contract.dcs.etcd_cluster import EtcdCluster
from practice.engine.desk import Desk, wait_until
from practice.recover.rows import Sides


@contextmanager
def leading_elsewhere(desk: Desk, sides: Sides, name: str) -> Iterator[Callable[[], None]]:
    """While it leads there; what is given sets its Patroni's file right again, which takes effect when that starts anew."""
    settings = sides.member(name).patroni_config
    right = settings.read_text()
    elsewhere = EtcdCluster(size=1)
    try:
        elsewhere.start()
        hosts = [url.removeprefix("http://") for url in elsewhere.urls]
        settings.write_text(yaml.safe_dump({**yaml.safe_load(right), "etcd3": {"hosts": hosts}}))
        desk.supervise("restart", desk.cluster["services"]["names"]["patroni"].replace("{host}", name))
        wait_until(lambda: sides.state(name).endswith("in production"), 60)

        def set_right() -> None:
            settings.write_text(right)

        yield set_right
    finally:
        settings.write_text(right)
        elsewhere.stop()
