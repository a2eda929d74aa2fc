"""A copy of a data directory, opened as a standby that follows nobody, on a private socket; shared by programs here.

Sources: PostgreSQL docs, hot-standby (a standby takes no writes and archives nothing); pg_controldata (the limits that a
standby must have).
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pgops.hosts.remote.answering import Fault
from pgops.hosts.remote.program_paths import program_in

_START_S = 6 * 3600.0
_LIMITS = {
    "max_connections": "max_connections",
    "max_worker_processes": "max_worker_processes",
    "max_wal_senders": "max_wal_senders",
    "max_prepared_transactions": "max_prepared_xacts",
    "max_locks_per_transaction": "max_locks_per_xact",
}
ALONE = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "primary_conninfo": "",
    "primary_slot_name": "",
    "recovery_target_timeline": "current",
    "recovery_target": "",
    "recovery_target_time": "",
    "recovery_target_xid": "",
    "recovery_target_lsn": "",
    "recovery_target_name": "",
    "recovery_min_apply_delay": "0",
    "recovery_end_command": "",
    "archive_cleanup_command": "",
    "synchronous_standby_names": "",
    "logging_collector": "off",
    "log_destination": "stderr",
}
"""Nobody connects, nobody is followed or waited for, and recovery goes to the end of its own timeline."""
_SETTINGS = {
    **ALONE,
    "archive_mode": "off",
    "archive_command": "",
    "restore_command": "",
    "shared_preload_libraries": "",
    "session_preload_libraries": "",
    "local_preload_libraries": "",
    "max_logical_replication_workers": "0",
    "hot_standby": "on",
    "cluster_name": "pgops_salvage",
    "shared_buffers": "128MB",
    "huge_pages": "off",
    "ssl": "off",
    "fsync": "off",
    "external_pid_file": "",
}
"""Nothing connects out, nothing is archived, nothing of an extension runs.

`fsync` off: a copy is thrown away, and what is rebuilt is synced as a whole."""
_NOT_YET = re.compile(r"the database system is |Is the server running|server closed the connection")
"""It may open yet. Any other fault is of who asks, or of the data, and stays: a role that is none, a file that is gone."""
_NO_ROLE = re.compile(r'role ".*" does not exist')
_PLAIN = "-c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=3 -c bytea_output=hex -c row_security=off"
"""Values in a form that every server reads, whatever a role or database is set to. Source: PostgreSQL, pg_dump.c."""


class Server:
    """The opened copy, asked by psql over its private socket."""

    def __init__(self, psql: str, socket: str, superuser: str) -> None:
        self._argv = [psql, "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", socket, "-p", "5432", "-U", superuser, "-w"]

    def ask(self, database: str, statement: str, into: str | None = None) -> str:
        """What the statement gives, or nothing where it goes into a new file. Raises `Fault`."""
        with open(into, "xb") if into else tempfile.TemporaryFile() as file:
            said = subprocess.run(
                [*self._argv, "-d", database],
                input=statement.encode(),
                stdout=file,
                stderr=subprocess.PIPE,
                env={**os.environ, "PGOPTIONS": _PLAIN, "PGCLIENTENCODING": "UTF8"},
                check=False,
            )
            if said.returncode != 0:
                raise Fault(f"the copy cannot be asked: {' '.join(said.stderr.decode(errors='replace').split())[:300]}")
            file.seek(0)
            return "" if into else file.read().decode()

    def rows(self, database: str, statement: str) -> list[Any]:
        """The rows of a SELECT, as JSON values."""
        told = self.ask(database, f"SELECT coalesce(json_agg(row_to_json(r)), '[]') FROM ({statement}) r")  # noqa: S608 - ours
        found: list[Any] = json.loads(told)
        return found


def control_of(bin_dir: str | None, data: str) -> dict[str, str]:
    """What pg_controldata says. Raises `Fault` with its reason."""
    argv = [program_in(bin_dir, "pg_controldata"), "-D", data]
    said = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    told = {name: value.strip() for name, _, value in (line.partition(":") for line in said.stdout.splitlines())}
    if said.returncode != 0 or "Database cluster state" not in told:
        raise Fault(f"pg_controldata: {said.stderr.strip()[:300] or 'it says no state'}")
    return told


def limits_of(control: Mapping[str, str]) -> dict[str, str]:
    """What a server must have at least that recovers this directory, as settings, from what pg_controldata says."""
    return {name: control[f"{told} setting"] for name, told in _LIMITS.items() if f"{told} setting" in control}


@contextmanager
def opened(
    wish: Mapping[str, Any], work: str, settings: Mapping[str, str], *, stop: signal.Signals = signal.SIGQUIT
) -> Iterator[Server]:
    """`work`/data, started as a standby (`bin_dir` and `superuser` of `wish`), and stopped by that signal at the end."""
    bin_dir, data = wish["bin_dir"], f"{work}/data"
    for path, text in (
        (f"{data}/standby.signal", ""),
        (f"{work}/postgresql.conf", ""),
        (f"{work}/pg_ident.conf", ""),
        (f"{work}/pg_hba.conf", "local all all trust\n"),
    ):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    with tempfile.TemporaryDirectory(prefix="pgops-") as socket:  # a socket's path has at most 107 bytes
        whole = {
            **_SETTINGS,
            **limits_of(control_of(bin_dir, data)),
            "port": "5432",
            "unix_socket_directories": socket,
            "hba_file": f"{work}/pg_hba.conf",
            "ident_file": f"{work}/pg_ident.conf",
            "config_file": f"{work}/postgresql.conf",
            **settings,
        }
        argv = [program_in(bin_dir, "postgres"), "-D", data]
        argv += [word for name, value in whole.items() for word in ("-c", f"{name}={value}")]
        with open(f"{work}/log", "wb") as log:
            server = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            asked = Server(program_in(bin_dir, "psql"), socket, wish["superuser"])
            _await(server, asked, f"{work}/log")
            yield asked
        finally:
            server.send_signal(stop)
            server.wait(600)


def _await(server: subprocess.Popen[bytes], asked: Server, log: str) -> None:
    deadline, why = time.monotonic() + _START_S, ""
    while time.monotonic() < deadline:
        try:
            if asked.ask("template1", "SELECT pg_is_in_recovery()").strip() == "t":
                return
        except Fault as fault:
            why = str(fault)
            if server.poll() is None and not _NOT_YET.search(why):
                if _NO_ROLE.search(why):
                    raise Fault(f"{why}; name a superuser of it by --superuser") from None
                raise
        if server.poll() is not None:
            with open(log, encoding="utf-8", errors="replace") as file:
                said = [line.strip() for line in file if "FATAL" in line or "PANIC" in line]
            raise Fault(f"the copy does not open: {said[-1][:300] if said else 'PostgreSQL wrote no reason'}")
        time.sleep(0.1)
    raise Fault(f"the copy did not open in time: {why}")
