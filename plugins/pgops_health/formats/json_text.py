"""`-f json`."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pgops_health.formats.records import build_document
from pgops_health.report import Report


def render(reports: Sequence[Report]) -> str:
    """The document of `records` as JSON; ASCII, so that no terminal is steered by it."""
    return json.dumps(build_document(reports), indent=2) + "\n"
