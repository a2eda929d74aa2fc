"""`-f yaml`."""

from __future__ import annotations

from collections.abc import Sequence

from pgops_health.formats.records import build_document
from pgops_health.report import Report


def render(reports: Sequence[Report]) -> str:
    """The document of `records` as YAML; ASCII, so that no terminal is steered by it."""
    import yaml

    text: str = yaml.safe_dump(build_document(reports), sort_keys=False, allow_unicode=False, width=100)
    return text
