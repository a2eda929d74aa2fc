"""What this machine must have before a lab can be made; every want is told with its remedy."""

from __future__ import annotations

import os
import platform
import pwd
import shutil
from pathlib import Path

from pgops.errors import Refused
from pgops.render.units import format_bytes
from pgops_lab import places

NEEDED_BYTES = 1536 * 1024 * 1024
"""Room for three members, a repository, WAL and the Python environment, with some left for incidents."""

PROGRAMS = {
    "etcd": "etcd-server",
    "etcdctl": "etcd-client",
    "pgbackrest": "pgbackrest",
    "haproxy": "haproxy",
}
"""Program -> the Debian package that has it."""

POSTGRES_MAJORS = range(18, 12, -1)
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where a lab's programs are looked for, whatever the caller's PATH."""


def check_machine() -> str:
    """Refuse what cannot work here; gives the directory of PostgreSQL's programs."""
    if platform.system() != "Linux":
        raise Refused(
            "the practice cluster needs Linux",
            why=f"this is {platform.system()}; only Linux answers on all of 127.0.0.0/8",
            next_step="run it in a Linux virtual machine or container",
        )
    bin_dir = postgres_bin_dir()
    missing = [package for program, package in PROGRAMS.items() if not find_program(program)]
    if bin_dir is None:
        missing.append("postgresql")
    if missing:
        raise Refused(
            "packages are missing: " + " ".join(missing),
            next_step=f"{'' if os.geteuid() == 0 else 'sudo '}apt-get install --no-install-recommends "
            + " ".join(missing),
        )
    assert bin_dir is not None  # noqa: S101 - told above
    return str(bin_dir)


def find_program(name: str) -> str | None:
    """The path of a program that the lab runs."""
    return shutil.which(name, path=SEARCH_PATH)


def postgres_bin_dir() -> Path | None:
    """The programs of the newest PostgreSQL installed as Debian does it."""
    for major in POSTGRES_MAJORS:
        path = Path(f"/usr/lib/postgresql/{major}/bin")
        if os.access(path / "postgres", os.X_OK):
            return path
    return None


def check_disk() -> None:
    """Refuse when there is too little room under the lab home."""
    home = places.home()
    there = next(path for path in (home, *home.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < NEEDED_BYTES:
        raise Refused(
            "too little disk for a practice cluster",
            where=str(home),
            why=f"{format_bytes(free)} free, {format_bytes(NEEDED_BYTES)} needed",
            next_step="free some, or set PGOPS_LAB_HOME to a roomier place",
        )


def check_user() -> None:
    """Refuse when the user that is to run the lab is not there, or cannot enter the lab home."""
    user = places.lab_user()
    if user is None:
        return
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
