"""What stands against saved rows on the leader: read piece by piece where they lie, and compared where it leads."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from pgops.clients.json_text import parse_json
from pgops.config.model import ClusterConfig, HostConfig
from pgops.hosts.host import Host, HostFault, Identity
from pgops.observe.branch_facts import CopyFacts
from pgops.render.text import printable
from pgops_recover.programs import argv_of

PIECE_BYTES = 4 * 1024 * 1024
"""What is held here of a table at a time, unless one row of it is larger."""
KEYS = 10
_COMMAND_S = 3600.0
_PIECE_LIMIT_BYTES = 128 * 1024 * 1024
_COUNTS = ("absent", "held", "same", "both", "changed")


@dataclass(frozen=True)
class Conflicts:
    """What the leader has of the saved rows of one table. A count is None where that is not known, and `why` says why.

    `rows` are those in the folder; of them `absent` would be inserted, their key not being there; `held` are not there
    either, and held off by another unique constraint; `same` are there with the same content; `both` were given a key that
    has other content there, `changed` were changed on the member that lost. `both_keys` and `changed_keys`: the first ten.
    """

    member: str
    database: str
    table: str
    rows: int | None = 0
    absent: int | None = 0
    held: int | None = 0
    same: int | None = 0
    both: int | None = 0
    changed: int | None = 0
    both_keys: tuple[str, ...] = ()
    changed_keys: tuple[str, ...] = ()
    why: str | None = None


def read_conflicts(
    cluster: ClusterConfig, leader: str, copies: list[tuple[str, CopyFacts]], superuser: str
) -> list[Conflicts]:
    """Of every table in the salvage folders of these copies. Never raises for what cannot be read: that is told as such."""
    found: list[Conflicts] = []
    with _hosts(cluster) as hosts:
        for name, copy in copies:
            if name not in hosts or leader not in hosts:
                absent = leader if name in hosts else name
                found.append(_unknown(Conflicts(name, "", copy.path), f"no host {absent} is configured"))
                continue
            found += _of_copy(name, copy, hosts[name][1], *hosts[leader], superuser)
    return found


@contextmanager
def _hosts(cluster: ClusterConfig) -> Iterator[Mapping[str, tuple[HostConfig, Host]]]:
    from pgops.hosts.factory import open_host

    hosts = {config.name: (config, open_host(config, cluster.timeouts)) for config in cluster.hosts}
    try:
        yield hosts
    finally:
        for _, host in hosts.values():
            host.close()


def _of_copy(
    name: str, copy: CopyFacts, source: Host, config: HostConfig, leader: Host, superuser: str
) -> Iterator[Conflicts]:
    folder = f"{copy.path}/salvage"
    try:
        tables = _ask(source, "pieces", {"folder": folder})
    except (HostFault, ValueError) as fault:
        yield _unknown(Conflicts(name, "", folder), str(fault))
        return
    server = {"data_dir": config.data_dir, "bin_dir": config.bin_dir, "superuser": superuser}
    for table in tables:
        wish = {**server, "database": table["database"], "table": table["table"]}
        conflicts = Conflicts(name, printable(table["database"]), printable(table["table"]))
        try:
            for piece in _pieces(source, folder, table["file"]):
                conflicts = add(conflicts, _ask(leader, "conflicts", wish, piece))
        except (HostFault, ValueError) as fault:
            conflicts = _unknown(conflicts, str(fault))
        yield conflicts


def _pieces(source: Host, folder: str, file: str) -> Iterator[bytes]:
    """The file piece by piece, each with the header before it."""
    at: int | None = 0
    header = b""
    while at is not None:
        wish = {"folder": folder, "file": file, "at": at, "limit_bytes": PIECE_BYTES}
        told = _ask(source, "pieces", wish)
        header = b64decode(told["header"]) if at == 0 else header
        yield header + b64decode(told["piece"])
        at = told["next"]


def add(conflicts: Conflicts, told: Mapping[str, Any]) -> Conflicts:
    """With what is told of one more piece."""
    rows = (conflicts.rows or 0) + told["rows"]
    why = conflicts.why or told["why"]
    if why is not None:
        return replace(_unknown(conflicts, printable(why)), rows=rows)
    counts = {name: getattr(conflicts, name) + told[name] for name in _COUNTS}
    both, changed = (
        (*getattr(conflicts, name), *map(printable, told[name]))[:KEYS] for name in ("both_keys", "changed_keys")
    )
    return replace(conflicts, rows=rows, **counts, both_keys=both, changed_keys=changed)


def _unknown(conflicts: Conflicts, why: str) -> Conflicts:
    return replace(conflicts, rows=None, **dict.fromkeys(_COUNTS, None), both_keys=(), changed_keys=(), why=why)  # type: ignore[arg-type] # the fields of Conflicts, by name


def _ask(host: Host, program: str, wish: Mapping[str, Any], stdin: bytes | None = None) -> Any:
    answer = host.run(
        argv_of(program, wish),
        identity=Identity.OWNER,
        timeout_s=_COMMAND_S,
        stdin=stdin,
        limit_bytes=_PIECE_LIMIT_BYTES,
    )
    if not answer.ok:
        raise HostFault(printable(answer.fault))
    return parse_json(answer.stdout.encode())
