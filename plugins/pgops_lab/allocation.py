"""Gives a new lab its number, and with it its addresses: under a lock, so that labs made at one moment differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pgops.errors import PgopsError, Refused
from pgops_lab import lab as labs
from pgops_lab import places, ports
from pgops_lab.files import make_dir, make_dirs
from pgops_lab.lab import Lab
from pgops_lab.locks import locked

INDEXES = range(1, 255)
SPARE_ADDRESS = "127.20.255.1"
"""No lab has it: a port that is taken here is taken everywhere."""


def allocate(name: str, *, size: int, patroni: str, pg_bin: str, environment: Path, tell: Callable[[str], None]) -> Lab:
    """Make the directory and the marker of a new lab with the lowest number whose ports are all free.

    Raises `Refused` naming the holder when a program listens on one of the ports at every address.
    """
    directory = places.lab_dir(name)
    places.check_socket_room(directory)
    with locked(places.home() / ".lock", waiting_for="another pgops is making a lab", tell=tell, timeout_s=60):
        make_dirs(directory.parent)
        if directory.exists() or directory.is_symlink():
            raise Refused(
                "the directory of the lab is there already, without our marker, so it is not touched",
                where=str(directory),
                next_step="look at it and move it away, or choose another --name",
            )
        draft = Lab(name, directory, 1, size, patroni, places.lab_user(), pg_bin, environment)
        chosen = replace(draft, index=_choose(draft))
        make_dir(directory)
        labs.save(chosen)
    return chosen


def _choose(draft: Lab) -> int:
    used = _used()
    first_taken: tuple[tuple[str, int], ...] = ()
    for index in INDEXES:
        if index in used:
            continue
        taken = ports.taken(replace(draft, index=index).endpoints)
        if not taken:
            return index
        first_taken = first_taken or taken
        if _everywhere(taken):
            break
    ports.refuse_taken(draft, first_taken)
    raise Refused("there are as many labs as there are addresses", next_step="pgops lab list, then pgops lab down NAME")


def _used() -> set[int]:
    """The numbers of this home's labs, those that are down included; of other users' labs the ports tell."""
    used = set()
    for name in labs.names():
        try:
            used.add(labs.load(name).index)
        except PgopsError:
            continue
    return used


def _everywhere(taken: tuple[tuple[str, int], ...]) -> bool:
    """Whether one of these ports is held at every address, so that no other number would do."""
    return bool(ports.taken((SPARE_ADDRESS, port) for _, port in taken))
