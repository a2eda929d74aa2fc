#!/usr/bin/env -S python3 -I
"""Stands in pg_rewind's place: keeps what a rewind would destroy, then runs the real one. Installed by `pgops guard`.

Patroni calls it by `postgresql.bin_name`, or out of the `bin_dir` in which it stands; what it may do here stands in the
settings beside the data directory. In doubt nothing is rewound: then Patroni goes on trying to start the server as it is, and
nothing is lost. A copy for the same fork and the same last checkpoint is made once: a rewind that was cut off has already
changed the files.

Sources: Patroni, patroni/postgresql/rewind.py (how it is called; `--help` asks whether there is one); PostgreSQL,
src/bin/pg_rewind/pg_rewind.c (what a dry run says) and src/backend/access/transam/timeline.c (history files).
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

_DIVERGED = re.compile(r"servers diverged at WAL location ([0-9A-F]+/[0-9A-F]+) on timeline (\d+)")
_COMMIT = re.compile(r"rmgr: Transaction .*desc: (COMMIT|PREPARE)")
_AT = re.compile(r"lsn: ([0-9A-F]+/[0-9A-F]+),")
_LSN = re.compile(r"\b[0-9A-F]+/[0-9A-F]+\b")
_DRY_RUN_S = 600
_SIDE_SEGMENTS = 2


class Fault(Exception):
    """Why nothing is rewound: a sentence."""


def main(words: list[str]) -> int:
    """Become the real pg_rewind once all is kept. 1 and a sentence where nothing was rewound."""
    os.umask(0o077)
    if any(word in ("--help", "-?", "--version", "-V") for word in words):
        print("pg_rewind, guarded by pgops")
        return 0
    try:
        data_dir = _data_dir(words)
        settings = _settings(data_dir)
        real = [f"{settings['bin_dir']}/pg_rewind", *words]
        if os.path.realpath(real[0]) == os.path.realpath(__file__):
            raise Fault(f"the settings name {settings['bin_dir']} as where the real pg_rewind is, and that is this one")
        if not any(word in ("--dry-run", "-n") for word in words):
            said = _dry_run(real)
            if "no rewind required" not in said:
                _guard(data_dir, settings, said)
    except Fault as fault:
        print(f"pgops guard: nothing is rewound: {fault}", file=sys.stderr)
        return 1
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as error:
        print(f"pgops guard: nothing is rewound: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    sys.stdout.flush()
    return os.execv(real[0], real)  # noqa: S606 - as Patroni meant it, with the words and the environment it gave


def _data_dir(words: list[str]) -> str:
    for at, word in enumerate(words):
        name, _, value = word.partition("=")
        if name == "--target-pgdata" and value:
            return value.rstrip("/")
        if word in ("-D", "--target-pgdata") and at + 1 < len(words):
            return words[at + 1].rstrip("/")
    raise Fault("no data directory is named")


def _settings(data_dir: str) -> dict[str, Any]:
    path = f"{data_dir}.pgops-guard.json"
    try:
        with open(path, encoding="utf-8") as file:
            settings: dict[str, Any] = json.load(file)
    except FileNotFoundError:
        raise Fault(f"there is no {path}; pgops guard install writes it") from None
    if settings["schema"] != 1 or settings["mode"] not in ("keep", "stop"):
        raise Fault(f"{path} is of another pgops; pgops guard install writes it anew")
    return settings


def _dry_run(real: list[str]) -> str:
    """What the real one would say. It refuses a server that was not shut down: then where they part is not known."""
    said = subprocess.run(
        [*real, "--dry-run"],
        env={**os.environ, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_DRY_RUN_S,
        check=False,
    )
    return (said.stdout + said.stderr).decode(errors="replace")


def _guard(data_dir: str, settings: Mapping[str, Any], said: str) -> None:
    """Keep the WAL, or stop where commits would be lost. Raises `Fault`, OSError and others; then nothing is rewound."""
    control = _control(data_dir, settings)
    segment_bytes = int(control["Bytes per WAL segment"])
    timeline = int(control["Latest checkpoint's TimeLineID"])
    found = _DIVERGED.search(said)
    fork = _bytes(found[1]) if found else None
    pieces = _pieces(data_dir, int(found[2]), fork, timeline) if found and fork is not None else []
    if settings["mode"] == "stop":
        # Patroni lets it run as a standby before it rewinds: then its last checkpoint may lie before the fork.
        ends = (control["Latest checkpoint location"], control["Minimum recovery ending location"])
        _refuse_commits(data_dir, settings, pieces, segment_bytes, max(map(_bytes, ends)))
        return
    identity = (control["Database system identifier"], control["Latest checkpoint location"], timeline, fork)
    run = "rewind-" + hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:12]
    keep = f"{data_dir}.pgops-{run}"
    wish = {
        "stage": "wal",
        "moves": False,
        "data_dir": data_dir,
        "keep": keep,
        "run": run,
        # A little before the fork: the tables of transactions that were open there are named in those segments.
        "from_segment": _segment(max((fork or 0) - _SIDE_SEGMENTS * segment_bytes, 0), segment_bytes),
        "segment_bytes": segment_bytes,
        "limit_bytes": settings["limit_bytes"] - _kept_bytes(data_dir),
        "manifest": {
            "schema": 1,
            "kind": "pgops-copy",
            "procedure": "guard",
            "run": run,
            "cluster": settings["cluster"],
            "node": settings["node"],
            "made_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "by": f"guard@{os.uname().nodename}",
            "reason": "its Patroni rewinds it",
            "data_dir": data_dir,
            "bin_dir": settings["bin_dir"],
            "system_identifier": control["Database system identifier"],
            "segment_bytes": segment_bytes,
            "pieces": pieces,
            "control": control,
        },
    }
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), "keep.py")
    kept = subprocess.run(
        [sys.executable, "-I", beside, json.dumps(wish)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    if kept.returncode != 0:
        raise Fault(f"its WAL cannot be kept: {kept.stderr.decode(errors='replace').strip()[-300:]}")
    print(f"pgops guard: its WAL is kept in {keep}", file=sys.stderr)


def _control(data_dir: str, settings: Mapping[str, Any]) -> dict[str, str]:
    said = subprocess.run(
        [f"{settings['bin_dir']}/pg_controldata", "-D", data_dir],
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    if said.returncode != 0:
        raise Fault(f"pg_controldata: {said.stderr.decode(errors='replace').strip()[:300]}")
    pairs = (line.partition(":") for line in said.stdout.decode(errors="replace").splitlines())
    return {name: value.strip() for name, _, value in pairs}


def _pieces(data_dir: str, first: int, fork: int, last: int) -> list[dict[str, Any]]:
    """What only this server has: from the fork on, over the timelines that it went on to by itself."""
    ends = {}
    if last != first:
        with open(f"{data_dir}/pg_wal/{last:08X}.history", encoding="utf-8") as file:
            for line in file:
                words = line.split()
                if len(words) > 1 and words[0].isdecimal():
                    ends[int(words[0])] = _bytes(words[1])
        if first not in ends:
            raise Fault(f"the history of timeline {last} does not name timeline {first}")
    begins, pieces = fork, []
    for timeline in sorted(each for each in ends if each >= first):
        pieces.append({"timeline": timeline, "from": _lsn(begins), "to": _lsn(ends[timeline])})
        begins = ends[timeline]
    return [*pieces, {"timeline": last, "from": _lsn(begins), "to": None}]


def _lsn(at: int) -> str:
    return f"{at >> 32:X}/{at & 0xFFFFFFFF:X}"


def _bytes(lsn: str) -> int:
    high, _, low = lsn.partition("/")
    return int(high, 16) << 32 | int(low, 16)


def _kept_bytes(data_dir: str) -> int:
    """What earlier copies of the guard take; pgops copies remove makes room."""
    return sum(os.stat(path).st_size for path in glob.glob(f"{glob.escape(data_dir)}.pgops-rewind-*/wal/*"))


def _refuse_commits(
    data_dir: str, settings: Mapping[str, Any], pieces: list[dict[str, Any]], segment_bytes: int, end: int
) -> None:
    """Only a server whose WAL after the fork was read, and commits nothing, may be rewound."""
    mend = "pgops recover split-brain --dry-run shows what it has, and mends it with nothing lost"
    if not pieces:
        raise Fault(f"where it parts from its source is not known; {mend}")
    for piece in pieces:
        begins = _bytes(piece["from"])
        argv = [f"{settings['bin_dir']}/pg_waldump", "-p", f"{data_dir}/pg_wal", "-t", str(piece["timeline"])]
        argv += ["-s", piece["from"], *(["-e", piece["to"]] if piece["to"] else [])]
        line = ""
        first = f"{piece['timeline']:08X}{_segment(begins, segment_bytes)}"
        if not os.path.exists(f"{data_dir}/pg_wal/{first}"):
            raise Fault(f"its WAL from {piece['from']} on is gone, so what it committed cannot be told; {mend}")
        reached = 0
        with subprocess.Popen(
            argv, env={**os.environ, "LC_ALL": "C"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as dump:
            for raw in dump.stdout or ():
                line = raw.decode(errors="replace")
                if _COMMIT.search(line):
                    dump.kill()
                    raise Fault(f"it has commits that its source has not; {mend}")
                if at := _AT.search(line):
                    reached = _bytes(at[1])
        # The last line says where it ended: after the last record, or at a fault before it.
        reached = max([reached, *map(_bytes, _LSN.findall(line))])
        if reached < (_bytes(piece["to"]) if piece["to"] else end):
            raise Fault(f"its WAL cannot be read to its end: {line.strip()[:300]}; {mend}")


def _segment(at: int, segment_bytes: int) -> str:
    number = at // segment_bytes
    per_log = 0x100000000 // segment_bytes
    return f"{number // per_log:08X}{number % per_log:08X}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
