"""LSNs and WAL file names as numbers.

Source: PostgreSQL, src/include/access/xlogdefs.h (an LSN is a 64-bit byte position) and xlog_internal.h (file names).
"""

from __future__ import annotations

import re

_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")
SEGMENT_NAME = re.compile(r"[0-9A-F]{24}")
HISTORY_NAME = re.compile(r"[0-9A-F]{8}\.history")


def parse_lsn(text: str) -> int:
    """`16/B374D848` as a byte position. Raises ValueError on anything else."""
    match = _LSN.fullmatch(text)
    if match is None:
        raise ValueError(f"not an LSN: {text[:40]!r}")
    return (int(match[1], 16) << 32) | int(match[2], 16)


def format_lsn(position_bytes: int) -> str:
    """A byte position in PostgreSQL's own notation."""
    return f"{position_bytes >> 32:X}/{position_bytes & 0xFFFFFFFF:X}"


def segment_timeline(name: str) -> int:
    """The timeline in a WAL segment's name."""
    return int(name[:8], 16)


def segment_start(name: str, segment_bytes: int) -> int:
    """The byte position at which a WAL segment begins, for segments of `segment_bytes` bytes."""
    per_log = 0x100000000 // segment_bytes
    return (int(name[8:16], 16) * per_log + int(name[16:24], 16)) * segment_bytes
