"""The server that uses a data directory, asked by its owner over its own socket; shared by programs here.

Sources: PostgreSQL, src/include/utils/pidfile.h (the port and the first socket directory are lines 4 and 5 of
postmaster.pid); docs, libpq-envars (PGDATABASE is taken as it is, where a -d with an equals sign is a connection string).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from typing import Any

from pgops.hosts.remote.answering import Fault
from pgops.hosts.remote.program_paths import program_in

_ANSWER_S = 3600.0
_CONNECT_S = 10
_PLACE = re.compile(r"^psql:<stdin>:(\d+): ")
SETTINGS = (
    "-c statement_timeout=0 -c idle_in_transaction_session_timeout=0 -c standard_conforming_strings=on -c row_security=off "
    "-c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=3 -c bytea_output=hex "
    "-c default_transaction_read_only=off"
)
"""What a role or a database may be set to must neither end the session nor change what values look like."""


class Leading:
    """That server, as `wish` names it: `data_dir`, `bin_dir` (null: the search path), `superuser`. Raises `Fault`."""

    def __init__(self, wish: Mapping[str, Any], settings: str = "") -> None:
        self.data_dir, self._settings = wish["data_dir"], f"{SETTINGS} {settings}"
        try:
            with open(f"{self.data_dir}/postmaster.pid", encoding="utf-8") as file:
                lines = file.read().splitlines()
        except FileNotFoundError:
            raise Fault(f"no PostgreSQL runs on {self.data_dir}") from None
        if len(lines) < 5 or not lines[4]:
            raise Fault(f"the PostgreSQL on {self.data_dir} has no local socket (unix_socket_directories)")
        place = ["-h", lines[4], "-p", lines[3], "-U", wish["superuser"], "-w"]
        self.argv = [program_in(wish["bin_dir"], "psql"), "-X", "-v", "ON_ERROR_STOP=1", *place]

    def environment(self, database: str, name: str = "pgops salvage") -> dict[str, str]:
        """For a psql in that database, seen there by this name."""
        own = {"PGDATABASE": database, "PGOPTIONS": self._settings, "PGCONNECT_TIMEOUT": str(_CONNECT_S)}
        return {**os.environ, **own, "PGAPPNAME": name}

    def ask(self, database: str, statements: bytes) -> str:
        """What these statements print, bare values. Raises `Fault` with the server's own sentence."""
        try:
            said = subprocess.run(
                [*self.argv, "-Atq"],
                input=statements,
                capture_output=True,
                env=self.environment(database),
                timeout=_ANSWER_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Fault(f"the leader gave no answer within {_ANSWER_S:.0f} s") from None
        if said.returncode != 0:
            raise Fault(sentence_of(said.stderr))
        return said.stdout.decode("utf-8", "replace")

    def row(self, database: str, statement: str) -> Any:
        """The one row of a SELECT, as JSON."""
        whole = f"SET client_encoding = 'UTF8'; SELECT row_to_json(r) FROM ({statement}) r"  # noqa: S608 - ours
        return json.loads(self.ask(database, whole.encode()))


def sentence_of(stderr: bytes) -> str:
    """The first error that psql told, without the lines behind it, which quote rows."""
    lines = [line.strip() for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    wrong = [line for line in lines if any(word in line for word in ("ERROR:", "FATAL:", "error:"))]
    return _PLACE.sub(r"line \1: ", (wrong or lines or ["psql told no reason"])[0])[:500]
