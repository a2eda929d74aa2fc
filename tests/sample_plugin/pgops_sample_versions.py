"""A plugin of one file: a health check and a command. Copy it to /etc/pgops/plugins/ and make it your own.

During a rolling update some members already run the new version. That is fine for an hour and forgotten for months; a
failover to a member with another minor version is no fault, but nobody should be surprised by it at 3 a.m.
"""

from __future__ import annotations

from collections.abc import Iterator

import click

from pgops.checks import Check, Finding, ok, unknown, warning
from pgops.observe.snapshot import Snapshot, View
from pgops.plugin import Command, Plugin
from pgops.readings import known


def find_versions(snapshot: Snapshot) -> Iterator[Finding]:
    """Every member runs the same versions of PostgreSQL and Patroni."""
    for program, by_member in versions(snapshot).items():
        seen = sorted(set(by_member.values()))
        if not seen:
            yield unknown(f"no member told its {program} version")
        elif len(seen) == 1:
            yield ok(f"{program} {seen[0]} on all {len(by_member)} members that answered")
        else:
            told = ", ".join(f"{member} has {version}" for member, version in sorted(by_member.items()))
            yield warning(f"{program} differs: {told}", next_step="finish the update", versions=len(seen))


def versions(snapshot: Snapshot) -> dict[str, dict[str, str]]:
    """Program -> member -> version, for the members whose Patroni answered. `server_version` 150004 is 15.4."""
    answers = {node.name: status for node in snapshot.nodes if (status := known(node.rest))}
    servers = {name: status.server_version for name, status in answers.items() if status.server_version}
    patronis = {name: status.patroni_version for name, status in answers.items() if status.patroni_version}
    return {
        "PostgreSQL": {name: f"{number // 10000}.{number % 10000}" for name, number in servers.items()},
        "Patroni": patronis,
    }


@click.command("versions")
@click.pass_context
def show_versions(ctx: click.Context) -> None:
    """Say which versions the members of each cluster run."""
    from pgops.cli.context import config_path
    from pgops.config.loader import load
    from pgops.observe.gather import observe

    for cluster in load(config_path(ctx)).clusters:
        for program, by_member in versions(observe(cluster, frozenset({View.REST, View.DCS}))).items():
            for member, version in sorted(by_member.items()):
                click.echo(f"{cluster.name}  {member}  {program} {version}")
            if not by_member:
                click.echo(f"{cluster.name}  no member told its {program} version")


plugin = Plugin(
    name="versions",
    commands=(Command("versions", show_versions, "Which versions the members run."),),
    checks=(Check("versions", "all members run one version", frozenset({View.REST}), find_versions),),
)
