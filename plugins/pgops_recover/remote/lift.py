"""Brings a primary's data directory to a new timeline, above all that were ever seen, and stops it again.

Called with one JSON document: `data_dir`, `bin_dir` (null: the search path), `above` (the highest timeline that is known),
`histories` (file name to text, of other members: PostgreSQL takes the first number that no history file has), `own` (the
names of its branch's own), `archive` (the words of pgBackRest, null: there is none). It may be called again: what is high
enough is left alone. Of the archive only history files of others are read: segments of this timeline's number may be another
member's there, and so may the history file, which pgBackRest replaces without a word: the last one that was promoted to a
number has it. So the own ones are read back, and pushed where the archive says otherwise. It is started with the
configuration that it ran with last, which on Debian is not in the data directory: an initdb's default that lies there would
archive nothing. One that crashed is started and stopped as a primary first: a clean stop ends its last segment, which is
archived whole. Recovery alone would leave it unfinished, as a `.partial` file, and the archive refuses that for good where
another member was promoted in the same segment.
Sources: PostgreSQL, src/backend/access/transam/timeline.c (findNewestTimeLine, existsTimeLineHistory: the archive, then
pg_wal; writeTimeLineHistory takes the parent's text from there as well) and xlog.c (StartupXLOG, the new timeline at the end
of archive recovery, CleanupAfterArchiveRecovery, ShutdownXLOG), src/include/utils/pidfile.h (the 8th line: how far it is),
src/backend/postmaster/postmaster.c (CreateOptsFile: each word of the last start stands in quotes); docs, pg_ctl (stop: fast
is SIGINT); pgBackRest, src/command/archive/push/file.c (the content of a segment is compared, and of no other file).
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

from pgops.hosts.remote.answering import Fault, alone_in, answer
from pgops.hosts.remote.durable import write_durably
from pgops.hosts.remote.program_paths import program_in
from pgops_recover.remote.opening import ALONE, control_of, limits_of

_LIFT_S = 3600.0
_STOP_S = 6 * 3600.0
_ARCHIVE_S = 120.0
_MARK = "pgops_lift"
_CRASHED = ("in production", "shutting down", "in crash recovery")
"""A primary's states where no PostgreSQL runs. Source: PostgreSQL, src/bin/pg_controldata/pg_controldata.c, dbState."""
_HISTORY = re.compile(r"[0-9A-F]{8}\.history")
_CONFIG_FILE = re.compile(r'"(?:--|-c(?:" ")?)config[-_]file=([^"]+)"', re.IGNORECASE)


def main(words: list[str]) -> int:
    """Do it, and print the timeline as JSON. 74 and a sentence where it cannot be done."""
    return answer(lambda: {"timeline": _lift_alone(json.loads(words[0]))})


def _lift_alone(wish: Mapping[str, Any]) -> int:
    with alone_in(wish["data_dir"]):
        return lift(wish)


def lift(wish: Mapping[str, Any]) -> int:
    """The timeline it is on when all is done."""
    data, above = wish["data_dir"], wish["above"]
    _end_earlier(wish)
    _archive_own(wish)  # first, since who sees it above all others takes this for done
    state, timeline = _control(wish)
    if timeline > above and state == "shut down":
        return timeline
    if os.path.exists(f"{data}/standby.signal"):
        raise Fault(f"{data} is a standby's: it has a standby.signal")
    config = _config_file(data)
    if not os.path.exists(f"{data}/recovery.signal"):
        if state in _CRASHED:
            _run(wish, config, lambda pid: _is_open(data, pid))
            state, _ = _control(wish)
        if state != "shut down":
            raise Fault(f"{data} is not a primary's that was stopped or that crashed: {state}")
    lent = [name for name, text in wish["histories"].items() if _lend(f"{data}/pg_wal", name, text)]
    write_durably(f"{data}/recovery.signal", "")
    before = timeline
    _run(
        wish,
        {**config, "restore_command": _histories_alone(wish["archive"], wish["own"])},
        lambda _pid: _is_past(wish, before),
    )
    for name in lent:
        os.unlink(f"{data}/pg_wal/{name}")
    state, timeline = _control(wish)
    if state != "shut down" or timeline <= above:
        raise Fault(f"{data} came to timeline {timeline} ({state}), and timeline {above} is known already")
    return timeline


def _run(wish: Mapping[str, Any], own: Mapping[str, str], is_done: Callable[[int], bool]) -> None:
    """Start it where nobody can connect until that is so of its process, let its history be archived, and stop it."""
    data = wish["data_dir"]
    with tempfile.TemporaryDirectory(prefix="pgops-") as place:  # a socket's path has at most 107 bytes
        settings = {
            **ALONE,
            # Its file may say less already, where it waits for a restart: recovery starts with no less than it ran with.
            **limits_of(control_of(wish["bin_dir"], data)),
            "cluster_name": _MARK,
            "unix_socket_directories": place,
            **own,
        }
        argv = [program_in(wish["bin_dir"], "postgres"), "-D", data]
        argv += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with open(f"{place}/log", "w+b") as log:
            server = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
            try:
                _await_done(data, server, is_done, log)
                _await_archive(data)
            finally:
                if server.poll() is None:
                    server.send_signal(signal.SIGINT)
                server.wait(_STOP_S)


