"""The files of pgops's own schedule of backups on a host: where they lie, and what is in them.

Sources: cron(8) of Debian (names in cron.d have no dot); systemd.unit(5) (an enabled timer is linked in timers.target.wants).
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Sequence
from hashlib import sha256
from typing import get_args

from pgops.config.model import ClusterConfig
from pgops.hosts.host import Host, HostFault, Identity
from pgops.hosts.process import CommandResult
from pgops.observe.facts import CronState, ScheduleFacts
from pgops.readings import Known, Reading, Unknown
from pgops.render.text import printable

UNITS = "/etc/systemd/system"
KINDS = ("full", "diff", "incr")
_CRON_STATES: tuple[CronState, ...] = get_args(CronState)

_CLOSED = 77
"""EX_NOPERM of sysexits.h: the directory may not be looked into."""

_CRON_UNITS = ("cron.service", "crond.service", "cronie.service", "fcron.service", "bcron.service", "cron.target")
_CRON_PROGRAMS = ("/usr/sbin/cron", "/usr/sbin/crond", "/usr/bin/crond", "/usr/sbin/fcron", "/usr/sbin/bcron-sched")

_READ = f"""
cron=absent
for each in {" ".join(_CRON_PROGRAMS)}; do [ ! -x "$each" ] || cron=runs; done
if [ -d /run/systemd/system ]; then
    [ "$cron" = absent ] || cron=stopped
    ! systemctl is-active --quiet {" ".join(_CRON_UNITS)} || cron=runs
fi
printf 'cron %s\\n' "$cron"
n=0
for path; do
    n=$((n + 1)) directory=${{path%/*}}
    if [ -e "$path" ] || [ -L "$path" ]; then
        content=$(head -c 65536 -- "$path" | base64 -w 0) && printf '%s %s\\n' "$n" "$content" || exit 74
        [ ! -e "$path" ] || [ -r "$path" ] || {{ echo "$path cannot be read" >&2; exit {_CLOSED}; }}
    elif [ -d "$directory" ] && [ ! -x "$directory" ]; then
        echo "$directory cannot be looked into" >&2
        exit {_CLOSED}
    fi
done
"""


def schedule_name(cluster: str, node: str) -> str:
    """What the files of that node are named after: letters, digits, `_` and `-` alone, and never another node's name.

    A `-` of the cluster's name is doubled; where other signs had to be replaced, a digest of both names is added.
    """
    plain = [re.sub(r"[^A-Za-z0-9_-]", "_", name) for name in (cluster, node)]
    whole = plain == [cluster, node] and not node.startswith("-")
    digest = "" if whole else f"-{sha256(f'{cluster}/{node}'.encode()).hexdigest()[:8]}"
    return f"pgops-backup-{plain[0].replace('-', '--')}-{plain[1]}{digest}"


def cron_path(cluster: ClusterConfig, node: str) -> str:
    """The table of cron."""
    return f"{cluster.backup.cron_dir.rstrip('/')}/{schedule_name(cluster.name, node)}"


def unit_path(cluster: ClusterConfig, node: str, kind: str, suffix: str) -> str:
    """A unit of systemd; `suffix` is `service` or `timer`."""
    return f"{UNITS}/{schedule_name(cluster.name, node)}-{kind}.{suffix}"


def link_path(cluster: ClusterConfig, node: str, kind: str) -> str:
    """The link that an enabled timer has."""
    return f"{UNITS}/timers.target.wants/{schedule_name(cluster.name, node)}-{kind}.timer"


def schedule_paths(cluster: ClusterConfig, node: str) -> tuple[str, ...]:
    """Every file that pgops may have for the node, links of enabled timers last."""
    units = [unit_path(cluster, node, kind, suffix) for kind in KINDS for suffix in ("service", "timer")]
    return (cron_path(cluster, node), *units, *(link_path(cluster, node, kind) for kind in KINDS))


def read_schedules(host: Host, paths: Sequence[str], *, timeout_s: float) -> Reading[ScheduleFacts]:
    """Those of these files that are there. As root only where the login may not look into a directory."""
    try:
        answer = _ask(host, paths, Identity.LOGIN, timeout_s)
        if answer.exit_code == _CLOSED:
            answer = _ask(host, paths, Identity.ROOT, timeout_s)
        if not answer.ok:
            return Unknown(f"the schedule there: {printable(answer.fault)}")
        return Known(parse_schedules(answer.stdout, paths))
    except HostFault as fault:
        return Unknown(str(fault))


def _ask(host: Host, paths: Sequence[str], identity: Identity, timeout_s: float) -> CommandResult:
    return host.run(["sh", "-c", _READ, "pgops-schedule", *paths], identity=identity, timeout_s=timeout_s)


def parse_schedules(output: str, paths: Sequence[str]) -> ScheduleFacts:
    """The script's output: what cron does, then a line a file (its number, its content in base64). Raises `HostFault`."""
    first, *lines = output.splitlines() or [""]
    cron = next((state for state in _CRON_STATES if first == f"cron {state}"), None)
    if cron is None:
        raise HostFault(f"the schedule there cannot be read: {first[:100]!r}")
    found = {}
    for line in lines:
        number, _, content = line.partition(" ")
        try:
            found[paths[int(number) - 1]] = b64decode(content, validate=True).decode("utf-8", "replace")
        except (ValueError, IndexError):
            raise HostFault(f"the schedule there cannot be read: {line[:100]!r}") from None
    return ScheduleFacts(found, cron)
