"""The plugin door: what a plugin may give. This module, `pgops.checks` (health checks) and
`pgops.plan.step` (procedures) are all that a plugin needs to read.

A package offers an object of type `Plugin` under the entry-point group `pgops.plugins`; a single file in
/etc/pgops/plugins/ names it `plugin`. Keep the module that holds it light: it is imported at every start. The targets
are `"module:attribute"` texts, resolved at first use; a single file may give the objects themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

API_VERSION = 1
"""Raised when the door changes; a plugin made for another version is shown as broken and says why."""

Target = Any
"""`"module:attribute"`, or the object itself."""


@dataclass(frozen=True)
class Command:
    """A subcommand of pgops. `target` is a `click.Command`; `summary` is its line in `pgops --help`.

    `speaks_nagios` makes every fault of pgops itself, usage included, exit with 3 (UNKNOWN) under this command.
    """

    name: str
    target: Target
    summary: str
    speaks_nagios: bool = False


@dataclass(frozen=True)
class Plugin:
    """What one plugin gives. Every field but `name` is optional.

    `checks`: a sequence of `pgops.checks.Check`, run by `pgops health`.
    `dcs_drivers`: DCS kind -> a class that satisfies `pgops.dcs.Dcs`.
    `service_managers`: manager name -> a class that satisfies `pgops.services.ServiceManager`.
    `procedures`: name -> a `pgops.plan.step.Procedure`, by which `pgops apply` and `pgops runs` find it again.
    """

    name: str
    commands: tuple[Command, ...] = ()
    checks: Target | None = None
    dcs_drivers: Mapping[str, Target] = field(default_factory=dict)
    service_managers: Mapping[str, Target] = field(default_factory=dict)
    procedures: Mapping[str, Target] = field(default_factory=dict)
    api_version: int = API_VERSION
