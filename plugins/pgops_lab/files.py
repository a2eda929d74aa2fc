"""Writes files with their mode and owner from the first byte on, and lets no reader see half a file."""

from __future__ import annotations

import os
from pathlib import Path


def write(path: Path, text: str, *, mode: int = 0o644, user: str | None = None) -> None:
    """Put `text` into `path` with `mode`, owned by `user` (None: by oneself)."""
    aside = path.with_name(f".{path.name}.new")
    aside.unlink(missing_ok=True)
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(handle, "w") as stream:
        os.fchmod(handle, mode)
        _own(handle, user)
        stream.write(text)
    aside.replace(path)


def make_dir(path: Path, *, mode: int = 0o755, user: str | None = None) -> None:
    """Make the directory `path` (its parent exists) with `mode`, owned by `user`; one that is there is left alone."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        return
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchmod(handle, mode)
        _own(handle, user)
    finally:
        os.close(handle)


def make_dirs(path: Path) -> None:
    """Make `path` and what is missing above it, so that others may enter, whatever the umask."""
    for each in (*reversed(path.parents), path):
        make_dir(each)


def _own(handle: int, user: str | None) -> None:
    if user is not None:
        import pwd

        entry = pwd.getpwnam(user)
        os.fchown(handle, entry.pw_uid, entry.pw_gid)
