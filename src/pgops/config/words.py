"""Which names, addresses, paths and URLs are accepted. Each function gives why not, or None.

Names reach command lines, terminals and DCS keys, and come from files that others may have filled in.
"""

from __future__ import annotations

import re

_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:%[A-Za-z0-9_.-]+)?")
# A destination may become part of a ProxyCommand, which a shell runs: no character that a shell minds.
_SSH_DESTINATION = re.compile(r"(?:ssh://)?[A-Za-z0-9_\[:][A-Za-z0-9_.:@%\[\]+/-]*")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+\\-]*\$?")
_IDENTIFIER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_LONGEST_NAME = 255


def refuse_name(text: str) -> str | None:
    """A name of a cluster, a member, a proxy, a unit."""
    if not text:
        return "a name must not be empty"
    if len(text) > _LONGEST_NAME:
        return f"a name has at most {_LONGEST_NAME} characters"
    if not text.isprintable() or any(character.isspace() for character in text):
        return "a name must not hold white space or control characters"
    if text.startswith("-"):
        return "a name must not begin with -"
    return None


def refuse_key_name(text: str) -> str | None:
    """A name that becomes one level of a DCS key or of a path: scope, member name, stanza."""
    return refuse_name(text) or ("must not hold /" if "/" in text else None)


def refuse_namespace(text: str) -> str | None:
    """Patroni's namespace; it may have several levels."""
    return refuse_name(text)


def refuse_text(text: str) -> str | None:
    """Any other text: what cannot be seen is not accepted."""
    return None if text.isprintable() and text else "must be printable and not empty"


def refuse_path(text: str) -> str | None:
    """A path on a host: absolute, because nobody knows where it would begin there."""
    return refuse_text(text) or (None if text.startswith("/") else "must be an absolute path")


def refuse_user(text: str) -> str | None:
    """An operating-system user."""
    return None if _USER.fullmatch(text) else "not a user name"


def refuse_identifier(text: str) -> str | None:
    """A service manager's name and the like."""
    return None if _IDENTIFIER.fullmatch(text) else "must consist of letters, digits, _ . and -"


def refuse_ssh_destination(text: str) -> str | None:
    """An OpenSSH destination: `host`, `user@host`, `ssh://user@host:port` or a Host of ssh_config."""
    if not _SSH_DESTINATION.fullmatch(text) or "@-" in text:
        return "not a host name for ssh (letters, digits and . _ - : @ %; not beginning with -)"
    return None


def refuse_host(text: str) -> str | None:
    """A host name or an IP address, IPv6 without brackets."""
    return None if _HOST.fullmatch(text) or _IPV6.fullmatch(text) else "not a host name or address"
