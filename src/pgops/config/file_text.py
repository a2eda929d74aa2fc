"""Reads one local file for the configuration: regular files alone, bounded, with what its permissions say."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field

from pgops.errors import ConfigError
from pgops.render.text import printable

SIZE_LIMIT_BYTES = 1024 * 1024
"""No real configuration comes near it."""


@dataclass(frozen=True)
class FileText:
    """A file as it was read. `mode` are its permission bits, `owner_id` its owner's uid."""

    path: str
    content: bytes = field(repr=False)
    mode: int
    owner_id: int

    @property
    def readable_by_others(self) -> bool:
        """Anybody on this machine can read it."""
        return bool(self.mode & stat.S_IROTH)


class Unreadable(ConfigError):
    """The file is there, but this user may not read it."""


def read_file(path: str, *, limit_bytes: int = SIZE_LIMIT_BYTES) -> FileText:
    """Read `path`. Raises `Unreadable`, or `ConfigError` for what is missing, no regular file, or too large."""
    shown = printable(path)
    try:
        # O_NONBLOCK: opening a FIFO must not wait for a writer
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except PermissionError:
        raise say_unreadable(path) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "no such path can exist"
        raise ConfigError("the configuration cannot be read", where=shown, why=why) from None
    with os.fdopen(handle, "rb") as stream:
        seen = os.fstat(stream.fileno())
        if not stat.S_ISREG(seen.st_mode):
            raise ConfigError("the configuration cannot be read", where=shown, why="it is not a regular file")
        if seen.st_size > limit_bytes:
            why = f"it has {seen.st_size} bytes; at most {limit_bytes} are read"
            raise ConfigError("the configuration is too large", where=shown, why=why)
        content = stream.read(limit_bytes + 1)
    if len(content) > limit_bytes:
        raise ConfigError("the configuration is too large", where=shown, why=f"at most {limit_bytes} bytes are read")
    return FileText(path, content, stat.S_IMODE(seen.st_mode), seen.st_uid)


def is_directory(path: str) -> bool:
    """A directory, as far as this user may look."""
    try:
        return os.path.isdir(path)  # noqa: PTH112 - pathlib raises where this user may not look
    except ValueError:
        return False


def say_unreadable(path: str) -> Unreadable:
    """The error for a file or directory that this user may not read: which right is missing, and the ways round."""
    return Unreadable(
        "no right to read the configuration",
        where=printable(path),
        why=_missing_right(path),
        next_step=_ways_round(path),
    )


def name_user(user_id: int) -> str:
    """The login name of this uid, or the number as text where there is none."""
    import pwd

    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return str(user_id)


def name_group(group_id: int) -> str:
    """The name of this gid, or the number as text where there is none."""
    import grp

    try:
        return grp.getgrgid(group_id).gr_name
    except KeyError:
        return str(group_id)


def _missing_right(path: str) -> str:
    me = name_user(os.geteuid())
    try:
        seen = os.stat(path)  # noqa: PTH116 - a path of the operator's choice, as it stands
    except OSError:
        return f"user {printable(me)} may not enter the directory it lies in"
    owner, group = name_user(seen.st_uid), name_group(seen.st_gid)
    mode = stat.S_IMODE(seen.st_mode)
    return f"user {printable(me)} has no read permission: it belongs to {owner}:{group} with mode {mode:04o}"


def _ways_round(path: str) -> str:
    try:
        owner = name_user(os.stat(path).st_uid)  # noqa: PTH116 - as above
    except OSError:
        owner = "postgres"
    return (
        f"run it as the file's owner: sudo -u {owner} pgops ...\n"
        "or write a pgops.yml of your own, with the DCS endpoints and a role that has pg_monitor"
    )
