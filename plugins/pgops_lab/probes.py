"""Asks a lab's Patroni, etcd and PostgreSQL. Small on purpose: the lab must see its members without pgops' own eyes."""

from __future__ import annotations

import base64
import json
from typing import Any

from pgops.errors import PgopsError
from pgops.hosts.process import run
from pgops_lab import passwords, programs
from pgops_lab.lab import POSTGRES, STATS, Lab, Member

SEPARATOR = "\x1f"


def rest(
    lab: Lab, member: Member, path: str, *, method: str = "GET", body: object = None, timeout_s: float = 3
) -> tuple[int, Any]:
    """Status and JSON body of Patroni's REST API; (0, None) when it gave no answer."""
    headers = {}
    if method != "GET":
        pair = f"patroni:{passwords.read(lab.directory).rest}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    return _ask(f"{member.rest_url}/{path}", method, body, headers, timeout_s)


def etcd(member: Member, path: str, body: object = None, *, timeout_s: float = 3) -> tuple[int, Any]:
    """Status and JSON body of etcd: its v3 gateway with a body (POST), `health` without; (0, None) for no answer."""
    return _ask(f"{member.etcd_url}/{path}", "GET" if body is None else "POST", body, {}, timeout_s)


def etcd_get(lab: Lab, key: str) -> str | None:
    """The value of an etcd key from the first member that answers, None when it is absent or nobody answers."""
    for member in lab.members:
        status, reply = etcd(member, "v3/kv/range", {"key": base64.b64encode(key.encode()).decode()}, timeout_s=2)
        if status == 200:
            found = reply.get("kvs", [])
            return base64.b64decode(found[0].get("value", "")).decode() if found else None
    return None


def patroni_key(lab: Lab, key: str) -> str | None:
    """The value of one of Patroni's own keys, such as `leader`."""
    return etcd_get(lab, f"/service/{lab.name}/{key}")


def leader(lab: Lab) -> Member | None:
    """The member whose Patroni says with 200 that it is the leader and runs as primary."""
    return next((member for member in lab.members if rest(lab, member, "primary", timeout_s=2)[0] == 200), None)


def require_leader(lab: Lab) -> Member:
    """The leader; `PgopsError` when there is none."""
    found = leader(lab)
    if found is None:
        raise PgopsError(
            f"the lab {lab.name} has no leader now", next_step=f"pgops lab mend --name {lab.name}, or lab up, lab down"
        )
    return found


def replicas(lab: Lab) -> tuple[Member, ...]:
    """The members whose Patroni says that they are running replicas."""
    return tuple(member for member in lab.members if rest(lab, member, "replica", timeout_s=2)[0] == 200)


def streaming(lab: Lab) -> frozenset[str]:
    """The names of the members that stream from the leader."""
    first = leader(lab)
    return frozenset() if first is None else streaming_from(lab, first)


def streaming_from(lab: Lab, member: Member) -> frozenset[str]:
    """The names of the members that stream from `member`, as its PostgreSQL sees it."""
    try:
        rows = sql(lab, member, "SELECT application_name FROM pg_stat_replication WHERE state = 'streaming'")
    except PgopsError:
        return frozenset()
    return frozenset(row[0] for row in rows)


def proxy_ups(lab: Lab) -> dict[str, frozenset[str]]:
    """The servers that HAProxy holds for up, by section. Source: HAProxy management guide, CSV format."""
    status, text = _ask(f"http://{lab.proxy_address}:{STATS}/;csv", "GET", None, {}, 3)
    rows = [line.split(",") for line in str(text).splitlines()[1:]] if status == 200 else []
    ups: dict[str, set[str]] = {}
    for row in rows:
        if len(row) > 17 and row[17].startswith(("UP", "no check")):
            ups.setdefault(row[0], set()).add(row[1])
    return {section: frozenset(servers) for section, servers in ups.items()}


def sql(
    lab: Lab, where: Member | tuple[str, int], statement: str, *, database: str = "postgres", timeout_s: float = 20
) -> list[list[str]]:
    """The rows of a statement, as the superuser. `where` is a member, or an (address, port). Raises `PgopsError`."""
    address, port = (where.address, POSTGRES) if isinstance(where, Member) else where
    argv = [f"{lab.pg_bin}/psql", "-X", "-q", "-A", "-t", "-F", SEPARATOR, "-v", "ON_ERROR_STOP=1"]
    argv += ["-h", address, "-p", str(port), "-U", "postgres", "-d", database]
    given = programs.environment(lab) | {"PGPASSFILE": str(lab.pgpass), "PGCONNECT_TIMEOUT": "4"}
    result = run(argv, timeout_s=timeout_s, env=given, stdin=statement.encode() + b"\n", cwd="/")
    if not result.ok:
        raise PgopsError("SQL failed", where=f"{address}:{port}", why=result.fault)
    return [line.split(SEPARATOR) for line in result.stdout.splitlines() if line]


def _ask(url: str, method: str, body: object, headers: dict[str, str], timeout_s: float) -> tuple[int, Any]:
    import http.client
    import urllib.error
    import urllib.request

    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, headers, method=method)  # noqa: S310 - our own http:// URLs
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout_s) as reply:
            return reply.status, _parse(reply.read())
    except urllib.error.HTTPError as error:
        return error.code, _parse(error.read())
    except (OSError, http.client.HTTPException):
        return 0, None


def _parse(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode("utf-8", "replace")


def patch_config(lab: Lab, change: dict[str, Any]) -> None:
    """Change Patroni's dynamic configuration; None removes a key. Raises `PgopsError` when no member takes it."""
    said: object = "no answer"
    for member in lab.members:
        status, reply = rest(lab, member, "config", method="PATCH", body=change, timeout_s=10)
        if status == 200:
            return
        said = reply if status else said
    raise PgopsError("Patroni did not take the configuration", why=str(said)[:200])
