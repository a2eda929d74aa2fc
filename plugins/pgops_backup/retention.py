"""What pgBackRest's configuration keeps, read as those option lines alone, and judged against what there is.

Source: pgBackRest, configuration reference (`repo-retention-*`; sections `[stanza:command]`, `[stanza]`, `[global:command]`
and `[global]`, the first of them wins; where the file stands without --config).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pgops.checks import Finding, ok, skipped, unread, warning
from pgops.hosts.host import Host, HostFault, Identity
from pgops.observe.facts import Backup, StanzaFacts
from pgops.observe.snapshot import Snapshot
from pgops.pgbackrest.commands import Stanza
from pgops.readings import Known, Reading, Unknown, known
from pgops.render.units import format_time

# Section names and these options alone leave the host: passphrases and keys stand in the same file.
_SCRIPT = r"""
set -u
if [ -n "$1" ]; then
    set -- "$1"
else
    set -- /etc/pgbackrest/pgbackrest.conf
    [ -e "$1" ] || set -- /etc/pgbackrest.conf
    for each in /etc/pgbackrest/conf.d/*.conf; do
        [ -e "$each" ] && set -- "$@" "$each"
    done
fi
for file in "$@"; do
    echo "[]"
    sed -n -e '/^[[:space:]]*\[[A-Za-z0-9_.:-]*\][[:space:]]*$/p' \
        -e '/^[[:space:]]*\(repo[0-9]*-\)\{0,1\}retention-[a-z-]*[[:space:]]*=[[:space:]]*[a-z0-9]*[[:space:]]*$/p' \
        -e '/^[[:space:]]*repo[0-9]*-host[[:space:]]*=/p' -- "$file" || exit 1
done
"""

_OPTION = re.compile(r"(?:repo(\d*)-)?(retention-[a-z-]+|host)")


@dataclass(frozen=True)
class Rule:
    """What one repository keeps. `full` counts backups, or days where `by_days`; `diff` and `archive` count backups.

    None: not set. `host` names the machine that keeps the repository and its rules, where it is not this one.
    """

    full: int | None = None
    by_days: bool = False
    diff: int | None = None
    archive: int | None = None
    host: str | None = None


Rules = Mapping[int, Rule]


def read_rules(host: Host, stanza: Stanza, *, timeout_s: float) -> Reading[Rules]:
    """What the configuration file on that host keeps."""
    argv = ("sh", "-c", _SCRIPT, "sh", stanza.config or "")
    try:
        done = host.run(argv, identity=Identity.OWNER, timeout_s=timeout_s)
    except HostFault as fault:
        return Unknown(str(fault))
    if not done.ok:
        return Unknown(f"its pgBackRest configuration: {done.fault}")
    return Known(parse_rules(done.stdout, stanza.name))


def parse_rules(told: str, stanza: str) -> Rules:
    """Section headers and options, as the file has them, as the rule of each repository that has one."""
    strength = {name: number for number, name in enumerate(("global", "global:expire", stanza, f"{stanza}:expire"))}
    values: dict[tuple[int, str], tuple[int, str]] = {}
    section = ""
    for line in told.splitlines():
        text = line.strip()
        if text.startswith("["):
            section = text[1:-1]
            continue
        key, _, value = (part.strip() for part in text.partition("="))
        match = _OPTION.fullmatch(key)
        if match is None or section not in strength:
            continue
        place = (int(match[1] or 1), match[2])
        if place not in values or strength[section] >= values[place][0]:
            values[place] = (strength[section], value)
    return {
        number: _rule({option: value for (key, option), (_, value) in values.items() if key == number})
        for number in sorted({key for key, _ in values})
    }


def _rule(options: Mapping[str, str]) -> Rule:
    def count(name: str) -> int | None:
        value = options.get(name, "")
        return int(value) if value.isdecimal() else None

    return Rule(
        full=count("retention-full"),
        by_days=options.get("retention-full-type") == "time",
        diff=count("retention-diff"),
        archive=count("retention-archive"),
        host=options.get("host") or None,
    )


def find_retention(snapshot: Snapshot, rules: Mapping[str, Reading[Rules]]) -> Iterator[Finding]:
    """Something is removed one day, by the same rules on every member, and it has been removed."""
    for name, reading in rules.items():
        if not isinstance(reading, Known):
            yield unread("what is kept could not be read", reading, name)
    read = {name: reading.value for name, reading in rules.items() if isinstance(reading, Known)}
    stanza = _stanza(snapshot)
    if not read or stanza is None:
        return
    for number in sorted({repo.key for repo in stanza.repositories}):
        theirs = {name: each.get(number, Rule()) for name, each in read.items()}
        fulls = sorted(
            (item for item in stanza.backups if item.repo_key == number and item.kind == "full"),
            key=lambda item: item.stopped_at,
        )
        if len(set(theirs.values())) > 1:
            told = "; ".join(f"{name}: {_keeps(rule)}" for name, rule in theirs.items())
            yield warning(
                f"repository {number}: members keep by different rules, and whoever leads applies its own ({told})",
                next_step=f"the same repo{number}-retention-* in every member's pgbackrest.conf",
            )
        else:
            yield _judge(number, next(iter(theirs.values())), fulls, running=stanza.backup_running)


def _judge(number: int, rule: Rule, fulls: list[Backup], *, running: bool) -> Finding:
    there = (
        f"there are {len(fulls)}, the oldest of" if len(fulls) > 1 else "there is one, of" if fulls else "there is none"
    )
    if fulls:
        there += f" {format_time(fulls[0].stopped_at)}"
    if rule.host is not None:
        return skipped(f"repository {number}: {rule.host} keeps it, by its own configuration; full backups: {there}")
    if rule.full is None:
        return warning(
            f"repository {number}: repo{number}-retention-full is not set, so pgBackRest keeps every backup and all WAL for "
            f"ever; full backups: {there}",
            next_step=f"repo{number}-retention-full=N in every member's pgbackrest.conf, then pgops backup expire --dry-run",
            full_count=len(fulls),
        )
    text = f"repository {number}: {_keeps(rule)}; {there}"
    numbers: dict[str, Any] = {"full_count": len(fulls), "kept_count": None if rule.by_days else rule.full}
    if not rule.by_days and len(fulls) > rule.full and not running:
        return warning(f"{text}: more than are to be kept", next_step="pgops backup expire --dry-run", **numbers)
    return ok(text, **numbers)


def _keeps(rule: Rule) -> str:
    if rule.full is None:
        return f"the rules of {rule.host}" if rule.host else "keeps everything"
    parts = [f"keeps full backups of {rule.full} days" if rule.by_days else f"keeps {rule.full} full backups"]
    if rule.diff is not None:
        parts.append(f"{rule.diff} differential ones")
    if rule.archive is not None:
        parts.append(f"WAL of the newest {rule.archive}")
    return ", ".join(parts)


def _stanza(snapshot: Snapshot) -> StanzaFacts | None:
    """As the lock holder sees it, else any member."""
    nodes = sorted(snapshot.nodes, key=lambda node: node.name != snapshot.leader)
    return next((facts for node in nodes if (facts := known(node.stanza)) is not None), None)
