"""What pgBackRest's own retention would remove now, as one host sees it: its dry run, which changes nothing.

The dry run takes pgBackRest's lock on that host for a moment: it is not to be read while a job of pgBackRest begins there.
Source of the words: pgBackRest 2.45 to 2.59, LOG_INFO and LOG_WARN in src/command/expire/expire.c and what it calls.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pgops.hosts.host import Host, HostFault
from pgops.observe.facts import ExpiringBackup, ExpiringHistory, ExpiringWal, ExpiryFacts
from pgops.observe.snapshot import Node, Snapshot
from pgops.pgbackrest.commands import Stanza, expire_argv
from pgops.pgbackrest.runner import run_pgbackrest
from pgops.readings import Known, Reading, Unknown, known

_LABEL = r"\d{8}-\d{6}F(?:_\d{8}-\d{6}[DI])?"
_LINE = re.compile(r"(?:[\d-]+ [\d:.]+ )?P\d+ +([A-Z]+): (\[DRY-RUN\] )?(.*)")
_BEGIN, _END = "expire command begin ", "expire command end: completed successfully"

_BACKUPS = re.compile(
    rf"repo(\d+): (?:expire (?:full|diff|time-based|adhoc) backup (?:set )?|remove expired backup )({_LABEL}(?:, {_LABEL})*)"
)
_WAL = re.compile(r"repo(\d+): (\S+) remove archive, start = ([0-9A-F]{16,24}), stop = ([0-9A-F]{16,24})")
_ARCHIVE = re.compile(r"repo(\d+): remove archive path (?:.*/)?([^/]+)")
_HISTORY = (
    (re.compile(r"repo(\d+): (\S+) remove history file (\S+)"), "timeline history {1} of {0}"),
    (re.compile(r"repo(\d+): remove expired backup history path (\d{4})"), "manifests of the gone backups of {0}"),
    (
        re.compile(rf"repo(\d+): remove expired backup history manifest ({_LABEL})\.manifest\S*"),
        "manifest of {0}, gone",
    ),
)
_UNLISTED = re.compile(rf"backup '({_LABEL})' missing manifest removed from backup\.info")

# Lines that remove nothing. Warnings about the configuration come from src/config, those about backup.info from src/info.
_KEEPS = re.compile(
    "|".join(
        (
            r"repo\d+: \S+ no archive to remove",
            r"repo\d+: time-based archive retention not met - archive logs will not be expired",
            r"option '\S+' is not set - archive logs will not be expired",
            r"repo\d+: expire oldest overrides configured time-based retention .*",
            r"repo\d+: expire oldest requested but no eligible full backup to expire",
        )
    )
)
_WARNS = re.compile(
    "|".join(
        (
            r"option '\S+' is not set for .*",
            r"option '\S+' is deprecated",
            r"option '\S+' without option '\S+' = .*",
            r"'compress' and 'compress-type' options should not both be set",
            r"WAL segments will not be expired: .*",
            r"environment contains invalid (?:negate |reset )?option .*",
            r"configuration file contains .*",
            r"key '.*' value '.*' is overwritten with .*",
            r"backup '\S+' found in repository added to backup\.info",
            r"invalid backup '\S+' cannot be added to current backups",
            r"unable to open log file .*",
        )
    )
)
_CONTINUED = re.compile(r"\s+(?:HINT|NOTE): ")
_REMOVES = re.compile(r"\b(?:expir|remov|delet|prun|drop)", re.IGNORECASE)
_QUIET = frozenset({"DETAIL", "DEBUG", "TRACE"})
_QUOTED = 200


def read_expiries(snapshot: Snapshot, hosts: Mapping[str, Host]) -> Snapshot:
    """The snapshot with `expiry` of each member whose stanza was read."""
    nodes = tuple(replace(node, expiry=_read(snapshot, node, hosts.get(node.name))) for node in snapshot.nodes)
    return replace(snapshot, nodes=nodes)


def _read(snapshot: Snapshot, node: Node, host: Host | None) -> Reading[ExpiryFacts]:
    if known(node.stanza) is None or host is None or snapshot.cluster.stanza is None:
        return node.expiry if known(node.stanza) else node.stanza  # type: ignore[return-value] # it is not Known
    config = next(item for item in snapshot.cluster.hosts if item.name == node.name)
    argv = expire_argv(Stanza(snapshot.cluster.stanza, config.pgbackrest_config), dry_run=True)
    try:
        told = run_pgbackrest(host, argv, timeout_s=snapshot.cluster.timeouts.deep_command_s)
    except HostFault as fault:
        return Unknown(f"pgbackrest expire --dry-run: {fault}")
    return Known(parse_expiry(told.stdout))


def parse_expiry(output: str) -> ExpiryFacts:
    """The output of `pgbackrest expire --dry-run` at log level info.

    Every line of level info and above must be one that pgBackRest 2.45 to 2.59 says: of any other one nobody knows whether
    it removes something. So must the first and the last, which show that it was a dry run and came to its end.
    """
    told = _Told()
    for line in output.split("\n"):
        if not told.take(line) and told.fault is None:
            told.fault = f"pgBackRest says what this pgops does not know: {line.strip()[:_QUOTED]!r}"
    if told.fault is None and not (told.began and told.ended):
        told.fault = "pgBackRest did not say that it began a dry run and ended it well"
    order = sorted(told.backups, key=lambda item: (item.repo_key, item.label))
    return ExpiryFacts(tuple(order), tuple(told.wal), tuple(told.history), tuple(told.unlisted), told.fault)


@dataclass
class _Told:
    """What the lines tell, each thing once, in their order."""

    backups: dict[ExpiringBackup, None] = field(default_factory=dict)
    wal: dict[ExpiringWal, None] = field(default_factory=dict)
    history: dict[ExpiringHistory, None] = field(default_factory=dict)
    unlisted: dict[str, None] = field(default_factory=dict)
    began: bool = False
    ended: bool = False
    fault: str | None = None

    def take(self, line: str) -> bool:
        """Whether the line was understood."""
        match = _LINE.fullmatch(line)
        if match is None:
            return _CONTINUED.match(line) is not None or _REMOVES.search(line) is None
        level, dry, words = match.groups()
        if level in _QUIET:
            return True
        if level == "WARN" and _WARNS.fullmatch(words):
            return True
        return level in ("INFO", "WARN") and dry is not None and self._take_words(words)

    def _take_words(self, words: str) -> bool:
        if words.startswith(_BEGIN):
            self.began = True
        elif words.startswith(_END):
            self.ended = True
        elif match := _BACKUPS.fullmatch(words):
            self.backups.update((ExpiringBackup(int(match[1]), label), None) for label in match[2].split(", "))
        elif match := _WAL.fullmatch(words):
            self.wal[ExpiringWal(int(match[1]), match[2], match[3], match[4])] = None
        elif match := _ARCHIVE.fullmatch(words):
            self.wal[ExpiringWal(int(match[1]), match[2], None, None)] = None
        elif match := _UNLISTED.fullmatch(words):
            self.unlisted[match[1]] = None
        elif not _KEEPS.fullmatch(words):
            return self._take_history(words)
        return True

    def _take_history(self, words: str) -> bool:
        for pattern, clause in _HISTORY:
            if match := pattern.fullmatch(words):
                repo, *names = match.groups()
                self.history[ExpiringHistory(int(repo), clause.format(*names))] = None
                return True
        return False
