"""Where PostgreSQL's programs are; shared by programs here and by pgops itself."""

from __future__ import annotations


def program_in(bin_dir: str | None, name: str) -> str:
    """The path of that program, or its bare name without a directory: the search path has it. An empty name: the prefix."""
    return f"{bin_dir.rstrip('/')}/{name}" if bin_dir else name
