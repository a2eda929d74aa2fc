"""What is seen of the guard before pg_rewind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class GuardFacts:
    """The guard before pg_rewind on a host. `settings` is what it was told (None: there is none).

    `programs` gives the SHA-256 of each of its programs that is there (`unusable`: it may not be run), `heard` what the
    member's Patroni last heard to call in pg_rewind's place, and `overrides` names what there takes the place of the
    dynamic configuration.
    """

    settings: Mapping[str, Any] | None
    programs: Mapping[str, str]
    heard: str | None
    overrides: tuple[str, ...] = ()
