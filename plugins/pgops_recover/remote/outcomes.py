"""How a transaction ended that was cut off at its COMMIT; shared by programs here.

Its id was written down with the timeline and the position of that moment, once all WAL before it was on the disk. So a branch
of history that has that position knows of the transaction, and one that parted before it has never seen its COMMIT.
Sources: PostgreSQL docs, functions-info (txid_status: null where the id is too old, or its outcome is gone) and
continuous-archiving (a history file: timeline, switch point, reason); src/backend/access/transam/xact.c
(RecordTransactionCommit flushes what a transaction wrote that has an id and wrote WAL).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from pgops.hosts.remote.answering import Fault
from pgops_recover.remote.leading import Leading

COMMITTED, ABORTED, UNKNOWN = "committed", "aborted", "unknown"
MARK = """
SELECT pg_catalog.txid_current() AS xid, pg_catalog.pg_current_wal_insert_lsn() AS lsn,
    pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()) AS file
"""
"""Of the transaction that it is asked in. The name of a WAL file begins with the timeline."""
_FLUSH = "SET synchronous_commit = 'local'; SELECT pg_catalog.pg_logical_emit_message(true, 'pgops', '');"
_WHERE = """
SELECT pg_is_in_recovery() AS standby, (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
    CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_insert_lsn()) END AS file
"""
_WAIT_S = 3600.0


def system_of(server: Leading, database: str) -> str:
    """The system identifier of that server."""
    return str(server.row(database, _WHERE)["system_identifier"])


def flush(server: Leading, database: str) -> None:
    """Bring all WAL to the disk that was written so far: a small transaction of its own is committed behind it."""
    server.ask(database, _FLUSH.encode())


def outcome_of(server: Leading, begun: Mapping[str, Any]) -> str:
    """`committed`, `aborted` or `unknown`; waits while it is in progress. Raises `Fault` where the leader does not tell."""
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        here = server.row(begun["database"], _WHERE)
        if here["standby"]:
            raise Fault(f"the PostgreSQL on {server.data_dir} does not lead")
        if here["system_identifier"] != str(begun["system_identifier"]):
            return UNKNOWN
        known = _is_on_branch(server.data_dir, begun, int(here["file"][:8], 16))
        if known is not True:
            return ABORTED if known is False else UNKNOWN
        status = server.row(begun["database"], f"SELECT txid_status({int(begun['xid'])}) AS status")["status"]
        if status != "in progress":
            return status if status in (COMMITTED, ABORTED) else UNKNOWN
        time.sleep(0.5)
    raise Fault(f"the transaction {begun['xid']} is still in progress after {_WAIT_S:.0f} s")


def _is_on_branch(data_dir: str, begun: Mapping[str, Any], timeline: int) -> bool | None:
    """Whether the leader's history has the moment at which it was about to commit; None: the history file is not there."""
    if timeline == begun["timeline"]:
        return True
    try:
        with open(f"{data_dir}/pg_wal/{timeline:08X}.history", encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        return None
    return reaches(text, begun["timeline"], begun["lsn"])


def reaches(history: str, timeline: int, lsn: str) -> bool:
    """Whether the branch of this history file went through that position of that timeline."""
    for line in history.splitlines():
        words = line.split("#")[0].split()
        if len(words) >= 2 and words[0].isdigit() and int(words[0]) == timeline:
            return position(words[1]) >= position(lsn)
    return False


def position(lsn: str) -> int:
    """`0/402BD80` as a number of bytes."""
    high, _, low = lsn.partition("/")
    return (int(high, 16) << 32) + int(low, 16)
