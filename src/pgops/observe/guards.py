"""The guard before pg_rewind on one host: what it was told, which programs lie there, and whether Patroni calls it.

Sources: Patroni, patroni/config.py (`patroni.dynamic.json`: the dynamic configuration as the member last took it over; a
`bin_name` of its own file, or any `PATRONI_POSTGRESQL_BIN_` variable, takes the place of the dynamic one as a whole, and
`PATRONI_POSTGRESQL_BIN_DIR` that of the file's `bin_dir`); patroni/postgresql/__init__.py (`bin_dir` is taken over when
Patroni starts, and by no reload); proc(5), stat: the 22nd field is when a process began.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from pgops.clients.json_text import parse_json
from pgops.hosts.host import Host, HostFault, Identity
from pgops.observe.fields import ShapeFault, as_mapping, text
from pgops.observe.guard_facts import BindingFacts, GuardFacts
from pgops.readings import Known, Reading, Unknown
from pgops.render.text import printable

PROGRAMS = ("pg_rewind", "keep.py")
"""The files of the guard in its directory: what Patroni calls, and what that calls."""

_LOOK = r"""
told() { sed -n "s/^ *\"$1\": \"\([^\"\\\\]*\)\",\{0,1\}\$/\1/p" -- "$2"; }
names_programs() {
    ! sed 's/#.*//' -- "$1" 2>/dev/null | grep -q bin_name || printf 'override %s\n' "$(printf '%s' "$1" | base64 -w 0)"
}
settings=$1.pgops-guard.json
wanted=$2
if [ -f "$settings" ]; then
    printf 'settings %s\n' "$(head -c 65536 -- "$settings" | base64 -w 0)"
    wrapper=$(told wrapper "$settings")
    for name in pg_rewind keep.py; do
        program=${wrapper%/*}/$name
        [ -f "$program" ] || continue
        digest=unusable
        [ ! -x "$program" ] || digest=$(sha256sum <"$program")
        printf 'program %s %s\n' "$name" "${digest%% *}"
    done
    if [ "$(told by "$settings")" = bin_dir ]; then
        wanted=$(told file "$settings")
        find "${wrapper%/*}" -maxdepth 1 -type l -printf 'link %f %l\n'
        find "$(told bin_dir "$settings")/" -maxdepth 1 ! -type d -printf 'real %f\n'
    fi
fi
for try in 1 2 3 4; do
    # Patroni puts a new file in its place: there may be a moment in which nothing can be read there.
    [ -f "$1/patroni.dynamic.json" ] || break
    heard=$(head -c 1048576 -- "$1/patroni.dynamic.json" | base64 -w 0)
    [ -z "$heard" ] && [ "$try" != 4 ] || { printf 'heard %s\n' "$heard"; break; }
    sleep 0.1
done
if { read -r postmaster; read -r _; read -r since; } 2>/dev/null <"$1/postmaster.pid" && [ -d "/proc/$postmaster" ]; then
    printf 'postmaster %s:%s\n' "$postmaster" "$since"
fi
found=
read -r boot </proc/sys/kernel/random/boot_id
for cmdline in $(grep -lzE '(^|/)patroni$' /proc/[0-9]*/cmdline 2>/dev/null); do
    process=${cmdline%/cmdline}
    words=$(tr '\0' '\n' 2>/dev/null <"$cmdline") || continue
    file=$(printf '%s\n' "$words" | grep -E '^/.*\.ya?ml$' | tail -n 1)
    [ -n "$file" ] || continue
    [ "$wanted" = - ] || [ "$wanted" = "$file" ] || continue
    start=$(sed 's/^.*) //' 2>/dev/null <"$process/stat" | cut -d ' ' -f 20)
    [ -n "$start" ] || continue
    found=$file
    printf 'process %s:%s:%s\nfile %s\n' "${process#/proc/}" "$start" "$boot" "$(printf '%s' "$file" | base64 -w 0)"
    unit=$(sed -n 's|^.*/\([^/]*\.service\)$|\1|p' 2>/dev/null <"$process/cgroup" | head -n 1)
    if [ -n "$unit" ] && mode=$(systemctl show --property=KillMode --value -- "$unit" 2>/dev/null); then
        printf 'kill_mode %s\n' "$mode"
    fi
    ! grep -qsz '^PATRONI_POSTGRESQL_BIN_' "$process/environ" || echo override environment
    names_programs "$file"
