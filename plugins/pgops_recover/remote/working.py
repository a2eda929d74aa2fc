"""A working copy of a kept data directory, by reflink where the file system can; shared by programs here."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pgops.hosts.remote.answering import Fault
from pgops_recover.remote.opening import Server, opened


class TooLarge(Fault):
    """A copy would take more room, or time, than there is: nothing is wrong with what was to be copied."""


@contextmanager
def opened_copy(wish: Mapping[str, Any], work: str) -> Iterator[Server]:
    """A working copy of `keep`/data in `work`, made and opened; stopped at the end. `limit_bytes`: see `copy_directory`."""
    copy_directory(f"{wish['keep']}/data", work, wish.get("limit_bytes"))
    for name in ("postmaster.pid", "recovery.signal", "backup_label"):
        if os.path.lexists(f"{work}/data/{name}"):
            os.unlink(f"{work}/data/{name}")
    timeline = wish.get("timeline")
    with opened(wish, work, {"recovery_target_timeline": "current" if timeline is None else str(timeline)}) as server:
        yield server


def copy_directory(data: str, work: str, limit_bytes: int | None = None) -> None:
    """The kept directory and what its links lead to, never shared: a server writes into what it opens.

    Where the file system knows no reflinks, of each at most `limit_bytes` (None: any number). Raises `TooLarge`, `Fault`.
    """
    os.mkdir(work)
    links = [f"pg_tblspc/{name}" for name in os.listdir(f"{data}/pg_tblspc")]
    links += ["pg_wal"] if os.path.islink(f"{data}/pg_wal") else []
    sources = {"data": data, **{link: os.path.realpath(f"{data}/{link}") for link in links}}
    places = {"data": f"{work}/data", **{link: f"{work}/{link.replace('/', '-')}" for link in links}}
    for what, source in sources.items():
        said = subprocess.run(
            ["/bin/cp", "-a", "--reflink=always", "--", source, places[what]], capture_output=True, check=False
        )
        if said.returncode != 0:
            shutil.rmtree(places[what], ignore_errors=True)
            need, free = _size(source), shutil.disk_usage(work).free
            if limit_bytes is not None and need > limit_bytes:
                raise TooLarge(f"its file system has no reflinks, and a copy takes {need} bytes, over {limit_bytes}")
            if free < need + need // 10:
                raise TooLarge(f"too little room to open a copy: {free} bytes are free in {work}, and it needs {need}")
            said = subprocess.run(["/bin/cp", "-a", "--", source, places[what]], capture_output=True, check=False)
        if said.returncode != 0:
            raise Fault(f"{source} cannot be copied: {said.stderr.decode(errors='replace').strip()[:300]}")
    for link in links:
        os.unlink(f"{work}/data/{link}")
        os.symlink(places[link], f"{work}/data/{link}")


def _size(place: str) -> int:
    return sum(os.lstat(os.path.join(top, name)).st_blocks * 512 for top, _, names in os.walk(place) for name in names)
