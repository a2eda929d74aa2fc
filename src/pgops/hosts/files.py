"""Files on hosts: written as a whole and durably or not at all, and never through a symbolic link."""

from __future__ import annotations

from pgops.hosts.fence import Fence, run_fenced
from pgops.hosts.host import Host, HostFault, Identity
from pgops.hosts.process import CommandResult
from pgops.render.text import printable

READ_LIMIT_BYTES = 1024 * 1024

_FAILED = 74
_ABSENT = 66

_FAIL = f"""
fail() {{ echo "$1" >&2; exit {_FAILED}; }}
"""

# Input that ends early (a lost connection) must not pass for the whole, hence the size.
_WRITE = (
    _FAIL
    + """
path=$1 mode=$2 size=$3
directory=${path%/*}
umask 022
if [ ! -d "${directory:-/}" ]; then
    above=${directory%/*}
    [ -d "${above:-/}" ] || mkdir -- "$above" || exit 74
    mkdir -- "$directory" || [ -d "$directory" ] || exit 74
fi
[ ! -L "$directory" ] || fail "$directory is a symbolic link"
cd -P -- "${directory:-/}" || exit 74
if [ "$(id -u)" = 0 ]; then
    case $(stat -c '%u %A' .) in
        '0 d'????-??-?) ;;
        '0 d'????????[tT]) ;;
        *) fail "$directory can be written by others than root" ;;
    esac
fi
name=${path##*/}
[ ! -L "$name" ] || fail "$path is a symbolic link"
[ ! -e "$name" ] || [ -f "$name" ] || fail "$path is not a file"
new=.$name.pgops-$$
trap 'rm -f -- "$new"' EXIT
umask 077
set -C
cat >"$new" || exit 74
[ "$(stat -c %s -- "$new")" = "$size" ] || fail "the content did not arrive as a whole"
chmod -- "$mode" "$new" && sync -- "$new" && mv -fT -- "$new" "$name" && sync . || exit 74
trap - EXIT
"""
)

_REMOVE = (
    _FAIL
    + """
path=$1
directory=${path%/*}
[ -e "$path" ] || [ -L "$path" ] || { stat -- "$path" 2>&1 | grep -q 'No such file\\|Not a directory' && exit 0; }
[ ! -L "$directory" ] || fail "$directory is a symbolic link"
cd -P -- "${directory:-/}" || exit 74
rm -f -- "${path##*/}" && sync . || exit 74
"""
)

_READ = f"""
path=$1 limit=$2
[ -e "$path" ] || {{ stat -- "$path" 2>&1 >/dev/null | grep -q 'No such file\\|Not a directory' && exit {_ABSENT}; }}
[ ! -e "$path" ] || [ -f "$path" ] || {{ echo "it is not a file" >&2; exit {_FAILED}; }}
head -c "$limit" -- "$path" >/dev/null || exit {_FAILED}
head -c "$limit" -- "$path" | base64 -w 0
"""


class NotWritten(HostFault):
    """The host answered that the file is as it was."""


def write_file(
    host: Host, path: str, content: bytes, *, mode: int, identity: Identity, fence: Fence, timeout_s: float
) -> None:
    """Give the file at `path` this content and mode, durably. Up to two missing directories above it are made (0755).

    Raises `NotWritten`, `FencedOff`, and `HostFault`: after a timeout or a lost connection it is the old or the new.
    """
    _check(path)
    argv = ["sh", "-c", _WRITE, "pgops-write", path, f"{mode:04o}", str(len(content))]
    result = run_fenced(host, argv, fence=fence, identity=identity, timeout_s=timeout_s, stdin=content)
    if not result.ok:
        raise _fault(result, f"writing {path}")


def remove_file(host: Host, path: str, *, identity: Identity, fence: Fence, timeout_s: float) -> None:
    """Remove the file at `path`, durably; one that is not there is fine. Raises as `write_file` does."""
    _check(path)
    argv = ["sh", "-c", _REMOVE, "pgops-remove", path]
    result = run_fenced(host, argv, fence=fence, identity=identity, timeout_s=timeout_s)
    if not result.ok:
        raise _fault(result, f"removing {path}")


def read_file(host: Host, path: str, *, identity: Identity, timeout_s: float) -> bytes | None:
    """The content of the file, None where there is none. Raises `HostFault`, also beyond `READ_LIMIT_BYTES`."""
    from base64 import b64decode

    _check(path)
    argv = ["sh", "-c", _READ, "pgops-read", path, str(READ_LIMIT_BYTES + 1)]
    result = host.run(argv, identity=identity, timeout_s=timeout_s)
    if result.exit_code == _ABSENT:
        return None
    if not result.ok:
        raise HostFault(f"reading {path}: {printable(result.fault)}")
    content = b64decode(result.stdout)
    if len(content) > READ_LIMIT_BYTES:
        raise HostFault(f"reading {path}: it has more than {READ_LIMIT_BYTES // 1024} KiB")
    return content


def _fault(result: CommandResult, what: str) -> HostFault:
    kind = NotWritten if result.exit_code == _FAILED else HostFault
    return kind(f"{what}: {printable(result.fault)}")


def _check(path: str) -> None:
    """Absolute, with no component that could lead elsewhere."""
    if not path.startswith("/") or path.endswith("/") or any(part in (".", "..") for part in path.split("/")):
        raise HostFault(f"{printable(path)!r} is not the absolute path of a file")