done
file=$found
[ "$wanted" = - ] || file=$wanted
[ -n "$file" ] || exit 0
[ -n "$found" ] || names_programs "$file"
[ ! -O "$file" ] || [ ! -w "${file%/*}" ] || echo owned yes
record=$file.pgops-guard.json
if [ -e "$record" ]; then
    [ -r "$record" ] || { echo "$record cannot be read" >&2; exit 74; }
    stage=$(told stage "$record")
    written=$(told written "$record")
    digest=$(sha256sum 2>/dev/null <"$file")
    case $stage in
        bound) [ "${digest%% *}" = "$written" ] || stage=changed ;;
        restored) ;;
        *) stage=changed ;;
    esac
    printf 'stage %s\ndirectory %s\n' "$stage" "$(printf '%s' "$(told directory "$record")" | base64 -w 0)"
    sed -n 's/^ *"\([0-9]*:[0-9]*:[0-9a-f-]*\)",\{0,1\}$/deaf \1/p' -- "$record"
fi
exit 0
"""


def settings_path(data_dir: str) -> str:
    """Where the guard of this data directory reads what it may do."""
    return f"{data_dir.rstrip('/')}.pgops-guard.json"


def record_path(patroni_file: str) -> str:
    """Where stands what pgops noted when it wrote this file of Patroni's; the file as it was lies in `copy_path`."""
    return f"{patroni_file}.pgops-guard.json"


def copy_path(patroni_file: str) -> str:
    """The file as it was before pgops wrote it. Its name does not end as those that a Patroni takes for its own."""
    return f"{patroni_file}.pgops-guard-original"


def digests_of(programs: Mapping[str, str]) -> dict[str, str]:
    """The SHA-256 of each of the guard's programs (name to text)."""
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in programs.items()}


def rewind_name(config: Mapping[str, Any] | None) -> str | None:
    """What the dynamic configuration names in pg_rewind's place; None: nothing."""
    section = (config or {}).get("postgresql")
    names = section.get("bin_name") if isinstance(section, dict) else None
    name = names.get("pg_rewind") if isinstance(names, dict) else None
    return name if isinstance(name, str) else None


def read_guard(host: Host, data_dir: str, patroni_config: str | None, *, timeout_s: float) -> Reading[GuardFacts]:
    """The guard of the server in this data directory."""
    try:
        argv = ["sh", "-c", _LOOK, "pgops-guard", data_dir.rstrip("/"), patroni_config or "-"]
        answer = host.run(argv, identity=Identity.OWNER, timeout_s=timeout_s)
        if not answer.ok:
            return Unknown(f"the guard there: {printable(answer.fault)}")
        return Known(parse_guard(answer.stdout))
    except (HostFault, ShapeFault, ValueError) as fault:
        return Unknown(f"the guard there: {fault}")


def parse_guard(output: str) -> GuardFacts:
    """The script's output, a word and a value a line. Raises `ShapeFault` or ValueError."""
    told: dict[str, str] = {}
    many: dict[str, list[str]] = {}
    for line in output.splitlines():
        word, _, value = line.partition(" ")
        told[word] = value
        many.setdefault(word, []).append(value)
    overrides = {_decoded(value, "the environment of its Patroni") for value in many.get("override", ())}
    programs = dict(_pair(value) for value in many.get("program", ()))
    settings = heard = None
    if "settings" in told:
        settings = as_mapping(parse_json(b64decode(told["settings"], validate=True)), "the guard's settings")
        text(settings, "wrapper")
    if "heard" in told:
        heard = rewind_name(as_mapping(parse_json(b64decode(told["heard"], validate=True)), "patroni.dynamic.json"))
    return GuardFacts(settings, programs, heard, tuple(sorted(overrides)), _binding(settings, told, many))


def _binding(
    settings: Mapping[str, Any] | None, told: Mapping[str, str], many: Mapping[str, list[str]]
) -> BindingFacts:
    real = {name for name in many.get("real", ()) if name not in PROGRAMS}
    bin_dir = str((settings or {}).get("bin_dir") or "").rstrip("/")
    found = dict(_pair(value) for value in many.get("link", ()))
    links = {name for name, target in found.items() if target == f"{bin_dir}/{name}"}
    stage = told.get("stage")
    if stage not in (None, "bound", "restored", "changed"):
        raise ShapeFault(f"what was noted beside Patroni's file has no stage {stage!r}")
    return BindingFacts(
        files=tuple(sorted({_decoded(value, "") for value in many.get("file", ())})),
        processes=tuple(sorted(set(many.get("process", ())))),
        postmaster=told.get("postmaster"),
        kill_mode=told.get("kill_mode"),
        owned="owned" in told,
        stage=stage,  # type: ignore[arg-type] # one of the three, as seen above
        directory=_decoded(told["directory"], "") if "directory" in told else None,
        deaf=tuple(sorted(set(many.get("deaf", ())))),
        links=tuple(sorted(links)),
        missing=tuple(sorted(real - links)),
        stale=tuple(sorted(links - real)),
    )


def _pair(value: str) -> tuple[str, str]:
    name, _, rest = value.partition(" ")
    return name, rest


def _decoded(value: str, environment: str) -> str:
    return environment if value == "environment" else b64decode(value, validate=True).decode()
