"""A lab as a value, in a directory of the test's own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from pgops_lab.lab import Lab
from pgops_lab.passwords import Passwords

PASSWORDS = Passwords(*(f"secret-{field.name}" for field in dataclasses.fields(Passwords)))


def sample(home: Path, *, name: str = "demo", index: int = 7, size: int = 3) -> Lab:
    """A lab that nobody has written yet."""
    return Lab(
        name=name,
        directory=home / "labs" / name,
        index=index,
        size=size,
        patroni="4.1",
        user=None,
        pg_bin="/usr/lib/postgresql/15/bin",
        environment=home / "envs" / "patroni-4.1.build",
    )
