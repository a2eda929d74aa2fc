"""The branch of WAL that a data directory is on: its history files, whether a postmaster uses it, and its true end.

Sources: PostgreSQL, src/bin/pg_ctl (status: 0 runs, 3 does not, 4 no usable directory); src/bin/pg_waldump, which ends at the
end of WAL with the place at which no further record begins; FACTS of pg_controldata as in `pgops.observe.host`; util-linux,
mountpoint.
"""

from __future__ import annotations

import re
from base64 import b64decode

from pgops.hosts.host import Host, HostFault, Identity
from pgops.hosts.remote.program_paths import program_in
from pgops.observe.branch_facts import BranchFacts
from pgops.observe.lsn import parse_lsn
from pgops.observe.snapshot import Node
from pgops.observe.timelines import Path, path_to
from pgops.readings import Known, Reading, Unknown, known
from pgops.render.text import printable

_READ = r"""
export LC_ALL=C
data=$1 bin=$2
[ -e "$data/PG_VERSION" ] || { [ ! -d "$data" ] || [ -x "$data" ] || exit 77; echo absent; exit 0; }
command -v "${bin}pg_ctl" >/dev/null || {
    echo "there is no ${bin}pg_ctl; set hosts.NAME.bin_dir in pgops.yml" >&2
    exit 74
}
"${bin}pg_ctl" -D "$data" status >/dev/null 2>&1
case $? in 0) echo serving ;; 3) echo idle ;; *) echo "pg_ctl cannot say whether $data is used" >&2; exit 74 ;; esac
for file in "$data"/pg_wal/*.history; do
    [ ! -f "$file" ] || printf 'history %s %s\n' "${file##*/}" "$(base64 -w 0 <"$file")"
done
fixed() { printf 'fixed %s\n' "$(printf '%s %s' "$1" "$2" | base64 -w 0)"; }
for place in "$data" "$data/pg_wal" "$data"/pg_tblspc/*; do
    if [ "$place" != "$data" ]; then
        [ -L "$place" ] || continue
        place=$(readlink -- "$place")
    elif [ -L "$place" ]; then
        fixed "$place" 'is a link: name the directory itself as hosts.NAME.data_dir'
    fi
    above=${place%/*}
    [ -w "${above:-/}" ] || fixed "$place" "lies in a directory that PostgreSQL's user may not write"
    ! mountpoint -q -- "$place" || fixed "$place" 'is a mount point'
done
"${bin}pg_ctl" -D "$data" status >/dev/null 2>&1 && exit 0
control=$("${bin}pg_controldata" -D "$data") || exit 74
told() { printf '%s\n' "$control" | sed -n "s/^Latest checkpoint's $1: *//p"; }
timeline=$(told TimeLineID)
said=$("${bin}pg_waldump" -q -p "$data/pg_wal" -t "$timeline" -s "$(told 'REDO location')" 2>&1 | tail -n 1)
printf 'end %s %s\n' "$timeline" "$said"
"""

_PLACE = re.compile(r"(?: at |after )([0-9A-F]{1,8}/[0-9A-F]{1,8})")
_HISTORY = re.compile(r"([0-9A-F]{8})\.history")


def read_branch(host: Host, data_dir: str, bin_dir: str | None, *, timeout_s: float) -> Reading[BranchFacts]:
    """The branch of the directory; works whether PostgreSQL runs or not."""
    bin_prefix = program_in(bin_dir, "")
    try:
        argv = ["sh", "-c", _READ, "pgops-branch", data_dir.rstrip("/"), bin_prefix]
        answer = host.run(argv, identity=Identity.OWNER, timeout_s=timeout_s)
        if not answer.ok:
            return Unknown(f"the branch of {data_dir}: {printable(answer.fault)}")
        return Known(parse_branch(answer.stdout))
    except (HostFault, ValueError) as fault:
        return Unknown(f"the branch of {data_dir}: {fault}")


def wal_end(node: Node) -> tuple[int, int] | None:
    """(timeline, position in bytes) at which the member's WAL ends, by its server, else by its files; None: not known."""
    sql, facts = known(node.sql), known(node.branch)
    astray = _end_astray(node)
    if astray is not None:
        return astray
    if sql is not None and sql.timeline is not None:
        # What was replayed from files lies past what was received, and the other way round.
        told = (sql.receive_bytes, sql.replay_bytes) if sql.in_recovery else (sql.flush_bytes,)
        end_bytes = max((place for place in told if place is not None), default=None)
        return None if end_bytes is None else (sql.timeline, end_bytes)
    if facts is None or facts.serving or facts.end_timeline is None or facts.end_bytes is None:
        return None
    return facts.end_timeline, facts.end_bytes


def _end_astray(node: Node) -> tuple[int, int] | None:
    """Where a standby came to on a timeline that ended before that, by the history of the one that it says it is on.

    A former leader that crashed and is started as a standby replays its own WAL to its end, past the fork, before it
    streams: there is no minimum recovery point yet that PostgreSQL could compare. From then on it says the other timeline,
    looks well, and has rows of its own. Source: PostgreSQL, xlogrecovery.c (InitWalRecovery, SwitchIntoArchiveRecovery).
    """
    sql, facts, control = known(node.sql), known(node.branch), known(node.control)
    if sql is None or not sql.in_recovery or sql.timeline is None or facts is None or control is None:
        return None
    timeline, reached = control.minimum_recovery_timeline, control.minimum_recovery_bytes
    if timeline is None or reached is None or (sql.timeline > 1 and sql.timeline not in facts.histories):
        return None
    try:
        path = path_to(sql.timeline, facts.histories)
    except ValueError:
        return None
    ends_bytes = next((piece.ends_bytes for piece in path if piece.timeline == timeline), None)
    return (timeline, reached) if ends_bytes is not None and ends_bytes < reached else None


def path_of(node: Node) -> Path:
    """How the member came to its present timeline; empty where that is not known. Raises ValueError for a bad history."""
    facts, end = known(node.branch), wal_end(node)
    if facts is None or not facts.there or end is None or (end[0] > 1 and end[0] not in facts.histories):
        return ()
    return path_to(end[0], facts.histories)


def parse_branch(output: str) -> BranchFacts:
    """The output of the script. Raises ValueError."""
    lines = output.splitlines()
    if lines == ["absent"]:
        return BranchFacts(there=False, serving=False)
    if not lines or lines[0] not in ("serving", "idle"):
        raise ValueError(f"not what was asked for: {output[:100]!r}")
    histories, end_bytes, end_timeline, fixed = {}, None, None, []
    for line in lines[1:]:
        word, _, rest = line.partition(" ")
        if word == "history":
            name, _, content = rest.partition(" ")
            match = _HISTORY.fullmatch(name)
            if match:
                histories[int(match[1], 16)] = b64decode(content, validate=True).decode("utf-8", "replace")
        elif word == "fixed":
            fixed.append(printable(b64decode(rest, validate=True).decode("utf-8", "replace")))
        elif word == "end":
            timeline, _, said = rest.partition(" ")
            places = _PLACE.findall(said)
            if timeline.isdecimal() and places:
                end_timeline, end_bytes = int(timeline), parse_lsn(places[-1])
    return BranchFacts(True, lines[0] == "serving", histories, end_bytes, end_timeline, tuple(fixed))
