"""One end of a folder's way from one host to another: told, read in pieces, received, and put in its place once it is whole.

Called with one JSON document: `stage` and `path` (the folder). All its files, in the order of their names, are one stream of
bytes. `list` prints the names, sizes and SHA-256s, and the stamp; with another `stamp` than the wished one it refuses. `read`
prints `count` bytes of the stream from `at` on, in base64. `begin` takes such a listing on standard input and makes a place
beside the folder, `put` writes standard input there from `at` on, and `finish` compares every file with the listing and
gives the folder its name (`whole`), or each file in it its own. Begun anew, what an earlier one left is removed first.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from pgops.hosts.remote.answering import Fault, answer
from pgops.hosts.remote.files import LISTING, files_of, raise_error, sha256_of, stamp_of

_LAST = "applied.json"
_RESERVE_BYTES = 4 * 1024**3
"""Or a twentieth of the file system, if that is less. A server whose disk is full stands still."""


def main(words: list[str]) -> int:
    """Do it. 74 and a sentence where it cannot be done."""
    return answer(lambda: _stage(json.loads(words[0])))


def _stage(wish: Mapping[str, Any]) -> None:
    _STAGES[wish["stage"]](wish)


def _list(wish: Mapping[str, Any]) -> None:
    path = wish["path"]
    stamp = stamp_of(path)
    if wish["stamp"] not in (None, stamp):
        raise Fault(f"{path} was changed since it was looked at")
    files = [[name, os.path.getsize(f"{path}/{name}"), sha256_of(f"{path}/{name}")] for name in files_of(path)]
    print(json.dumps({"stamp": stamp, "files": files}))


def _read(wish: Mapping[str, Any]) -> None:
    path, at, left = wish["path"], wish["at"], wish["count"]
    pieces = []
    for name in files_of(path):
        size = os.path.getsize(f"{path}/{name}")
        if at < size and left:
            with open(f"{path}/{name}", "rb") as file:
                file.seek(at)
                piece = file.read(left)
            pieces.append(piece)
            left -= len(piece)
        at = max(0, at - size)
    print(base64.b64encode(b"".join(pieces)).decode("ascii"))


def _begin(wish: Mapping[str, Any]) -> None:
    place = _place(wish)
    listing = json.loads(sys.stdin.buffer.read())
    if os.path.lexists(place):
        shutil.rmtree(place)
    if not os.path.isdir(os.path.dirname(place)):
        os.mkdir(os.path.dirname(place))
    disk, size = shutil.disk_usage(os.path.dirname(place)), sum(file[1] for file in listing["files"])
    reserve = min(disk.total // 20, _RESERVE_BYTES)
    if disk.free < size + reserve:
        raise Fault(f"{size} bytes are to come, and {disk.free} are free there: {reserve} must stay free")
    os.mkdir(place)
    for name, _, _ in listing["files"]:
        if name.startswith("/") or ".." in name.split("/"):
            raise Fault(f"{name} would lie outside of the folder")
        os.makedirs(os.path.dirname(f"{place}/{name}"), exist_ok=True)
        with open(f"{place}/{name}", "xb"):
            pass
    with open(f"{place}/{LISTING}", "x", encoding="utf-8") as file:
        json.dump(listing, file)


def _put(wish: Mapping[str, Any]) -> None:
    place, at = _place(wish), wish["at"]
    for name, size, _ in _listing(place)["files"]:
        if at < size:
            piece = sys.stdin.buffer.read(size - at)
            if not piece:
                return
            with open(f"{place}/{name}", "r+b") as file:
                file.seek(at)
                file.write(piece)
        at = max(0, at - size)


def _finish(wish: Mapping[str, Any]) -> None:
    path, place = wish["path"], _place(wish)
    names = [name for name, _, _ in _listing(place)["files"]]
    for name, size, digest in _listing(place)["files"]:
        if os.path.getsize(f"{place}/{name}") != size or sha256_of(f"{place}/{name}") != digest:
            raise Fault(f"{name} did not arrive as it was sent")
    for top in _settled(place):
        _sync(top)
    if wish["whole"]:
        if os.path.lexists(path):
            shutil.rmtree(path)
        os.rename(place, path)
        _sync(os.path.dirname(path))
        return
    # What tells that the others are there comes last.
    for name in sorted(names, key=lambda each: (os.path.basename(each) == _LAST, each)):
        folder = os.path.dirname(f"{path}/{name}")
        os.makedirs(folder, exist_ok=True)
        os.replace(f"{place}/{name}", f"{path}/{name}")
        _sync(folder)
    shutil.rmtree(place)


def _place(wish: Mapping[str, Any]) -> str:
    """Where it gathers until it is whole: on the file system of the folder."""
    return f"{wish['path']}.coming" if wish["whole"] else f"{wish['path']}/.pgops-coming"


def _listing(place: str) -> Any:
    with open(f"{place}/{LISTING}", encoding="utf-8") as file:
        return json.load(file)


def _settled(place: str) -> Iterator[str]:
    """All that has to be on the disk, the contents of a directory before it."""
    for top, _, names in os.walk(place, topdown=False, onerror=raise_error):
        yield from (os.path.join(top, name) for name in names)
        yield top


def _sync(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


_STAGES = {"list": _list, "read": _read, "begin": _begin, "put": _put, "finish": _finish}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
