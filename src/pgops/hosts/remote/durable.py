"""Files that are on the disk when they are there; shared by programs here."""

from __future__ import annotations

import os


def write_durably(path: str, text: str) -> None:
    """Write a file as a whole: it is there, and on the disk, when this returns. Raises OSError."""
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    rename_durably(f"{path}.new", path)


def rename_durably(source: str, target: str) -> None:
    """Give a file whose content is on the disk its name, so that the name is on the disk as well. Raises OSError."""
    os.rename(source, target)
    flush_directory(os.path.dirname(target))


def flush_directory(path: str) -> None:
    """The names in it are on the disk when this returns. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
