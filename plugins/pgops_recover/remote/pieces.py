"""Reads a CSV of a salvage folder in pieces of whole records, and tells which there are. Reads only.

Called with one JSON document. With `folder` alone: prints the tables of its summary (`database`, `table`, `file`). With
`file` as well: prints from the byte `at` on about `limit_bytes` of that file, up to where a record ends, in base64 (`piece`),
with where the `next` begins (null: nowhere) and, at 0, the `header` before it. The file is in its database's encoding: no
byte of a character in any encoding of a server is a quote or a line feed. Source: PostgreSQL docs, sql-copy (CSV), multibyte.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Mapping
from typing import IO, Any

from pgops.hosts.remote.answering import Fault, answer

RECORD_BYTES = 64 * 1024 * 1024
"""No longer record is carried: it is held in memory on every host that it passes."""


def main(words: list[str]) -> int:
    """Print the document. 74 and a sentence where it cannot be read."""
    return answer(lambda: _read(json.loads(words[0])))


def _read(wish: Mapping[str, Any]) -> Any:
    if "file" not in wish:
        with open(f"{wish['folder']}/summary.json", encoding="utf-8") as file:
            tables = json.load(file)["tables"]
        return [{name: table[name] for name in ("database", "table", "file")} for table in tables]
    if wish["file"].startswith("/") or ".." in wish["file"].split("/"):
        raise Fault(f"{wish['file']} is outside of the folder")
    with open(f"{wish['folder']}/{wish['file']}", "rb") as source:
        return read_piece(source, wish["at"], wish["limit_bytes"])


def read_piece(source: IO[bytes], at: int, limit_bytes: int, record_bytes: int = RECORD_BYTES) -> dict[str, Any]:
    """Whole records from `at` on, at least one, and no more than it takes to pass `limit_bytes`. Raises `Fault`."""
    source.seek(at)
    header = b"" if at else _record(source, record_bytes)
    found: list[bytes] = []
    size = 0
    while size < limit_bytes and (record := _record(source, record_bytes)):
        found.append(record)
        size += len(record)
    after = source.tell()
    more = bool(source.read(1))
    piece = {"piece": base64.b64encode(b"".join(found)).decode("ascii"), "next": after if more else None}
    return {**piece, "header": base64.b64encode(header).decode("ascii")} if not at else piece


def _record(source: IO[bytes], record_bytes: int) -> bytes:
    """The next record: it ends with the first line whose quotes are all closed."""
    lines: list[bytes] = []
    size, within = 0, False
    while line := source.readline(record_bytes + 1 - size):
        lines.append(line)
        size += len(line)
        within ^= line.count(b'"') % 2 == 1
        if size > record_bytes:
            raise Fault(f"it has a row of more than {record_bytes} bytes")
        if not within and line.endswith(b"\n"):
            break
    return b"".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
