"""Folders that go from one host to another, through this machine: in pieces, and compared file by file before they count."""

from __future__ import annotations

import json
import time
from base64 import b64decode
from dataclasses import dataclass
from typing import Any

from pgops.hosts.fence import Fence, run_fenced
from pgops.hosts.host import Host, HostFault, Identity
from pgops.hosts.process import CommandResult
from pgops.hosts.programs import command_of
from pgops.render.text import printable

PIECE_BYTES = 4 * 1024 * 1024
"""What is held here of a folder at a time; the source tells it in base64, a third longer."""
_PROGRAM = "pgops.hosts.remote.folder"
_LISTING_BYTES = 64 * 1024 * 1024
_FAILED = 74


class NotCarried(HostFault):
    """Nothing is there that was not there before."""


@dataclass(frozen=True)
class Way:
    """From a folder on `source` to one on `host`. `whole`: as that folder; else its files among those that are there."""

    source: Host
    source_path: str
    host: Host
    path: str
    whole: bool
    identity: Identity


def carry_folder(
    way: Way, *, stamp: str | None, fence: Fence, timeout_s: float, piece_bytes: int = PIECE_BYTES
) -> None:
    """Carry it, within `timeout_s` seconds; only while the source has that stamp, if one is given.

    Raises `NotCarried` where the source refused, or what arrived was not what was sent; `FencedOff`; and `HostFault`, after
    which the folder there is the old, the new or, where it is not `whole`, partly new. It may be called again.
    """
    deadline = time.monotonic() + timeout_s
    listing = _ask(way, {"stage": "list", "stamp": stamp}, deadline)
    try:
        size = sum(int(file[1]) for file in json.loads(listing)["files"])
    except (ValueError, KeyError, TypeError, IndexError):
        raise HostFault(f"reading {way.source_path}: what is told of it is no listing") from None
    _tell(way, {"stage": "begin"}, listing.encode(), fence, deadline)
    for at in range(0, size, piece_bytes):
        piece = b64decode(_ask(way, {"stage": "read", "at": at, "count": piece_bytes}, deadline))
        _tell(way, {"stage": "put", "at": at}, piece, fence, deadline)
    _tell(way, {"stage": "finish"}, b"", fence, deadline)


def _ask(way: Way, wish: dict[str, Any], deadline: float) -> str:
    argv = command_of(_PROGRAM, {**wish, "path": way.source_path})
    result = way.source.run(argv, identity=way.identity, timeout_s=_left(deadline), limit_bytes=_LISTING_BYTES)
    if not result.ok:
        raise _fault(result, f"reading {way.source_path}")
    return result.stdout


def _tell(way: Way, wish: dict[str, Any], content: bytes, fence: Fence, deadline: float) -> None:
    argv = command_of(_PROGRAM, {**wish, "path": way.path, "whole": way.whole})
    result = run_fenced(way.host, argv, fence=fence, identity=way.identity, timeout_s=_left(deadline), stdin=content)
    if not result.ok:
        raise _fault(result, f"writing {way.path}")


def _left(deadline: float) -> float:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise HostFault("carrying the folder took too long")
    return left_s


def _fault(result: CommandResult, what: str) -> HostFault:
    kind = NotCarried if result.exit_code == _FAILED else HostFault
    return kind(f"{what}: {printable(result.fault)}")
