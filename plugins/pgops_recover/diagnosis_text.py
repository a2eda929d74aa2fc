"""A split brain told to people: who is on which branch, what only one has, and who is recommended to survive."""

from __future__ import annotations

from pgops.observe.lsn import format_lsn
from pgops.observe.snapshot import Node, Snapshot
from pgops.readings import known, reason
from pgops.render.table import render_table
from pgops.render.units import format_bytes
from pgops_recover.counting import Count
from pgops_recover.diagnosing import Branch, compare_all, find_branch, led_elsewhere
from pgops_recover.incident import Incident


def render_states(now: Snapshot, against: str | None) -> str:
    """A table of every member, and what stands beside it against the member `against`."""
    partings = compare_all(now, against) if against else {}
    rows = []
    for node in now.nodes:
        branch = find_branch(node)
        told = isinstance(branch, Branch)
        parting = partings.get(node.name)
        if node.name == against:
            stands = "the others are compared with it"
        elif parting is None:
            stands = "unknown: nobody holds the lock, and no --survivor is named"
        else:
            stands = f"unknown: {parting}" if isinstance(parting, str) else parting.describe()
        rows.append(
            (
                node.name,
                "yes" if now.leader == node.name else "no" if known(now.keys) is not None else "unknown",
                _role(node),
                str(branch.timeline) if isinstance(branch, Branch) else "unknown",
                format_lsn(branch.end_bytes) if isinstance(branch, Branch) else "unknown",
                stands if told or parting is not None or node.name == against else f"unknown: {branch}",
            )
        )
    return render_table(("member", "lock", "by itself", "timeline", "end of WAL", "against it"), rows) + "\n"


def _role(node: Node) -> str:
    sql, branch = known(node.sql), known(node.branch)
    if sql is not None:
        return "replica" if sql.in_recovery else "takes writes"
    if branch is not None and not branch.serving:
        return "stopped" if branch.there else "no data directory"
    return f"unknown: {reason(node.sql)}"


def render_count(name: str, count: Count | str) -> str:
    """What only this member has, with a newline at the end."""
    if isinstance(count, str):
        return f"what only {name} has: unknown: {count}\n"
    account = count.account
    told = account["transactions"]
    least = "" if account["complete"] else "at least "
    between = f", committed {told['first_at']} to {told['last_at']}" if told["first_at"] else ""
    lines = [
        f"what only {name} has: {least}{told['count']} transactions{between}; {format_bytes(account['wal_bytes'])} of WAL"
    ]
    for table in count.tables:
        lines.append(
            f"  {table.name}: {least}{table.inserted} rows inserted, {table.updated} updated, {table.deleted} deleted"
        )
    if told["prepared"]:
        gids = ", ".join(item["gid"] or str(item["xid"]) for item in told["prepared"])
        lines.append(f"  prepared and undecided: {gids}")
    if told["open"]:
        lines.append(f"  {told['open']} transactions are open there")
    if not account["straddling"]["complete"]:
        lines.append(f"  unknown: rows of transactions that began before the fork: {account['straddling']['why']}")
    lines += [f"  unknown: {gap}" for gap in account["gaps"]]
    return "".join(f"{line}\n" for line in lines)


def render_recommendation(now: Snapshot, incident: Incident | None) -> str:
    """Who should survive, with the reasons; never chosen for anybody."""
    primaries = [node.name for node in now.primaries]
    if now.leader is None:
        return "recommendation: none; nobody holds the lock\n"
    if incident is not None and not incident.losers and not incident.unseen:
        return f"no split brain: {now.leader} leads alone, and no member has anything that it has not\n"
    elsewhere = [
        f"{name} holds a leader lock that this DCS does not know: there are two DCSs\n" for name in led_elsewhere(now)
    ]
    why = "it holds the lock" + (" and takes writes" if now.leader in primaries else ", but takes no writes")
    return "".join(elsewhere) + (
        f"recommendation: --survivor {now.leader}, since {why}. Where did your clients write? LSNs of different branches\n"
        "  cannot be compared: if the other side has what matters more, say so before you go on\n"
    )
