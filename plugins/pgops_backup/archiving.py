"""Judges whether WAL comes into the repository: PostgreSQL's settings, and a segment that was really pushed. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pgops.checks import Finding, critical, ok, skipped, unknown, unread, warning
from pgops.observe.facts import Setting
from pgops.observe.snapshot import Node, Snapshot
from pgops.readings import Known, Reading, Skipped, Unknown, known, reason, within

_LANDED = re.compile(r"WAL segment ([0-9A-F]{24}) successfully archived to .* on repo(\d+)")
_EDIT = "patronictl edit-config: archive_command 'pgbackrest --stanza={stanza} archive-push %p'"


@dataclass(frozen=True)
class Push:
    """A round trip that was tried on `host`. `landed` is (repository, segment); `fault` says why it did not end well."""

    host: str
    took_s: float
    landed: tuple[tuple[int, str], ...] = ()
    fault: str | None = None
    next_step: str | None = None


def parse_landed(told: str) -> tuple[tuple[int, str], ...]:
    """The segments that `pgbackrest check` says came into which repository. Source: src/command/check/check.c."""
    return tuple((int(repository), segment) for segment, repository in _LANDED.findall(told))


def choose_pusher(snapshot: Snapshot) -> Reading[str]:
    """On which member's host a push can be tried: the one that holds the lock and takes writes."""
    if snapshot.leader is None:
        why = reason(snapshot.keys)
        return Unknown(f"no member is known to hold the leader lock{f': {why}' if why else ''}")
    if len(snapshot.primaries) > 1:
        return Unknown("several members take writes")
    node = snapshot.node(snapshot.leader)
    if node is None or not node.is_primary:
        return Unknown(f"{snapshot.leader} holds the leader lock, and is not seen to take writes")
    if snapshot.leader not in {host.name for host in snapshot.cluster.hosts}:
        return Unknown(f"no host is configured for {snapshot.leader}, the leader")
    return Known(snapshot.leader)


def find_push(push: Reading[Push]) -> Iterator[Finding]:
    """A WAL segment of the leader was switched, archived, and found in every repository."""
    if isinstance(push, Skipped):
        yield skipped(push.reason)
        return
    if not isinstance(push, Known):
        yield unread("no push was tried", push)
        return
    tried = push.value
    if tried.fault is not None:
        yield critical(
            tried.fault, tried.host, next_step=tried.next_step or "pgbackrest check there", took_s=tried.took_s
        )
    elif not tried.landed:
        text = "pgbackrest check ended well, and names no segment that came into a repository"
        yield unknown(text, tried.host, next_step="pgbackrest check there; pgops health --check archiving")
    else:
        told = ", ".join(f"{segment} came into repository {number}" for number, segment in tried.landed)
        yield ok(f"WAL segment {told} in {tried.took_s:.1f} s", tried.host, took_s=tried.took_s)


def find_settings(snapshot: Snapshot) -> Iterator[Finding]:
    """archive_mode and archive_command of each member push into this stanza: any of them may lead next."""
    primaries = ", ".join(node.name for node in snapshot.primaries)
    if len(snapshot.primaries) > 1:
        yield critical(
            f"several members take writes and push into one stanza, a split brain: {primaries}",
            next_step="pgops health; back up nothing before it is settled, and force nothing into the archive",
        )
    good = []
    for node in snapshot.nodes:
        reading = within(node.sql, lambda sql: sql.settings)
        settings = known(reading)
        if settings is None:
            yield unread("its settings could not be read", reading, node.name)
            continue
        fault = _fault(settings, snapshot, node)
        if fault is None:
            good.append(node.name)
            continue
        text, next_step = fault
        level = critical if node.is_primary else warning
        tail = "" if node.is_primary else " (it counts as soon as it leads)"
        yield level(f"{text}{tail}", node.name, next_step=next_step)
    if good:
        yield ok(f"{', '.join(good)}: archive_command pushes into stanza {snapshot.cluster.stanza}")


def _fault(settings: Mapping[str, Setting], snapshot: Snapshot, node: Node) -> tuple[str, str] | None:
    """What is wrong with the settings, and what to do; None: nothing is."""
    stanza = snapshot.cluster.stanza
    edit = _EDIT.format(stanza=stanza)
    mode = settings.get("archive_mode")
    if mode is None or mode.value == "off":
        by_hand = mode is not None and (mode.source_file or "").endswith("postgresql.auto.conf")
        step = (
            "ALTER SYSTEM RESET archive_mode, then restart it" if by_hand else "patronictl edit-config, then a restart"
        )
        return "archive_mode is off: no WAL is archived, so no backup can be made or restored to a point in time", step
    library = settings.get("archive_library")
    if library is not None and library.value:
        return f"archive_library {library.value!r} takes the place of archive_command", "empty archive_library"
    command = settings["archive_command"].value if "archive_command" in settings else ""
    words = _words(command)
    if not any("pgbackrest" in word for word in words) or "archive-push" not in words:
        return f"archive_command {_short(command)} does not push with pgBackRest", edit
    named = _option(words, "stanza")
    if named is not None and named != stanza:
        return f"archive_command pushes into stanza {named}, not into {stanza}", edit
    config = next((host.pgbackrest_config for host in snapshot.cluster.hosts if host.name == node.name), None)
    own = _option(words, "config")
    if own is not None and config is not None and own != config:
        step = "compare the two, and pgbackrest_config in pgops.yml"
        return f"archive_command reads {own}, and pgops is told to read {config}", step
    return None


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:  # an unbalanced quote
        return command.split()


def _option(words: list[str], name: str) -> str | None:
    """The value of `--NAME=VALUE` or `--NAME VALUE`."""
    for index, word in enumerate(words):
        if word.startswith(f"--{name}="):
            return word.partition("=")[2]
        if word == f"--{name}" and index + 1 < len(words):
            return words[index + 1]
    return None


def _short(command: str) -> str:
    text = command.strip() or "(empty)"
    return repr(text if len(text) <= 120 else f"{text[:117]}...")


LEFT_OUT: Reading[Push] = Skipped("left out by --no-push: whether WAL really reaches the repository is not known")
