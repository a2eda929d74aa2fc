"""What a job is on its host: a process that leads a session, watches the job in it, and keeps its account in a directory.

The directory holds `process` (pid, start time, boot id: a pid alone may be another's by now), `started` (ISO 8601), `log`,
and at the end `exit`. It is made aside and then renamed to the job's name, at which only one of any number can succeed: that
is the once-only key, and a directory of that name always tells of a process that was there. Source of the fields of
/proc/PID/stat: man 5 proc.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from pgops.hosts.fence import state_directory
from pgops.hosts.host import HostFault, Identity
from pgops.hosts.jobs import JobState
from pgops.hosts.scripts import FIND_HOME, MAKE_PRIVATE

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")

_FAIL = 'fail() { echo "$1" >&2; exit 74; }\n'

_BORN = """
# The start time of the process $1, in ticks since boot; false when there is none. Its name may hold blanks and brackets.
born() {
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
    set -- ${line##*) }
    [ "$1" != Z ] || return 1
    start=${20} session=$4
}
"""

RUNNER = (
    _FAIL
    + FIND_HOME
    + MAKE_PRIVATE
    + _BORN
    + """
jobs=$1 name=$2
shift 2
mask=$(umask)
umask 077
find_home "$jobs" && jobs=$found
make_private "${jobs%/*}"
make_private "$jobs"
new=$jobs/.$name.$$
rm -rf -- "$new"
mkdir -- "$new" || exit 74
born $$
[ "$session" = $$ ] || fail "the job does not lead a session"
boot=$(cat /proc/sys/kernel/random/boot_id)
{ echo "$$ $start $boot" >"$new/process" && date -u +%Y-%m-%dT%H:%M:%S+00:00 >"$new/started" && : >"$new/log" &&
    sync -- "$new/process" "$new/started" "$new"; } || { rm -rf -- "$new"; fail "$new cannot be written"; }
if ! mv -T -- "$new" "$jobs/$name" 2>/dev/null; then
    rm -rf -- "$new"
    [ -d "$jobs/$name" ] || fail "$jobs/$name cannot be made"
    exit 0
fi
sync -- "$jobs"
exec >>"$jobs/$name/log" 2>&1 </dev/null
# Caught here, and so at its default in the job: all of the session gets the signal, and the end is still written down.
trap : TERM HUP INT
umask "$mask"
"$@"
code=$?
umask 077
echo "$code" >"$jobs/$name/exit.new" && sync -- "$jobs/$name/exit.new" && mv -fT -- "$jobs/$name/exit.new" "$jobs/$name/exit"
sync -- "$jobs/$name"
exit "$code"
"""
)
"""Arguments: the jobs' directory, the name, the command. Must be started as the leader of a new session."""

# The substitution ends when the runner, and nothing but it, has turned its output to the log: the name is taken by then.
START_SESSION = """
said=$(setsid -f sh -c "$@" 2>&1 </dev/null)
[ -z "$said" ] || { echo "$said" >&2; exit 74; }
"""

_LOOK = (
    _FAIL
    + FIND_HOME
    + _BORN
    + """
jobs=$1 name=$2
find_home "$jobs" && jobs=$found
job=$jobs/$name
# Sets $state, $code, $pid and $started.
look() {
    state=ended code=- pid=- started=-
    if [ ! -d "$job" ]; then
        if [ -d "$jobs" ] && [ ! -x "$jobs" ]; then fail "$jobs is not ours to enter"; fi
        state=absent
        return
    fi
    read -r started <"$job/started" && read -r leader since boot <"$job/process" || fail "$job tells of no process"
    [ ! -e "$job/exit" ] || { read -r code <"$job/exit"; return; }
    read -r now </proc/sys/kernel/random/boot_id
    [ "$boot" = "$now" ] || return 0
    if born "$leader"; then
        [ "$start" != "$since" ] || { state=running pid=$leader; }
    else
        # A session's number is given to nobody else while one process of it lives.
        for each in /proc/[0-9]*; do
            if born "${each#/proc/}" && [ "$session" = "$leader" ]; then state=running pid=$leader; return; fi
        done
    fi
    # It may have ended by itself just now.
    [ ! -e "$job/exit" ] || { state=ended pid=-; read -r code <"$job/exit"; }
}
look
"""
)

LIST = (
    _LOOK.removesuffix("look\n")
    + """
if [ -d "$jobs" ] && [ ! -x "$jobs" ]; then fail "$jobs is not ours to enter"; fi
for job in "$jobs"/*; do
    [ -d "$job" ] || continue
    look
    echo "${job##*/} $state $code $pid $started $(tail -c "$3" -- "$job/log" | base64 -w 0)"
done
"""
)
"""The second argument counts for nothing here; the third is how many bytes of each log are told."""

STATE = _LOOK + 'echo "$state $code $pid $started"\n'

LOG = _LOOK + '[ "$state" = absent ] || tail -c "$3" -- "$job/log"\n'

STOP = (
    _LOOK
    + """
[ "$state" = running ] || exit 0
kill -s TERM -- "-$pid" || exit 74
left=$3
while [ "$left" -gt 0 ]; do
    sleep 0.2
    look
    [ "$state" = running ] || exit 0
    left=$((left - 1))
done
fail "the job still runs"
"""
)
"""The third argument counts fifths of a second to wait."""

FORGET = (
    _LOOK
    + """
[ "$state" != running ] || fail "the job runs"
[ "$state" != absent ] || exit 0
gone=$jobs/.$name.gone.$$
mv -T -- "$job" "$gone" && rm -rf -- "$gone" && sync -- "$jobs" || exit 74
"""
)


def checked_name(name: str) -> str:
    """The name, fit for a file and a unit. Raises `HostFault`."""
    if not _NAME.fullmatch(name):
        raise HostFault(f"{name!r} is not the name of a job")
    return name


def jobs_directory(state_dir: str | None, identity: Identity) -> str:
    """Where the jobs of this identity are."""
    return f"{state_directory(state_dir, identity)}/jobs"


def script_argv(script: str, state_dir: str | None, identity: Identity, name: str, *more: str) -> list[str]:
    """The command line of one of the scripts above."""
    return ["sh", "-c", script, "pgops-job", jobs_directory(state_dir, identity), checked_name(name), *more]


def runner_argv(state_dir: str | None, identity: Identity, name: str, argv: Sequence[str]) -> list[str]:
    """The command line of the process that leads and watches the job."""
    return script_argv(RUNNER, state_dir, identity, name, *argv)


def parse_state(output: str) -> JobState:
    """What `STATE` printed. Raises `HostFault`."""
    words = output.split()
    if len(words) == 4 and words[0] == "absent":
        return JobState("absent")
    try:
        state, code, pid, started = words
        started_at = datetime.fromisoformat(started)
        exit_code = None if code == "-" else int(code)
        if state == "running":
            return JobState("running", None, started_at, int(pid))
        if state == "ended":
            return JobState("ended", exit_code, started_at, None)
    except ValueError:
        pass
    raise HostFault(f"the job's account on the host is damaged: {output.strip()[:200]!r}")
