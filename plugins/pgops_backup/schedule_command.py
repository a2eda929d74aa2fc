"""The command `pgops backup schedule`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgops.cli.acting import Choices, act, acting_options
from pgops.cli.context import config_path

if TYPE_CHECKING:
    from pgops.config.model import ClusterConfig
    from pgops_backup.schedules import Wishes

_SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


@click.command("schedule")
@click.option(
    "--as",
    "keeper",
    type=click.Choice(["cron", "systemd"]),
    default="cron",
    show_default=True,
    help="Which of the two asks for backups.",
)
@click.option("--install", is_flag=True, help="Put it on every host, as root.")
@click.option("--remove", is_flag=True, help="Take it from every host, of either form.")
@click.option("--node", "nodes", metavar="NODE", multiple=True, help="Of this node alone; may be said again.")
@acting_options
@click.pass_context
def schedule(
    ctx: click.Context, choices: Choices, keeper: str, install: bool, remove: bool, nodes: tuple[str, ...]
) -> int:
    """Print the schedule of backups for the policy in pgops.yml (section backup), or install or remove it.

    Every node asks once an hour; where the last backup is old enough, in the window, the leader makes one, and nobody
    else says anything. A file that was changed by hand is shown before it is replaced.
    """
    if install and remove:
        raise click.UsageError("--install and --remove exclude each other.")
    from pgops.cli.cluster_choice import choose_cluster
    from pgops.config.loader import load
    from pgops.errors import ConfigError
    from pgops_backup.schedules import Wishes

    config = load(config_path(ctx))
    cluster = choose_cluster(config, choices.cluster)
    chosen = _choose(cluster, nodes)
    named = os.environ.get("PGOPS_CONFIG") if config_path(ctx) is None else config_path(ctx)
    wishes = Wishes(keeper, str(Path(named).absolute()) if named else None, _search_path())
    if remove:
        return act(ctx, "backup-schedule-remove", {"nodes": " ".join(chosen)}, choices)
    if cluster.stanza is None:
        what = f"no pgBackRest stanza is configured for the cluster {cluster.name}"
        raise ConfigError(what, where=config.source, next_step="name it: stanza, in pgops.yml")
    if not install:
        return _print(cluster, chosen, wishes, choices)
    params = {"nodes": " ".join(chosen), "keeper": keeper, "config": wishes.config, "path": wishes.path}
    return act(ctx, "backup-schedule-install", params, choices)


def _choose(cluster: ClusterConfig, nodes: tuple[str, ...]) -> list[str]:
    """The nodes that were named, else every configured one. Raises `ConfigError`."""
    from pgops.errors import ConfigError

    there = [host.name for host in cluster.hosts]
    for name in nodes:
        if name not in there:
            why = f"there are: {', '.join(there) or 'none'}"
            raise ConfigError(f"no node is named {name!r}", why=why, next_step="see hosts in pgops.yml")
    if not there:
        raise ConfigError("no host is configured", next_step="name them: hosts, in pgops.yml")
    return [name for name in there if name in nodes] or there


def _search_path() -> str:
    """The system's, and where this pgops lies if that is elsewhere."""
    own = str(Path(sys.argv[0]).absolute().parent)
    lies_elsewhere = own not in _SYSTEM_PATH and (Path(own) / "pgops").exists()
    return ":".join((*([own] if lies_elsewhere else []), *_SYSTEM_PATH))


def _print(cluster: ClusterConfig, nodes: list[str], wishes: Wishes, choices: Choices) -> int:
    """What --install would write, file by file."""
    from pgops.observe.schedules import KINDS, link_path
    from pgops_backup.schedules import wished_files

    found: dict[str, dict[str, str]] = {}
    for node in nodes:
        links = {link_path(cluster, node, kind) for kind in KINDS}
        files = wished_files(cluster, node, wishes)
        found[node] = {path: content for path, content in files.items() if path not in links}
    if choices.form == "json":
        import json

        document = {"schema": 1, "kind": "pgops-backup-schedule", "cluster": cluster.name, "hosts": found}
        click.echo(json.dumps(document, indent=2))
        return 0
    blocks = [f"# {node}: {path}\n{content}" for node, files in found.items() for path, content in files.items()]
    click.echo("\n".join(blocks), nl=False)
    return 0
