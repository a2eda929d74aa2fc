"""The files of a folder, and what tells that they are the same as before; shared by programs here."""

from __future__ import annotations

import hashlib
import os

from pgops.hosts.remote.answering import Fault

OUTPUTS = ("applied.json", ".deleted.csv")
"""Ends of the names of files that are written into a salvage folder when its scripts run: they are not what it is told by."""
LISTING = ".pgops-listing"
_OURS = ".pgops-"
_BLOCK = 1 << 20


def files_of(path: str) -> list[str]:
    """The names of all files below, sorted, without our own marks. Raises `Fault` for what is no file or directory."""
    found = []
    for top, folders, names in os.walk(path, onerror=raise_error):
        for name in names + [each for each in folders if os.path.islink(f"{top}/{each}")]:
            place = os.path.join(top, name)
            if os.path.islink(place) or not os.path.isfile(place):
                raise Fault(f"{place} is not a file")
            found.append(os.path.relpath(place, path))
    return sorted(name for name in found if not any(part.startswith(_OURS) for part in name.split("/")))


def stamp_of(path: str) -> str:
    """A digest of the names, sizes and times of its files: another one when any of them was written since."""
    digest = hashlib.sha256()
    for name in files_of(path):
        if not name.endswith(OUTPUTS):
            seen = os.stat(f"{path}/{name}")
            digest.update(os.fsencode(f"{name}\0{seen.st_size} {seen.st_mtime_ns}\n"))
    return digest.hexdigest()


def sha256_of(path: str) -> str:
    """Of a file, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def raise_error(error: OSError) -> None:
    """What cannot be looked into is no empty directory."""
    raise error
