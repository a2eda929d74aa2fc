"""What commands share that only look: their options, the look, and how its outcome is printed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pgops.cli.acting import cluster_option, form_option
from pgops.cli.context import config_option

if TYPE_CHECKING:
    from pgops.observe.snapshot import Snapshot, View

F = TypeVar("F", bound=Callable[..., Any])


def looking_options(command: F) -> F:
    """`--cluster`, `--format` and `--config`."""
    wrapped: F = cluster_option(form_option(config_option(command)))
    return wrapped


def look(ctx: click.Context, cluster: str | None, views: frozenset[View]) -> Snapshot:
    """One look at the cluster, on every host. Raises what `open_cluster` raises."""
    from pgops.cli.cluster_choice import open_cluster
    from pgops.engine.real_world import RealEyes

    found, dcs, config = open_cluster(ctx, cluster)
    eyes = RealEyes(found, dcs, config.warnings)
    try:
        return eyes.observe(views, None)
    finally:
        eyes.close()


def show(form: str, document: Mapping[str, Any], text: str) -> None:
    """Print the document for machines, or the text for people, line by line and nothing but what can be printed."""
    from pgops.render.text import printable

    if form == "json":
        click.echo(json.dumps(document, indent=2))
    else:
        click.echo("".join(f"{printable(line)}\n" for line in text.splitlines()), nl=False)
