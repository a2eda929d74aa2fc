"""The health check of schedules: after a failover the new leader must be asked for backups as well."""

from __future__ import annotations

from collections.abc import Iterator

from pgops.checks import Check, Finding, ok, skipped, unknown, warning
from pgops.observe.snapshot import Snapshot, View
from pgops.readings import Known, Skipped, reason
from pgops_backup.comparing import find_departures, is_unread


def find_schedule(snapshot: Snapshot) -> Iterator[Finding]:
    """A schedule of pgops's is on every host, as the policy has it, or on none. Others' schedules are not seen."""
    seen = {node.name: node.schedules.value for node in snapshot.nodes if isinstance(node.schedules, Known)}
    having = [name for name, facts in seen.items() if facts.files]
    lacking = [name for name, facts in seen.items() if not facts.files]
    for node in snapshot.nodes:
        if node.name not in seen and not isinstance(node.schedules, Skipped):
            yield unknown(f"whether it has a schedule is not known: {reason(node.schedules)}", node.name)
    if not having:
        yield skipped("no schedule of pgops's is installed; pgops backup schedule shows one")
        return
    if lacking:
        yield warning(
            f"a schedule of backups is on {', '.join(having)}, and not on {', '.join(lacking)}: "
            "nobody asks for backups when one of these leads",
            next_step="pgops backup schedule --install",
        )
    sound = []
    for name in having:
        wrong = find_departures(snapshot.cluster, name, seen[name].files)
        if is_unread(snapshot.cluster, name, seen[name].files, seen[name].cron):
            wrong.append(f"nothing reads its table, since cron is {seen[name].cron}")
        if wrong:
            told = f"its schedule of backups is not that of the policy: {'; '.join(wrong)}"
            yield warning(told, name, next_step="pgops backup schedule --install, after a look with --dry-run")
        else:
            sound.append(name)
    if sound:
        yield ok(f"a schedule of backups is on {', '.join(sound)}, as the policy has it")


CHECKS = (
    Check(
        "backup-schedule",
        "backups are asked for on every node, as the policy has it",
        frozenset({View.SCHEDULE}),
        find_schedule,
    ),
)
