"""Refuses commands of a run that another one has overtaken: the host itself remembers the highest token it has seen.

A token is the DCS revision at which the lock was taken, so a later run has a higher one. The file is one for each cluster
and each user that commands run as: what root is asked does not show to the owner of PostgreSQL's files, and the reverse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pgops.hosts.host import Host, HostFault, Identity
from pgops.hosts.process import CommandResult
from pgops.hosts.scripts import FIND_HOME, MAKE_PRIVATE
from pgops.render.text import printable

FENCED = 75
"""The exit code of a refusal; EX_TEMPFAIL of sysexits.h."""

UNUSABLE = 74
"""The exit code where the token could not be compared; EX_IOERR of sysexits.h."""

ROOT_STATE = "/var/lib/pgops"
OWN_STATE = "~/.local/state/pgops"

_WORDS = "pgops-fence: "

PASSED = f"{_WORDS}passed"
"""The line on standard error with which a fenced command begins: without it nothing was run, whatever else is said."""

# The lock is on the directory, so that the file can be replaced as a whole. Nothing of it is open in the command itself.
_SCRIPT = (
    f"""
fail() {{ echo "{_WORDS}$1" >&2; exit {UNUSABLE}; }}
"""
    + FIND_HOME
    + MAKE_PRIVATE
    + """
token=$1 file=$2
shift 2
mask=$(umask)
umask 077
find_home "$file" && file=$found
directory=${file%/*}
make_private "$directory"
exec 9<"$directory" && flock -w 10 9 || fail "the lock on $directory is not to be had"
seen=0
if [ -e "$file" ] || [ -L "$file" ]; then
    [ "$(stat -c '%u %A' -- "$file")" = "$me -rw-------" ] || fail "$file is not a file of ours with mode 0600"
    read -r seen <"$file" || fail "$file does not hold a token"
    case $seen in ''|*[!0-9]*) fail "$file does not hold a token" ;; esac
fi
if [ "$token" -lt "$seen" ]; then
    echo "pgops-fence: token $token is lower than $seen, another run has taken over" >&2
    exit 75
fi
if [ "$token" -gt "$seen" ]; then
    rm -f -- "$file.new"
    { printf '%s\\n' "$token" >"$file.new" && sync -- "$file.new" && mv -fT -- "$file.new" "$file" &&
        sync -- "$directory"; } || fail "$file cannot be written"
fi
exec 9<&-
umask "$mask"
"""
    + f"""echo '{PASSED}' >&2
exec "$@"
"""
)


class FencedOff(HostFault):
    """The host refused: it has seen a later run. Nothing was done."""


@dataclass(frozen=True)
class Fence:
    """The token of this run, for the cluster of `prefix` (Patroni's keys), on hosts with this `state_dir`."""

    token: int
    prefix: str
    state_dir: str | None = None

    def file(self, identity: Identity) -> str:
        """Where the token stands for commands of this identity."""
        return fence_file(self.state_dir, identity, self.prefix)


def state_directory(state_dir: str | None, identity: Identity) -> str:
    """Where pgops keeps its own files there for this identity; one that begins with `~/` lies in that user's home."""
    if state_dir is not None:
        return f"{state_dir.rstrip('/')}/{identity.value}"
    return ROOT_STATE if identity is Identity.ROOT else OWN_STATE


def fence_file(state_dir: str | None, identity: Identity, prefix: str) -> str:
    """The file that remembers the token for the cluster whose keys lie under `prefix`."""
    from urllib.parse import quote

    name = quote(prefix.strip("/"), safe="")
    if len(name) > 200:  # a file name has at most 255 bytes
        from hashlib import sha256

        name = sha256(name.encode()).hexdigest()
    return f"{state_directory(state_dir, identity)}/fence-{name}"


def fenced(argv: Sequence[str], *, token: int, file: str) -> list[str]:
    """`argv`, run only while no higher token than `token` stands in `file`."""
    return ["sh", "-c", _SCRIPT, "pgops-fence", str(token), file, *argv]


def run_fenced(
    host: Host,
    argv: Sequence[str],
    *,
    fence: Fence,
    identity: Identity = Identity.LOGIN,
    timeout_s: float | None = None,
    stdin: bytes | None = None,
) -> CommandResult:
    """Run `argv` there behind the fence. Raises `FencedOff`, and `HostFault` where the fence could not be asked."""
    wrapped = fenced(argv, token=fence.token, file=fence.file(identity))
    result = host.run(wrapped, identity=identity, timeout_s=timeout_s, stdin=stdin)
    before, passed, stderr = result.stderr.partition(f"{PASSED}\n")
    said = (before.splitlines() or [""])[-1]  # a tool of the script's may have said something before
    if not passed and said.startswith(_WORDS):
        said = printable(said[len(_WORDS) :])
        if result.exit_code == FENCED:
            raise FencedOff(said)
        if result.exit_code == UNUSABLE:
            raise HostFault(f"the fence on the host: {said}")
    return CommandResult(
        tuple(argv), result.exit_code, result.stdout, before + stderr, result.duration_s, result.truncated
    )
