"""Makes the data directory of a copy that has WAL alone: a backup from before the fork, and the kept WAL replayed on it.

Called with one JSON document: `keep` (the directory of the copy, whose manifest says where its server parted from others),
`bin_dir` (null: the search path), `superuser`, `stanza` and `pgbackrest_config` (null: the usual places). Makes `KEEP/data`,
stopped cleanly at the end of that WAL. Production's spool, locks, archive and data directory are not touched.

Sources: pgBackRest, command reference (info, restore); PostgreSQL docs, continuous-archiving (a standby replays along
recovery_target_timeline), functions-admin (pg_last_wal_replay_lsn).
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from pgops.hosts.remote.answering import Fault, answer
from pgops.hosts.remote.durable import write_durably
from pgops_recover.remote.opening import Server, opened
from pgops_recover.remote.segments import byte_position

_PLACES = {"backrest-lock": "lock", "backrest-spool": "spool", "backrest-log": "log"}
_STALLED_S = 120.0
"""Replay that gets no farther for so long waits for WAL that nobody has."""


def main(words: list[str]) -> int:
    """Make it, and print its parts as JSON. 74 and a sentence where it cannot be made."""
    return answer(lambda: {"parts": rebuild(json.loads(words[0]))})


def rebuild(wish: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The parts of the copy, its data directory among them. Raises `Fault` or OSError."""
    keep = wish["keep"]
    with open(f"{keep}/manifest.json", encoding="utf-8") as file:
        manifest = json.load(file)
    parts: list[dict[str, Any]] = manifest["parts"]
    if any(part["what"] == "data" for part in parts):
        return parts
    if not manifest["pieces"]:
        raise Fault("where it parted from the others is not known, so no backup from before that can be chosen")
    work, spaces = f"{keep}/rebuilding", f"{keep}/tablespaces"
    for left in (work, spaces, f"{keep}/data"):
        if os.path.lexists(left):
            shutil.rmtree(left)
    for place in (work, spaces, *(f"{work}/{name}" for name in ("data", *_PLACES))):
        os.mkdir(place, 0o700)
    backrest = [
        "pgbackrest",
        *([f"--config={wish['pgbackrest_config']}"] if wish["pgbackrest_config"] else []),
        f"--stanza={wish['stanza']}",
        "--log-level-console=warn",
        "--log-level-file=off",
    ]
    _restore([*backrest, *_own_places(work)], _choose(backrest, manifest, work), spaces)
    settings = {
        "restore_command": _restore_command([*backrest, *_own_places(work)], keep),
        "recovery_target_timeline": str(manifest["pieces"][-1]["timeline"]),
    }
    with opened(wish, work, settings, stop=signal.SIGINT) as server:
        _await_replay(server, manifest["control"], f"{work}/log")
    os.sync()  # it was restored and replayed without
    os.rename(f"{work}/data", f"{keep}/data")
    parts.append({"what": "data", "path": f"{keep}/data"})
    for name in sorted(os.listdir(f"{keep}/data/pg_tblspc")):
        target = os.readlink(f"{keep}/data/pg_tblspc/{name}")
        parts.append({"what": "tablespace", "oid": int(name), "path": target, "was": None})
    write_durably(f"{keep}/manifest.json", json.dumps({**manifest, "parts": parts}, indent=2) + "\n")
    shutil.rmtree(work)
    return parts


def _own_places(work: str) -> list[str]:
    """Nothing of production's is used but its repositories."""
    return [
        f"--pg1-path={work}/data",
        *(f"--{name}-path={work}/{place}" for place, name in _PLACES.items()),
    ]


def _choose(backrest: list[str], manifest: Mapping[str, Any], work: str) -> Mapping[str, Any]:
    """The newest backup that ended before the fork, on the way to it."""
    argv = [*(word for word in backrest if not word.startswith("--log-level-file")), "--output=json", "info"]
    said = subprocess.run(argv, capture_output=True, timeout=600, check=False)
    if said.returncode != 0:
        raise Fault(f"pgbackrest info: {said.stderr.decode(errors='replace').strip()[:300]}")
    limits = _limits(manifest)
    fit = []
    for stanza in json.loads(said.stdout):
        ours = {
            (db["repo-key"], db["id"])
            for db in stanza.get("db", ())
            if str(db["system-id"]) == manifest["system_identifier"]
        }
        for backup in stanza.get("backup", ()):
            timeline, stop = int(backup["archive"]["stop"][:8], 16), byte_position(backup["lsn"]["stop"])
            whose = (backup["database"]["repo-key"], backup["database"]["id"])
            if whose in ours and not backup.get("error") and stop <= limits.get(timeline, -1):
                fit.append(backup)
    if not fit:
        raise Fault("no backup of this cluster ended before the fork, so there is nothing to replay the kept WAL on")
    chosen: Mapping[str, Any] = max(fit, key=lambda backup: backup["timestamp"]["stop"])
    need, free = int(chosen["info"]["size"]), shutil.disk_usage(work).free
    if free < need + need // 5:
        raise Fault(
            f"too little room: {free} bytes are free in {work}, and the restored backup needs {need} and its WAL"
        )
    return chosen


def _limits(manifest: Mapping[str, Any]) -> dict[int, int]:
    """How far each timeline leads to the fork, in bytes."""
    first = manifest["pieces"][0]
    limits = {first["timeline"]: byte_position(first["from"])}
    path = f"{os.path.dirname(manifest['parts'][0]['path'])}/wal/{first['timeline']:08X}.history"
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            for line in file:
                words = line.split()
                if len(words) > 1 and words[0].isdecimal():
                    limits[int(words[0])] = min(byte_position(words[1]), limits[first["timeline"]])
    return limits


def _restore(backrest: list[str], backup: Mapping[str, Any], spaces: str) -> None:
    options = [
        f"--set={backup['label']}",
        f"--repo={backup['database']['repo-key']}",
        "--type=standby",
        "--archive-mode=off",
        f"--tablespace-map-all={spaces}",
    ]
    said = subprocess.run([*backrest, *options, "restore"], capture_output=True, check=False)
    if said.returncode != 0:
        told = (said.stdout + said.stderr).decode(errors="replace").strip()
        raise Fault(f"pgbackrest restore: {told[-300:]}")


def _restore_command(backrest: list[str], keep: str) -> str:
    """The kept WAL first, then the archive. PostgreSQL runs this by a shell, and takes % for its own."""
    kept = shlex.quote(f"{keep}/wal/".replace("%", "%%"))
    archive = shlex.join(word.replace("%", "%%") for word in [*backrest, "--no-archive-async", "archive-get"])
    return f'/bin/cp {kept}%f "%p" 2>/dev/null || {archive} %f "%p"'


def _await_replay(server: Server, control: Mapping[str, str], log: str) -> None:
    """Until all of the kept WAL is replayed."""
    checkpoint = byte_position(control["Latest checkpoint location"])
    end = max(byte_position(control["Minimum recovery ending location"]), checkpoint + 1)
    at, since = -1, time.monotonic()
    while at < end:
        told = server.ask("template1", "SELECT coalesce(pg_last_wal_replay_lsn(), '0/0')").strip()
        if byte_position(told) > at:
            at, since = byte_position(told), time.monotonic()
        elif time.monotonic() - since > _STALLED_S:
            with open(log, encoding="utf-8", errors="replace") as file:
                said = [line.strip() for line in file][-1:]
            raise Fault(f"replay came no farther than {told}: WAL after it is nowhere ({''.join(said)[:300]})")
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
