"""Which cluster an acting command means: with several configured, one must be named."""

from __future__ import annotations

from pgops.config.model import ClusterConfig, Config
from pgops.errors import ConfigError, Refused


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