def _config_file(data: str) -> dict[str, str]:
    """The setting that names its configuration, where the last start named one; an earlier try of ours named it again."""
    try:
        with open(f"{data}/postmaster.opts", encoding="utf-8") as file:
            named = _CONFIG_FILE.findall(file.read())
    except FileNotFoundError:
        return {}
    if named and not os.path.isabs(named[-1]):
        raise Fault(f"its last start named the configuration {named[-1]}, and from which directory is not known")
    return {"config_file": named[-1]} if named else {}


def _await_done(data: str, server: subprocess.Popen[bytes], is_done: Callable[[int], bool], log: Any) -> None:
    deadline = time.monotonic() + _LIFT_S
    while time.monotonic() < deadline:
        if is_done(server.pid):
            return
        if server.poll() is not None:
            log.seek(0)
            said = log.read().decode(errors="replace").splitlines()
            told = [line.strip() for line in said if "FATAL" in line or "PANIC" in line] or said[-1:]
            raise Fault(f"{data} does not start: {told[-1][:300] if told else 'PostgreSQL wrote no reason'}")
        time.sleep(0.1)
    raise Fault(f"{data} did not come so far within {_LIFT_S:.0f} s")


def _is_past(wish: Mapping[str, Any], before: int) -> bool:
    """Whether it takes writes on a timeline of its own."""
    state, timeline = _control(wish)
    return state == "in production" and timeline > before


def _is_open(data: str, pid: int) -> bool:
    """Whether this process is the server there, and has recovered; its control file said so before it crashed as well."""
    try:
        with open(f"{data}/postmaster.pid", encoding="utf-8") as file:
            lines = [line.strip() for line in file]
    except FileNotFoundError:
        return False
    return len(lines) > 7 and lines[0] == str(pid) and lines[7] == "ready"


def _await_archive(data: str) -> None:
    """The new history file first of all: who reads the archive must not take another member's for the newest."""
    status = f"{data}/pg_wal/archive_status"
    deadline = time.monotonic() + _ARCHIVE_S
    while time.monotonic() < deadline:
        names = os.listdir(status) if os.path.isdir(status) else []
        if not any(name.endswith(".history.ready") for name in names):
            return
        time.sleep(0.1)


def _end_earlier(wish: Mapping[str, Any]) -> None:
    """What one of us that was cut off started is stopped; anything else that runs there is not ours to stop."""
    data = wish["data_dir"]
    deadline = time.monotonic() + _STOP_S
    while True:
        argv = [program_in(wish["bin_dir"], "pg_ctl"), "-D", data, "status"]
        code = subprocess.run(argv, capture_output=True, timeout=60, check=False).returncode
        if code == 3:
            return
        with open(f"{data}/postmaster.opts", encoding="utf-8") as file:
            ours = f"cluster_name={_MARK}" in file.read()
        if code != 0 or not ours:
            raise Fault(f"a PostgreSQL may still use {data}")
        if time.monotonic() > deadline:
            raise Fault(f"the PostgreSQL that an earlier try started in {data} does not stop")
        argv = [program_in(wish["bin_dir"], "pg_ctl"), "-D", data, "-m", "fast", "-W", "stop"]
        subprocess.run(argv, capture_output=True, timeout=60, check=False)
        time.sleep(0.2)


def _control(wish: Mapping[str, Any]) -> tuple[str, int]:
    """State and timeline, as pg_controldata says."""
    told = control_of(wish["bin_dir"], wish["data_dir"])
    return told["Database cluster state"], int(told["Latest checkpoint's TimeLineID"])


def _lend(directory: str, name: str, text: str) -> bool:
    """Put another member's history file there, so that its number is taken; False where one of that name is there."""
    if not _HISTORY.fullmatch(name):
        raise Fault(f"{name!r} is no history file")
    if os.path.exists(f"{directory}/{name}"):
        return False
    write_durably(f"{directory}/{name}", text)
    return True


def _histories_alone(archive: list[str] | None, own: list[str]) -> str:
    """A restore_command, in which PostgreSQL fills %f and %p."""
    if archive is None:
        return "exit 1"
    words = shlex.join(word.replace("%", "%%") for word in [*archive, "archive-get"])
    ours = f"{'|'.join(own)}) exit 1 ;; " if own else ""
    return f'case %f in {ours}*.history) exec {words} %f "%p" ;; *) exit 1 ;; esac'


def _archive_own(wish: Mapping[str, Any]) -> None:
    """The archive has what this branch says of its own timelines."""
    if wish["archive"] is None:
        return
    for name in wish["own"]:
        path = f"{wish['data_dir']}/pg_wal/{name}"
        with open(path, "rb") as file:
            own = file.read()
        if _archived(wish, name) != own:
            _ask_archive(wish, "archive-push", path)


def _archived(wish: Mapping[str, Any], name: str) -> bytes | None:
    with tempfile.TemporaryDirectory(prefix="pgops-") as place:
        if _ask_archive(wish, "archive-get", name, f"{place}/{name}", missing=1) == 1:
            return None
        with open(f"{place}/{name}", "rb") as file:
            return file.read()


def _ask_archive(wish: Mapping[str, Any], *words: str, missing: int = 0) -> int:
    """The exit code of this command of pgBackRest, which is one of these two. Raises `Fault`."""
    argv = [*wish["archive"], *words]
    said = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_ARCHIVE_S, check=False
    )
    if said.returncode not in (0, missing):
        told = (said.stderr or said.stdout).strip()[-300:]
        raise Fault(f"pgbackrest {words[0]} {words[1]}: exit code {said.returncode}: {told}")
    return said.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
