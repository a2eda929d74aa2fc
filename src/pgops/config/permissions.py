"""Whether others may read, or write, a configuration that holds secrets."""

from __future__ import annotations

import re
import shlex
import stat

from pgops.config.file_text import FileText
from pgops.config.nodes import Items, Node, Table, is_null
from pgops.errors import ConfigError
from pgops.render.text import printable

_URL_WITH_PASSWORD = re.compile(r"://[^/\s@:]*:[^/\s@]+@")
_SECRET_WORDS = ("password", "key_password", "keyfile_password", "sslpassword", "token", "auth_data")


def holds_secret(node: Node) -> bool:
    """Somewhere in this tree stands a password, a token, or a URL with one."""
    seen: set[int] = set()
    waiting = [node]
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, Table):
            if any(key.lower() in _SECRET_WORDS and not is_null(value) for key, value in each.entries.items()):
                return True
            waiting += each.entries.values()
        elif isinstance(each, Items):
            waiting += each.values
        elif _URL_WITH_PASSWORD.search(each.text):
            return True
    return False


def refuse_permissions(table: Table, file: FileText) -> None:
    """Raise `ConfigError` for a pgops.yml that others may change, or one with secrets that others may read.

    The group may read it only where root owns the file: root then chose that group (`root:dba`, mode 0640).
    """
    shown = printable(file.path)
    if file.mode & stat.S_IWOTH:
        raise ConfigError(
            "refused: everybody may write this configuration",
            where=shown,
            why=f"mode {file.mode:04o}; it names programs and hosts that pgops runs commands on",
            next_step=f"chmod o-w {shlex.quote(shown)}",
        )
    if not holds_secret(table):
        return
    exposed = file.mode & stat.S_IROTH or (file.mode & stat.S_IRGRP and file.owner_id != 0)
    if exposed:
        who = "everybody" if file.mode & stat.S_IROTH else "its group"
        raise ConfigError(
            f"refused: {who} may read this configuration, and it holds secrets",
            where=shown,
            why=f"mode {file.mode:04o}; the group may read it only when root owns it",
            next_step=f"chmod {'o-rwx' if file.owner_id == 0 else '600'} {shlex.quote(shown)}",
        )


def warn_of_readers(table: Table, file: FileText) -> str | None:
    """The warning for a Patroni configuration with secrets that everybody on this machine may read, or None."""
    if file.readable_by_others and holds_secret(table):
        shown = printable(file.path)
        return f"{shown} holds passwords and everybody may read it (mode {file.mode:04o}); chmod o-r {shown}"
    return None
