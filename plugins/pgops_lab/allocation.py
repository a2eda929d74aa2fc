"""Gives a new lab its number, and with it its addresses: under a lock, so that labs made at one moment differ."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pgops.errors import PgopsError, Refused
from pgops_lab import lab as labs
from pgops_lab import places, ports
from pgops_lab.files import make_dir
from pgops_lab.lab import Lab
from pgops_lab.locks import locked

INDEXES = range(1, 255)


def allocate(name: str, *, size: int, patroni: str, pg_bin: str, environment: Path, tell: Callable[[str], None]) -> Lab:
    """Make the directory and the marker of a new lab with the lowest number whose ports are all free.

    Raises `Refused` naming the holder when a program listens on one of the ports at every address.
    """
    directory = places.lab_dir(name)
    places.check_socket_room(directory)
    user = places.lab_user()
    if user is not None:
        _check_user(user)
    with locked(places.home() / ".lock", waiting_for="another pgops is making a lab", tell=tell, timeout_s=60):
        directory.parent.mkdir(parents=True, exist_ok=True)
        if directory.exists() or directory.is_symlink():
            raise Refused(
                "the directory of the lab is there already, without our marker, so it is not touched",
                where=str(directory),
                next_step="look at it and move it away, or choose another --name",
            )
        draft = Lab(name, directory, 1, size, patroni, user, pg_bin, environment)
        chosen = replace(draft, index=_choose(draft))
        make_dir(directory)
        labs.save(chosen)
    return chosen


def _choose(draft: Lab) -> int:
    used = set()
    for name in labs.names():
        try:
            used.add(labs.load(name).index)
        except PgopsError:
            continue  # another user's, or broken: its ports tell whether it is in use
    first_taken = None
    for index in INDEXES:
        if index in used:
            continue
        candidate = replace(draft, index=index)
        taken = ports.taken(candidate.endpoints)
        if not taken:
            return index
        first_taken = first_taken or (candidate, taken)
        if len(ports.taken((f"127.20.255.{part}", port) for part in (1,) for _, port in taken)) == len(
            {port for _, port in taken}
        ):
            break  # the holder listens at every address: no other number would do
    if first_taken is None:
        raise Refused("there are as many labs as there are addresses", next_step="pgops lab list, then lab down NAME")
    ports.refuse_taken(*first_taken)
    raise AssertionError("unreachable: a taken port is refused")


def _check_user(user: str) -> None:
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise Refused(
            f"the user {user} that would run the lab is not there",
            why="PostgreSQL refuses to run as root; Debian's package makes this user",
            next_step="apt-get install postgresql",
        ) from None
    home = places.home()
    there = next(path for path in (home, *home.parents) if path.exists())
    for path in (there, *there.parents):
        seen = path.stat()
        if not (seen.st_mode & 0o001 or (seen.st_uid == entry.pw_uid and seen.st_mode & 0o100)):
            raise Refused(
                f"the user {user} that runs the lab cannot enter its directory",
                where=str(path),
                next_step="chmod o+x on it, or set PGOPS_LAB_HOME to another place",
            )
    os.umask(0o022)
