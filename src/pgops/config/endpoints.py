"""Host and port as configuration files write them, and URLs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from pgops.config.words import refuse_host

_PORT = re.compile(r"[0-9]{1,5}")


@dataclass(frozen=True)
class Address:
    """A host (IPv6 without brackets) and a port. `scheme` None: only `host:port` was written."""

    host: str
    port: int
    scheme: str | None = None

    def url(self, scheme: str) -> str:
        """`scheme://host:port`, IPv6 in brackets; a scheme that was written wins."""
        return f"{self.scheme or scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


class BadAddress(ValueError):
    """The text is no such address; the message says what is wrong and does not quote it."""


def parse_host_port(text: str, default_port: int) -> Address:
    """`host`, `host:port`, `[::1]`, `[::1]:port`, `::1`. Raises `BadAddress`.

    Patroni reads what follows the last colon as the port wherever it can, so that `::1:2379` is `::1` and 2379; a bare
    IPv6 address is only safe in brackets. Here a bare one is an address without a port unless it is no address so.
    """
    text = text.strip()
    bracketed = re.fullmatch(r"\[([^\[\]]*)\](?::(.*))?", text)
    if bracketed:
        host, port = bracketed.group(1), bracketed.group(2)
    elif text.count(":") > 1:
        host, port = _split_bare_ipv6(text)
    else:
        host, _, rest = text.partition(":")
        port = rest if ":" in text else None
    if refuse_host(host):
        raise BadAddress("not host:port")
    return Address(host, default_port if port is None else parse_port(port))


def _split_bare_ipv6(text: str) -> tuple[str, str | None]:
    from ipaddress import AddressValueError, IPv6Address

    head, _, tail = text.rpartition(":")
    for host, port in ((text, None), (head, tail)):
        try:
            IPv6Address(host)
        except AddressValueError:
            continue
        # four or more digits behind `::1:` are a port to Patroni and to whoever wrote it, never a group on its own
        if port is None and len(tail) >= 4 and tail.isdigit() and _is_address(head):
            return head, tail
        return host, port
    raise BadAddress("not host:port; write an IPv6 address in brackets")


def _is_address(text: str) -> bool:
    from ipaddress import AddressValueError, IPv6Address

    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True


def parse_port(text: str) -> int:
    """A TCP port. Raises `BadAddress`."""
    if not _PORT.fullmatch(text) or not 0 < int(text) < 65536:
        raise BadAddress("the port must be a number from 1 to 65535")
    return int(text)


@dataclass(frozen=True)
class Url:
    """A URL in its parts, credentials aside. `path` without a query is what follows the port."""

    address: Address
    path: str
    username: str | None
    password: str | None


def parse_url(text: str, default_port: int | None = None) -> Url:
    """`http://host:port/path` or https. Raises `BadAddress`."""
    if not text.isprintable() or any(character.isspace() for character in text):
        raise BadAddress("a URL must not hold white space or control characters")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise BadAddress("not a URL; write http://host:port, IPv6 in brackets, the port from 1 to 65535") from None
    if parts.scheme not in ("http", "https"):
        raise BadAddress("not an http or https URL")
    if refuse_host(host):
        raise BadAddress("the URL names no host, or one that is not a host name")
    if port == 0:
        raise BadAddress("the port must be a number from 1 to 65535")
    if parts.fragment:
        raise BadAddress("a URL must not hold #")
    port = port or default_port or (443 if parts.scheme == "https" else 80)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    login = [unquote(part) if part is not None else None for part in (parts.username, parts.password)]
    return Url(Address(host, port, parts.scheme), path, login[0], login[1])
