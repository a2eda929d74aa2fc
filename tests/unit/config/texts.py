"""Writes configuration files for the tests, and tells what loading them said."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest

from pgops.config.loader import load
from pgops.config.model import ClusterConfig, Config
from pgops.errors import ConfigError


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    """`text` without its common indentation, in a file of this mode."""
    path.write_text(textwrap.dedent(text))
    path.chmod(mode)
    return path


def read(path: Path, **environ: str) -> Config:
    """Loads this very file with nothing but `environ` in the environment."""
    return load(str(path), environ=environ)


def read_one(path: Path, **environ: str) -> ClusterConfig:
    """The only cluster of the file."""
    (cluster,) = read(path, **environ).clusters
    return cluster


def refusal(path: Path | None, environ: Mapping[str, str] | None = None) -> ConfigError:
    """The error that loading ends with."""
    with pytest.raises(ConfigError) as caught:
        load(str(path) if path else None, environ=environ or {})
    return caught.value


def whole(error: ConfigError) -> str:
    """Everything that the error tells."""
    return "\n".join([error.what, error.where or "", error.why or "", error.next_step or "", str(error), repr(error)])
