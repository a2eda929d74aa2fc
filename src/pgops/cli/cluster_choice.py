"""Which cluster an acting command means: with several configured, one must be named."""

from __future__ import annotations

import click

from pgops.cli.context import config_path
from pgops.config.model import ClusterConfig, Config
from pgops.dcs import Dcs
from pgops.errors import ConfigError, Refused


def open_cluster(ctx: click.Context, name: str | None) -> tuple[ClusterConfig, Dcs, Config]:
    """The cluster, its DCS and the configuration. The DCS comes first: its process imports while this one goes on."""
    from pgops.config.loader import load
    from pgops.dcs.opening import open_dcs

    config = load(config_path(ctx))
    cluster = choose_cluster(config, name)
    return cluster, open_dcs(cluster), config


def choose_cluster(config: Config, name: str | None) -> ClusterConfig:
    """The cluster of that name; without a name the only one. Raises `Refused` where there are several, `ConfigError`."""
    there = {cluster.name: cluster for cluster in config.clusters}
    names = ", ".join(there)
    if name is not None:
        if name not in there:
            raise ConfigError(f"no cluster is named {name!r}", where=config.source, why=f"there are: {names or 'none'}")
        return there[name]
    if not there:
        raise ConfigError("no cluster is configured", where=config.source, next_step="name one under clusters:")
    if len(there) > 1:
        raise Refused(
            "several clusters are configured, and a command that acts guesses none",
            where=config.source,
            why=f"there are: {names}",
            next_step=f"say --cluster {next(iter(there))}",
        )
    return next(iter(there.values()))
