"""Keeps what one member has that nobody else has: first its WAL, while its server may still run, then its data directory.

Called with one JSON document: `stage` (`wal` or `data`), `data_dir`, `keep` (the directory to make), `run`,
`from_segment` (sixteen hex signs: log and segment, of whatever timeline, from which on WAL is copied), `segment_bytes`,
`pg_ctl` and `manifest` (what is written into manifest.json beside the parts); `moves` false where the data directory stays
where it is, so that only its WAL is kept, in at most `limit_bytes`. Every stage may be repeated: it goes on
where an earlier one was cut off. Sources: PostgreSQL, src/include/access/xlog_internal.h (names of WAL files,
XLogPageHeaderData), src/bin/pg_ctl (status: 3 where nothing runs); Patroni,
patroni/postgresql/__init__.py, remove_data_directory (it removes the targets of links as well, so these are moved too).
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pgops.hosts.remote.answering import Fault, answer
from pgops.hosts.remote.durable import flush_directory, rename_durably, write_durably

_SEGMENT = re.compile(r"[0-9A-F]{24}(\.partial)?")
_HISTORY = re.compile(r"[0-9A-F]{8}\.history")


def main(words: list[str]) -> int:
    """Do one stage, and print what there is now as JSON. 74 and a sentence where it cannot be done."""
    return answer(lambda: {"parts": _stage(json.loads(words[0]))})


def _stage(wish: Mapping[str, Any]) -> list[dict[str, Any]]:
    with _alone(f"{wish['data_dir']}.pgops-lock"):
        return keep_wal(wish) if wish["stage"] == "wal" else keep_data(wish)


class _alone:
    """One of us at a time: a run that was cut off may still be at work here."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        while True:
            self._handle = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._handle, fcntl.LOCK_EX)
            try:
                if os.path.samestat(os.fstat(self._handle), os.stat(self._path)):
                    return
            except FileNotFoundError:
                pass
            os.close(self._handle)  # who had it before has removed it

    def __exit__(self, *_: object) -> None:
        os.unlink(self._path)
        os.close(self._handle)


