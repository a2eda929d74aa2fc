"""What only a loser has, counted from its WAL on its own host, with the names of its tables where it can be asked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pgops.config.model import ClusterConfig
from pgops.hosts.host import HostFault, Identity
from pgops.observe.lsn import format_lsn
from pgops.observe.snapshot import Node
from pgops_recover.incident import Loser
from pgops_recover.programs import argv_of

_LIMIT_S = 3600.0
_FIRST_USER_OID = 16384
"""Objects of the catalogue lie below. Source: PostgreSQL, src/include/access/transam.h, FirstNormalObjectId."""


@dataclass(frozen=True)
class Table:
    """The committed changes to one table that only this member has. `name` falls back to numbers."""

    name: str
    inserted: int
    updated: int
    deleted: int


@dataclass(frozen=True)
class Count:
    """What only one member has. `account` is the document of the program `account`."""

    account: Mapping[str, Any]
    tables: tuple[Table, ...]


def count(cluster: ClusterConfig, node: Node, loser: Loser) -> Count | str:
    """Count it on the host, or say why that is not known. Changes nothing there."""
    from pgops.hosts.factory import open_host

    wish = {
        "pg_waldump": loser.program("pg_waldump"),
        "wal_dirs": [f"{loser.data_dir}/pg_wal"],
        "segment_bytes": loser.segment_bytes,
        **loser.lineage,
        "reached": None if loser.reached_bytes is None else format_lsn(loser.reached_bytes),
        "into": None,
        "budget_s": None,
    }
    host = open_host(loser.config, cluster.timeouts)
    try:
        answer = host.run(argv_of("account", wish), identity=Identity.OWNER, timeout_s=_LIMIT_S)
    except HostFault as fault:
        return str(fault)
    finally:
        host.close()
    if not answer.ok:
        return answer.stderr.strip()[-300:] or answer.fault
    try:
        account = json.loads(answer.stdout)
        relations = account["relations"]
    except (ValueError, KeyError, TypeError):
        return "the account of its WAL cannot be read"
    return Count(account, _tables(cluster, node, relations))


def _tables(cluster: ClusterConfig, node: Node, relations: Sequence[Mapping[str, int]]) -> tuple[Table, ...]:
    named: list[Table] = []
    for database in sorted({item["database"] for item in relations}):
        own = [item for item in relations if item["database"] == database]
        names = _names(cluster, node, database, own)
        for item in own:
            key = (item["tablespace"], item["filenode"])
            if key not in names and item["filenode"] < _FIRST_USER_OID:
                continue  # a catalogue
            name = names.get(key, f"{item['tablespace']}/{database}/{item['filenode']}")
            if name is not None:
                named.append(Table(name, item["inserted"], item["updated"], item["deleted"]))
    return tuple(sorted(named, key=lambda table: table.name))


_NAMES = """
SELECT ts, node, CASE WHEN n.nspname IN ('pg_catalog', 'pg_toast', 'information_schema') THEN NULL
    ELSE quote_ident(n.nspname) || '.' || quote_ident(c.relname) END
FROM unnest(%s::oid[], %s::oid[]) AS wanted (ts, node)
JOIN pg_class c ON c.oid = pg_filenode_relation(ts, node)
JOIN pg_namespace n ON n.oid = c.relnamespace
"""


def _names(
    cluster: ClusterConfig, node: Node, database: int, relations: Sequence[Mapping[str, int]]
) -> dict[tuple[int, int], str | None]:
    """(tablespace, filenode) to a name; None: a catalogue or a TOAST table. Empty where the server cannot be asked."""
    from contextlib import closing
    from dataclasses import replace

    from pgops.clients.sql import SqlFault, SqlSession

    if node.sql_address is None:
        return {}
    address, _, port = node.sql_address.rpartition(":")
    try:
        with closing(SqlSession(address, int(port), cluster.sql, cluster.timeouts)) as session:
            rows = session.rows("SELECT datname FROM pg_database WHERE oid = %s", (database,))
        if not rows:
            return {}
        config = replace(cluster.sql, dbname=rows[0][0])
        with closing(SqlSession(address, int(port), config, cluster.timeouts)) as session:
            spaces, filenodes = [item["tablespace"] for item in relations], [item["filenode"] for item in relations]
            found = session.rows(_NAMES, (spaces, filenodes))
    except SqlFault:
        return {}
    return {(row[0], row[1]): None if row[2] is None else f"{rows[0][0]}: {row[2]}" for row in found}
