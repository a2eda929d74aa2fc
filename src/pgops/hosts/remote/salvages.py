"""Tells of the folders that `pgops salvage` made beside a data directory, and of what was carried here to be applied. Reads
only.

Called with one JSON document: `data_dir`. Prints one: `folders` (of each the copy's directory, its stamp, how much it holds,
and its scripts with their digests and how they end) and `carried` (of each directory `DATA_DIR.pgops-applying-...` what lies
there, and the records of what was applied, cut off, or failed).
"""

from __future__ import annotations

import glob
import json
import os
import sys
import urllib.parse
from typing import Any

from pgops.hosts.remote.answering import answer
from pgops.hosts.remote.files import LISTING, files_of, sha256_of, stamp_of
from pgops.hosts.remote.psql_script import ScriptFault, read_script

_LIMIT_BYTES = 64 * 1024 * 1024


def main(words: list[str]) -> int:
    """Print the document. 74 and a sentence where something cannot be read."""
    return answer(lambda: _found(json.loads(words[0])["data_dir"]))


def _found(data_dir: str) -> dict[str, Any]:
    made = glob.glob(f"{glob.escape(data_dir)}.pgops-*/salvage/summary.json")
    carried = glob.glob(f"{glob.escape(data_dir)}.pgops-applying-*/")
    return {
        "folders": [_folder(path[: -len("/salvage/summary.json")]) for path in sorted(made)],
        "carried": [_carried(path.rstrip("/")) for path in sorted(carried)],
    }


def _folder(keep: str) -> dict[str, Any]:
    path = f"{keep}/salvage"
    with open(f"{path}/summary.json", encoding="utf-8") as file:
        tables = json.load(file).get("tables") or []
    names = [name for name in files_of(path) if "/" not in name and name.endswith(".sql")]
    return {
        "keep": keep,
        "stamp": stamp_of(path),
        "files": len(files_of(path)),
        "size_bytes": sum(os.path.getsize(f"{path}/{name}") for name in files_of(path)),
        "tables": len(tables),
        "rows": sum(table["rows"] for table in tables),
        "scripts": [_script(path, name) for name in names],
    }


def _script(path: str, name: str) -> dict[str, Any]:
    ends, fault = None, None
    if os.path.getsize(f"{path}/{name}") > _LIMIT_BYTES:
        fault = f"it has more than {_LIMIT_BYTES} bytes"
    else:
        with open(f"{path}/{name}", encoding="latin-1") as file:
            text = file.read()
        try:
            ends = read_script(text).ends
        except ScriptFault as error:
            fault = str(error)
    # Names of databases are coded in those of their files, see `pgops salvage`.
    database = urllib.parse.unquote(name[: -len(".sql")], errors="replace")
    sha256 = sha256_of(f"{path}/{name}")
    return {"file": name, "database": database, "sha256": sha256, "ends": ends, "fault": fault}


def _carried(path: str) -> dict[str, Any]:
    stamp = None
    if os.path.exists(f"{path}/folder/{LISTING}"):
        with open(f"{path}/folder/{LISTING}", encoding="utf-8") as file:
            stamp = json.load(file)["stamp"]
    records: dict[str, list[Any]] = {"begun": [], "failed": []}
    for kind, found in records.items():
        for place in sorted(glob.glob(f"{glob.escape(path)}/*.{kind}.json")):
            with open(place, encoding="utf-8") as file:
                found.append(json.load(file))
    applied = []
    if os.path.exists(f"{path}/back/applied.json"):
        with open(f"{path}/back/applied.json", encoding="utf-8") as file:
            applied = json.load(file)["applied"]
    rows = [name for name in files_of(path) if "/" in name and name != "back/applied.json"]
    size = sum(os.path.getsize(f"{path}/{name}") for name in rows)
    return {"path": path, "stamp": stamp, "files": len(rows), "size_bytes": size, "applied": applied, **records}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