def keep_wal(wish: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Copy the WAL from the fork on, really and not by links: recycling renames files in place, and so rots a link."""
    keep, data_dir = wish["keep"], wish["data_dir"]
    if os.path.exists(f"{keep}/manifest.json"):
        return _parts(keep)
    if wish.get("moves", True):
        _refuse_place(data_dir)
    parent, name = os.path.split(keep)
    making = f"{parent}/.{name}.making"
    if os.path.lexists(making):
        shutil.rmtree(making)
    source = f"{data_dir}/pg_wal"
    names = _wal_names(wish)
    _refuse_full(parent, sum(os.stat(f"{source}/{each}").st_size for each in names), wish.get("limit_bytes"))
    os.makedirs(f"{making}/wal")
    for each in names:
        _copy(f"{source}/{each}", f"{making}/wal/{each}")
    waiting = sorted(each[:-6] for each in _listed(f"{source}/archive_status") if each.endswith(".ready"))
    write_durably(f"{making}/not_archived.txt", "".join(f"{each}\n" for each in waiting))
    write_durably(f"{making}/pg_wal.tsv", _listing(source))
    parts = [{"what": "wal", "path": f"{keep}/wal"}]
    write_durably(f"{making}/manifest.json", _manifest(wish, parts))
    flush_directory(f"{making}/wal")
    rename_durably(making, keep)
    return parts


def keep_data(wish: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Move the data directory of a server that stopped cleanly, with what its links lead to, and complete the WAL."""
    keep, data_dir = wish["keep"], wish["data_dir"]
    if any(part["what"] == "data" for part in _parts(keep)):
        return _parts(keep)
    kept = f"{keep}/data"
    if not os.path.exists(kept):
        _refuse_place(data_dir)
        _refuse_running(wish)
        for each in _wal_names(wish):
            _copy_again(f"{data_dir}/pg_wal/{each}", f"{keep}/wal/{each}")
        flush_directory(f"{keep}/wal")
        for link in _links(data_dir):
            _move_target(link, wish["run"])
        os.rename(data_dir, kept)
        flush_directory(keep)
        flush_directory(os.path.dirname(data_dir))
    parts: list[dict[str, Any]] = [{"what": "wal", "path": f"{keep}/wal"}, {"what": "data", "path": kept}]
    for link in _links(kept):
        oid = os.path.basename(link)
        part: dict[str, Any] = {"what": "wal-directory"} if oid == "pg_wal" else {"what": "tablespace", "oid": int(oid)}
        target = os.readlink(link)
        parts.append({**part, "path": target, "was": target[: -len(_suffix(wish["run"]))]})
    write_durably(f"{keep}/manifest.json", _manifest(wish, parts))
    return parts


def _suffix(run: str) -> str:
    return f".pgops-{run}"


def _refuse_place(data_dir: str) -> None:
    """Before anything is done: whether all of it can be moved aside."""
    if not os.path.exists(f"{data_dir}/PG_VERSION"):
        raise Fault(f"{data_dir} is no data directory")
    if os.path.islink(data_dir):
        raise Fault(f"{data_dir} is a link: name the directory itself as hosts.NAME.data_dir")
    for place in (data_dir, *(os.readlink(link) for link in _links(data_dir))):
        if os.path.ismount(place):
            raise Fault(f"{place} is a mount point and cannot be moved aside; take a snapshot of its volume instead")
        if not os.access(os.path.dirname(place), os.W_OK | os.X_OK):
            raise Fault(f"{place} cannot be moved aside: {os.path.dirname(place)} is not ours to write")


def _refuse_full(parent: str, need: int, limit_bytes: int | None) -> None:
    if limit_bytes is not None and need > limit_bytes:
        raise Fault(
            f"the copy of the WAL needs {need} bytes, and {max(limit_bytes, 0)} are left for copies in {parent}"
        )
    free = shutil.disk_usage(parent).free
    if free < need + need // 10:
        raise Fault(f"too little room: {free} bytes are free in {parent}, and the copy of the WAL needs {need}")


def _refuse_running(wish: Mapping[str, Any]) -> None:
    said = subprocess.run(
        [wish["pg_ctl"], "-D", wish["data_dir"], "status"],
        env={"LC_ALL": "C", "PATH": os.environ.get("PATH", "")},
        capture_output=True,
        timeout=60,
        check=False,
    )
    if said.returncode != 3:
        told = (said.stdout + said.stderr).decode(errors="replace").strip()[:300]
        raise Fault(f"a PostgreSQL may still use {wish['data_dir']}: {told}")


def _links(data_dir: str) -> list[str]:
    """The links in a data directory whose targets belong to it."""
    spaces = [name for name in _listed(f"{data_dir}/pg_tblspc") if name.isdecimal()]
    found = [f"{data_dir}/pg_wal", *(f"{data_dir}/pg_tblspc/{name}" for name in spaces)]
    return [link for link in found if os.path.islink(link)]


def _move_target(link: str, run: str) -> None:
    """Move what the link leads to aside, and let the link follow."""
    target = os.readlink(link).rstrip("/")
    moved = target if target.endswith(_suffix(run)) else target + _suffix(run)
    if target != moved:
        if not os.path.lexists(moved):
            os.rename(target, moved)
            flush_directory(os.path.dirname(target))
        if os.path.lexists(f"{link}.new"):  # left by one that was cut off
            os.unlink(f"{link}.new")
        os.symlink(moved, f"{link}.new")
        os.rename(f"{link}.new", link)
        flush_directory(os.path.dirname(link))


def _wal_names(wish: Mapping[str, Any]) -> list[str]:
    """Written segments from that log and segment on, of every timeline, and all history files."""
    directory = f"{wish['data_dir']}/pg_wal"
    found = []
    for name in _listed(directory):
        if _SEGMENT.fullmatch(name):
            if name[8:24] >= wish["from_segment"] and _is_written(f"{directory}/{name}", wish["segment_bytes"]):
                found.append(name)
        elif _HISTORY.fullmatch(name):
            found.append(name)
    return found


def _is_written(path: str, segment_bytes: int) -> bool:
    """Whether the file holds the WAL of its name: one that was only renamed for later use still says its old place."""
    with open(path, "rb") as file:
        header = file.read(16)
    if len(header) < 16:
        return False
    name = os.path.basename(path)
    place = (int(name[8:16], 16) * (0x100000000 // segment_bytes) + int(name[16:24], 16)) * segment_bytes
    written: int = struct.unpack("=HHIQ", header)[3]
    return written == place


def _listed(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []


def _listing(directory: str) -> str:
    """Every file there: name, size in bytes, and when it was last written, in seconds since 1970."""
    lines = []
    for name in _listed(directory):
        with suppress(FileNotFoundError):  # the server recycles them meanwhile
            about = os.stat(f"{directory}/{name}")
            lines.append(f"{name}\t{about.st_size}\t{about.st_mtime:.6f}\n")
    return "".join(lines)


def _copy(source: str, target: str) -> None:
    with open(source, "rb") as read, open(target, "xb") as written:
        shutil.copyfileobj(read, written, 1024 * 1024)
        written.flush()
        os.fsync(written.fileno())
    shutil.copystat(source, target)
    os.chmod(target, 0o600)


def _copy_again(source: str, target: str) -> None:
    """What the server wrote after the first copy; a file that is as it was stays as it is."""
    if os.path.exists(target) and os.stat(target).st_mtime_ns == os.stat(source).st_mtime_ns:
        return
    fresh = f"{target}.new"
    if os.path.exists(fresh):
        os.unlink(fresh)
    _copy(source, fresh)
    os.rename(fresh, target)


def _parts(keep: str) -> list[dict[str, Any]]:
    with open(f"{keep}/manifest.json", encoding="utf-8") as file:
        parts: list[dict[str, Any]] = json.load(file)["parts"]
    return parts


def _manifest(wish: Mapping[str, Any], parts: list[dict[str, Any]]) -> str:
    return json.dumps({**wish["manifest"], "parts": parts}, indent=2) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
