"""Plain tables: the only module that imports `tabulate`."""

from __future__ import annotations

from collections.abc import Sequence


def render_table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int | None] | None = None
) -> str:
    """A left-aligned table without borders. `widths` wraps a column at that many characters (None: never)."""
    from tabulate import tabulate

    return tabulate(
        [list(row) for row in rows],
        headers=[header.upper() for header in headers],
        tablefmt="plain",
        disable_numparse=True,
        maxcolwidths=list(widths) if widths and rows else None,
    )
