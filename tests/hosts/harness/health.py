"""Runs `pgops health` on the operator's machine and reads what it said."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hosts.harness.command import HarnessFault
from hosts.harness.operator import Operator

_BAD = ("critical", "unknown", "warning")
PGOPS = Path(sys.executable).with_name("pgops")


@dataclass(frozen=True)
class Seen:
    """One run of `pgops health -f json`: its exit code, its wall time, and the report of its only cluster."""

    exit_code: int
    duration_s: float
    report: dict[str, Any]

    @property
    def faults(self) -> str:
        """All that is critical, unknown or a warning, one a line; empty when there is nothing."""
        found = (f"{verdict} {line}" for verdict in _BAD for line in self.texts(verdict).splitlines())
        return "\n".join(found)

    def findings(self, verdict: str) -> list[dict[str, Any]]:
        """The findings with this verdict."""
        return [item for item in self.report["findings"] if item["verdict"] == verdict]

    def texts(self, verdict: str, *, check: str | None = None) -> str:
        """The findings with this verdict (and of this check), one a line, each behind its check and subject."""
        chosen = [item for item in self.findings(verdict) if check in (None, item["check"])]
        return "\n".join(f"{item['check']} {item['subject'] or '-'}: {item['text']}" for item in chosen)


def run_health(operator: Operator, config: Path, *options: str, user: str = "root") -> Seen:
    """Run it as `user` of the operator's machine. Raises `HarnessFault` when it printed no report."""
    result = operator.run([str(PGOPS), "health", "-f", "json", "-c", str(config), *options], user=user, timeout_s=60.0)
    try:
        clusters = json.loads(result.stdout)["clusters"]
    except (ValueError, KeyError):
        raise HarnessFault(f"pgops health: {result.fault}\n{result.stdout[-2000:]}\n{result.stderr[-2000:]}") from None
    if result.exit_code is None or len(clusters) != 1:
        raise HarnessFault(f"pgops health: {result.fault}; {len(clusters)} clusters")
    return Seen(result.exit_code, result.duration_s, clusters[0])


def can_run(operator: Operator, user: str) -> bool:
    """Whether this user of the operator's machine may enter the place where pgops is installed."""
    return operator.run([str(PGOPS), "--version"], user=user).ok
