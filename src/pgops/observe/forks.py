"""Where two branches of history part.

Both are walked from their first timeline on, while timeline and switch point agree; each ends in its present timeline,
without end. The winner's own history file is not enough where the winner is on the lower timeline.
"""

from __future__ import annotations

from dataclasses import dataclass

from pgops.observe.timelines import Path, Piece


@dataclass(frozen=True)
class Fork:
    """The last position that both have: on `timeline`, at `bytes`."""

    timeline: int
    bytes: int


def find_fork(mine: Path, other: Path) -> Fork | None:
    """Where the two part; None where both are on one timeline, with one past, so that no history tells of a fork.

    Raises ValueError where they have nothing in common: they are not of one cluster, or a history file is missing.
    """
    last: Fork | None = None
    for one, two in zip(mine, other, strict=False):
        if one.timeline != two.timeline:
            break
        if one.ends_bytes is None and two.ends_bytes is None:
            return None
        ends = min(end for end in (one.ends_bytes, two.ends_bytes) if end is not None)
        last = Fork(one.timeline, ends)
        if one.ends_bytes != two.ends_bytes:
            return last
    if last is None:
        raise ValueError("their histories have nothing in common")
    return last


def ancestors_of(path: Path, fork: Fork) -> tuple[Piece, ...]:
    """The parts of a path that end before the fork, or there, where it left the common timeline by its own promotion."""
    return tuple(piece for piece in path if piece.ends_bytes is not None and piece.ends_bytes <= fork.bytes)


def pieces_after(path: Path, fork: Fork) -> tuple[Piece, ...]:
    """The parts of a path that lie behind the fork, the first of them beginning there."""
    found = []
    for piece in path:
        if piece.timeline < fork.timeline or (piece.ends_bytes is not None and piece.ends_bytes <= fork.bytes):
            continue
        found.append(Piece(piece.timeline, max(piece.begins_bytes, fork.bytes), piece.ends_bytes))
    return tuple(found)
