"""When the last transaction in archived WAL ended: segments are fetched into a private directory and read there.

Recovery to a time stops before the first transaction that ended later, committed or not; so what can be reached ends just
below the greatest time of an end. Sources: PostgreSQL, xlogrecovery.c, recoveryStopsBefore and getRecordTimestamp;
src/bin/pg_waldump; src/backend/access/rmgrdesc/xactdesc.c (the text of its records).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pgops.hosts.host import Host, HostFault, Identity
from pgops.hosts.process import CommandResult
from pgops.observe.fields import ShapeFault, iso_moment
from pgops.observe.lsn import format_lsn
from pgops.readings import Known, Reading, Unknown
from pgops.render.text import printable

# Arguments: pg_waldump, the timeline under whose name files are kept (pg_waldump takes all of a run to be of one), where
# to stop (an LSN, or nothing), the number of segments, these (newest first), and the command that fetches, without
# segment and destination. A record may reach into the segment behind, which is therefore kept until the one before is read.
_SCRIPT = """
umask 077
LC_ALL=C TZ=UTC0; export LC_ALL TZ
above=${TMPDIR:-/tmp}
find "$above" -maxdepth 1 -type d -name 'pgops-window-*' -user "$(id -un)" -mmin +60 -exec rm -rf -- {} + 2>/dev/null
directory=$(mktemp -d -- "$above/pgops-window-XXXXXXXX") || exit 74
trap 'rm -rf -- "$directory"' EXIT
trap 'exit 75' HUP INT TERM PIPE
waldump=$1 timeline=$2 leave=$3 count=$4
shift 4
segments=
while [ "$count" -gt 0 ]; do segments="$segments $1"; shift; count=$((count - 1)); done
behind= further=
for segment in $segments; do
    name=$timeline${segment#????????}
    "$@" "$segment" "$directory/$name" || { echo "fetch $? $segment"; exit 0; }
    [ -z "$further" ] || leave=
    {
        "$waldump" --rmgr=Transaction ${leave:+"--end=$leave"} "$directory/$name" \\
            ${behind:+"$directory/$behind"} 2>"$directory/said"
        echo "dump $? $segment"
    } | sed -n -e '/^dump /p' -e 's/^.* desc: \\(COMMIT\\|ABORT\\)[A-Z_]* \\([0-9]*: \\)\\{0,1\\}'\\
'\\([-0-9]\\{10\\}\\) \\([:0-9]*\\.[0-9]*\\) UTC.*$/end \\3T\\4+00:00 \\1/p' | sort | sed -n '1p; 1!{$p}' >"$directory/found"
    cat "$directory/found"
    ! grep -q '^end ' "$directory/found" || exit 0
    sed -n 's/^/said /; 1p' "$directory/said"
    [ -z "$behind" ] || { rm -f -- "$directory/$behind"; further=1; }
    behind=$name
done
"""

_STARTED = (0, 1)
"""pg_waldump ends with 1 where the last record goes on in a segment that is not there, which is usual."""


@dataclass(frozen=True)
class LastEnd:
    """The last end of a transaction in `read` segments; `at` None: none of them holds one. `committed` False: it aborted.

    `segment` is the oldest of those that were read.
    """

    at: datetime | None
    committed: bool
    read: int
    segment: str


def read_last_end(
    host: Host,
    waldump: str,
    fetch_argv: Sequence[str],
    names: Sequence[str],
    *,
    leave_bytes: int | None = None,
    timeout_s: float,
) -> Reading[LastEnd]:
    """Read these segments, newest first, until one holds the end of a transaction.

    `fetch_argv` is pgBackRest's archive-get without segment and destination; `leave_bytes` is where the newest segment goes
    on as another history, None: it is read wholly. The segments lie in a directory of their own on the host meanwhile,
    which only their owner can read; what a host that went down left there goes with a look an hour later.
    """
    if not names:
        return Unknown("there is no segment to look into")
    leave = format_lsn(leave_bytes) if leave_bytes is not None else ""
    limit = f"{timeout_s:.0f}"
    script = ["sh", "-c", _SCRIPT, "pgops-window", waldump, names[0][:8], leave, str(len(names)), *names, *fetch_argv]
    try:
        # In a session of its own it outlives us for the moment that it needs to remove its directory.
        argv = ["setsid", "-w", "timeout", "-k", "5", limit, *script]
        answer = host.run(argv, identity=Identity.OWNER, timeout_s=timeout_s + 10)
        if answer.exit_code in (124, 137, None):
            return Unknown(f"fetching and reading {names[0]} took longer than {limit} s")
        if not answer.ok:
            return Unknown(f"reading {names[0]}: {printable(answer.fault)}")
        return parse_last_end(answer)
    except HostFault as fault:
        return Unknown(str(fault))
    except ShapeFault as fault:
        return Unknown(f"pg_waldump: {fault}")


def parse_last_end(answer: CommandResult) -> Reading[LastEnd]:
    """What the script printed: `dump CODE SEGMENT` for each that was read, `end TIME KIND`, or `fetch CODE SEGMENT`.

    Raises `ShapeFault`.
    """
    read = 0
    segment = ""
    said: set[str] = set()
    for line in answer.stdout.splitlines():
        word, _, rest = line.partition(" ")
        if word == "fetch":
            code, _, name = rest.partition(" ")
            lines = [each for each in answer.stderr.splitlines() if each.strip()]
            why = f": {printable(lines[-1].strip()[:300])}" if lines else ""
            missing = " (it is not in the archive of the present database)" if code == "1" else ""
            return Unknown(f"pgbackrest archive-get {name}: exit code {code}{missing}{why}")
        if word == "dump":
            code, _, segment = rest.partition(" ")
            read += 1
            if code not in map(str, _STARTED):
                return Unknown(f"pg_waldump cannot be run (exit code {code}); bin_dir in pgops.yml says where it is")
        elif word == "end":
            at, _, kind = rest.partition(" ")
            return Known(LastEnd(iso_moment(at), kind == "COMMIT", read, segment))
        elif word == "said":
            said.add(rest)
    if not read:
        raise ShapeFault("the reader printed nothing")
    if read == len(said) and all("could not find a valid record" in line for line in said):
        return Unknown(f"pg_waldump finds no record in {segment}; is it of this PostgreSQL's version (bin_dir)?")
    return Known(LastEnd(None, False, read, segment))
