"""What the root command hands to its subcommands, and the option that both take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

_KEY = "pgops.config_path"
F = TypeVar("F", bound=Callable[..., Any])


def _remember(ctx: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.find_root().meta[_KEY] = value


config_option = click.option(
    "-c",
    "--config",
    "config",
    metavar="FILE",
    type=click.Path(),
    expose_value=False,
    callback=_remember,
    help="A pgops.yml, or Patroni's own configuration. Else PGOPS_CONFIG, ~/.config/pgops/pgops.yml, "
    "/etc/pgops/pgops.yml, PATRONICTL_CONFIG_FILE.",
)
"""`-c/--config`, before or after the subcommand's name. Read it with `config_path`."""


def config_path(ctx: click.Context) -> str | None:
    """The path given with `-c/--config`, or None when the usual places are to be searched."""
    value: str | None = ctx.find_root().meta.get(_KEY)
    return value
