"""The directory where journals lie: the operator's own, and refused when anybody else could have a hand in it."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from pgops.errors import Refused

ROOT_DIRECTORY = "/var/lib/pgops"


def state_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """PGOPS_STATE_DIR, else /var/lib/pgops for root, else pgops under XDG_STATE_HOME or ~/.local/state."""
    given = environ.get("PGOPS_STATE_DIR")
    if given:
        return Path(given).absolute()
    if os.geteuid() == 0:
        return Path(ROOT_DIRECTORY)
    base = environ.get("XDG_STATE_HOME") or ""
    return (Path(base) if base.startswith("/") else Path.home() / ".local/state") / "pgops"


def runs_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the journals lie; it may not be there yet."""
    return state_directory(environ) / "runs"


def open_runs_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """`runs` in the state directory, made where it is missing, mode 0700. Raises `Refused` when it is not safe."""
    directory = runs_directory(environ)
    try:
        for place in (*reversed(directory.parents), directory):
            if not _exists(place):
                place.mkdir(mode=0o700)
    except OSError as error:
        raise Refused(
            "the directory for journals cannot be made",
            where=str(directory),
            why=error.strerror,
            next_step="set PGOPS_STATE_DIR to a directory of your own",
        ) from None
    check_directory(directory)
    return directory


def check_directory(directory: Path) -> None:
    """Raise `Refused` unless nobody but ourselves and root could read, change or exchange what lies in it."""
    for place in (directory.parent, directory):
        seen = place.lstat()
        if not stat.S_ISDIR(seen.st_mode):
            kind = "a symbolic link" if stat.S_ISLNK(seen.st_mode) else "not a directory"
            raise _refused(place, f"it is {kind}")
        if seen.st_uid != os.geteuid():
            raise _refused(place, f"it belongs to uid {seen.st_uid}")
        if stat.S_IMODE(seen.st_mode) & 0o077 and (place == directory or stat.S_IMODE(seen.st_mode) & 0o022):
            raise _refused(place, f"mode {stat.S_IMODE(seen.st_mode):04o} lets others in", f"chmod go-rwx {place}")
    for place in directory.resolve().parents:
        seen = place.stat()
        if seen.st_uid not in (0, os.geteuid()):
            raise _refused(place, f"it belongs to uid {seen.st_uid}, who could exchange what lies below")
        if stat.S_IMODE(seen.st_mode) & 0o022 and not seen.st_mode & stat.S_ISVTX:
            raise _refused(
                place, f"mode {stat.S_IMODE(seen.st_mode):04o}: others may write there", f"chmod go-w {place}"
            )


def open_owned(path: Path, flags: int) -> int:
    """Open a journal's file without following a link; what is not our own plain file is refused. Raises `Refused`."""
    try:
        handle = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        reason = "it is a symbolic link" if path.is_symlink() else str(error.strerror)
        raise _refused(path, reason) from None
    seen = os.fstat(handle)
    fault = None
    if not stat.S_ISREG(seen.st_mode):
        fault = "it is no plain file"
    elif seen.st_uid != os.geteuid():
        fault = f"it belongs to uid {seen.st_uid}"
    elif seen.st_nlink != 1:
        fault = "it has a second name (a hard link)"
    elif stat.S_IMODE(seen.st_mode) & 0o077:
        fault = f"mode {stat.S_IMODE(seen.st_mode):04o} lets others in"
    if fault:
        os.close(handle)
        raise _refused(path, fault)
    return handle


def _exists(place: Path) -> bool:
    """Whether there is anything of that name, a dangling link included."""
    try:
        place.lstat()
    except FileNotFoundError:
        return False
    return True


def _refused(place: Path, why: str, next_step: str | None = None) -> Refused:
    return Refused(
        "the journal's place is not safe",
        where=str(place),
        why=why,
        next_step=next_step or "look who put it there, remove it, or set PGOPS_STATE_DIR to a directory of your own",
    )
