"""Endpoint URLs of the DCS: comparable, and safe to hand to a client."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from pgops.dcs import DcsFault
from pgops.render.text import printable

_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?|[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?")


@dataclass(frozen=True)
class Endpoint:
    """One client URL. `host` has no brackets."""

    scheme: str
    host: str
    port: int

    @property
    def url(self) -> str:
        """Without a trailing slash; IPv6 in brackets."""
        return f"{self.scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def reachable_from_elsewhere(self) -> bool:
        """False for what a member says of itself but means only on its own machine: 0.0.0.0 and localhost."""
        if self.host.rstrip(".").lower() == "localhost":
            return False
        try:
            return not ip_address(self.host.partition("%")[0]).is_unspecified
        except ValueError:
            return True


@lru_cache(maxsize=64)
def parse_endpoint(url: str, default_port: int = 2379) -> Endpoint:
    """Read `http://host:port`. Raises `DcsFault`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or default_port
    except ValueError:
        host, port = "", 0
    if not _HOST.fullmatch(host) or parts.scheme not in ("http", "https") or "@" in parts.netloc:
        raise DcsFault(f"{printable(url.rpartition('@')[2])[:200]!r} is not an http or https URL of an etcd")
    return Endpoint(parts.scheme, host.lower(), port)


def reachable_endpoints(urls: Iterable[str]) -> list[Endpoint]:
    """A member's own client URLs as far as they lead there from elsewhere; what is no such URL is left out."""
    found = []
    for url in urls:
        try:
            endpoint = parse_endpoint(url)
        except DcsFault:
            continue
        if endpoint.reachable_from_elsewhere:
            found.append(endpoint)
    return found
