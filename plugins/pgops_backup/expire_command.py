"""The command `pgops backup expire`."""

from __future__ import annotations

import re

import click

from pgops.cli.acting import Choices, act, acting_options
from pgops.cli.context import config_path
from pgops.config.model import ClusterConfig, Config

_LABEL = re.compile(r"\d{8}-\d{6}F(_\d{8}-\d{6}[DI])?")


@click.command("expire")
@click.option("--set", "label", metavar="LABEL", help="Remove this backup, and all that depend on it.")
@click.option("--repo", type=click.IntRange(1, 256), metavar="N", help="The repository; else every one.")
@click.option("--node", metavar="NODE", help="Where pgBackRest runs; else on the leader.")
@acting_options
@click.pass_context
def expire(ctx: click.Context, choices: Choices, label: str | None, repo: int | None, node: str | None) -> int:
    """Remove what the retention of pgBackRest's configuration no longer keeps; --dry-run shows what would go.

    With --set one backup goes, with all that depend on it; that wants the cluster's name as consent. Refused where no full
    backup without error would be left in the repository, and for a backup or repository that is not there.

    Before pgBackRest 2.59 nothing else may back up or expire in the repository meanwhile: the plan says what to look for.
    """
    if label is not None and _LABEL.fullmatch(label) is None:
        raise click.UsageError("--set takes a label as `pgops backup list` shows it.")
    from pgops.cli.cluster_choice import choose_cluster
    from pgops.config.loader import load

    config = load(config_path(ctx))
    cluster = choose_cluster(config, choices.cluster)
    place = _find_place(cluster, config, node)
    if label is not None or repo is not None:
        _refuse_absent(cluster, place, label, repo)
    return act(ctx, "backup-expire", {"node": place, "set": label, "repo": repo}, choices)


def _find_place(cluster: ClusterConfig, config: Config, node: str | None) -> str:
    """The node that was named, else the leader. Raises `PgopsError`."""
    from pgops.errors import ConfigError, Refused, Unreachable
    from pgops.observe.gather import observe
    from pgops.readings import Known, reason
    from pgops_backup.place import find_node

    if cluster.stanza is None:
        what = f"no pgBackRest stanza is configured for the cluster {cluster.name}"
        raise ConfigError(what, where=config.source, next_step="name it: stanza, in pgops.yml")
    if node is not None and find_node(cluster, node):
        return node
    seen = observe(cluster, frozenset(), hosts=frozenset())
    if not isinstance(seen.keys, Known):
        what = "the DCS gave no answer, so who leads is not known"
        raise Unreachable(what, why=reason(seen.keys), next_step="pgops health; or name a node: --node")
    if seen.leader is None:
        raise Refused("there is no leader now", next_step="pgops health; or name a node: --node")
    return seen.leader


def _refuse_absent(cluster: ClusterConfig, place: str, label: str | None, repo: int | None) -> None:
    """Raise `Refused` where there is no such backup or repository: a slip of the pen is no goal that is reached.

    The procedure itself calls that done, as for somebody who was faster. What cannot be read, the plan tells.
    """
    from pgops.errors import Refused
    from pgops.observe.gather import observe
    from pgops.observe.snapshot import View
    from pgops.readings import known
    from pgops_backup.going import find_absent

    node = observe(cluster, frozenset({View.BACKUP}), hosts=frozenset({place})).node(place)
    stanza = known(node.stanza) if node else None
    absent = find_absent(stanza, label, repo) if stanza is not None else None
    if absent is not None:
        what, why = absent
        raise Refused(f"{what}, so nothing was removed", why=why, next_step="pgops backup list")
