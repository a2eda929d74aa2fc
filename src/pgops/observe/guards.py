"""The guard before pg_rewind on one host: what it was told, which programs lie there, and whether Patroni calls it.

Sources: Patroni, patroni/config.py (`patroni.dynamic.json`: the dynamic configuration as the member last took it over; a
`bin_name` of its own file, or any `PATRONI_POSTGRESQL_BIN_` variable, takes the place of the dynamic one as a whole).
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from pgops.clients.json_text import parse_json
from pgops.hosts.host import Host, HostFault, Identity
from pgops.observe.fields import ShapeFault, as_mapping, text
from pgops.observe.guard_facts import GuardFacts
from pgops.readings import Known, Reading, Unknown
from pgops.render.text import printable

PROGRAMS = ("pg_rewind", "keep.py")
"""The files of the guard in its directory: what Patroni calls, and what that calls."""

_LOOK = r"""
settings=$1.pgops-guard.json
if [ -f "$settings" ]; then
    printf 'settings %s\n' "$(head -c 65536 -- "$settings" | base64 -w 0)"
    wrapper=$(sed -n 's/^ *"wrapper": "\([^"\\]*\)",\{0,1\}$/\1/p' -- "$settings")
    for name in pg_rewind keep.py; do
        program=${wrapper%/*}/$name
        [ -f "$program" ] || continue
        digest=unusable
        [ ! -x "$program" ] || digest=$(sha256sum <"$program")
        printf 'program %s %s\n' "$name" "${digest%% *}"
    done
fi
for try in 1 2 3 4; do
    # Patroni puts a new file in its place: there may be a moment in which nothing can be read there.
    [ -f "$1/patroni.dynamic.json" ] || break
    heard=$(head -c 1048576 -- "$1/patroni.dynamic.json" | base64 -w 0)
    [ -z "$heard" ] && [ "$try" != 4 ] || { printf 'heard %s\n' "$heard"; break; }
    sleep 0.1
done
for process in /proc/[0-9]*; do
    words=$(tr '\0' '\n' 2>/dev/null <"$process/cmdline") || continue
    case $words in *patroni*) ;; *) continue ;; esac
    file=$(printf '%s\n' "$words" | grep -E '^/.*\.ya?ml$' | tail -n 1)
    [ -n "$file" ] || continue
    [ "$2" = - ] || [ "$2" = "$file" ] || continue
    ! grep -qsz '^PATRONI_POSTGRESQL_BIN_' "$process/environ" || echo override environment
    ! sed 's/#.*//' -- "$file" 2>/dev/null | grep -q bin_name || printf 'override %s\n' "$(printf '%s' "$file" | base64 -w 0)"
done
"""


def settings_path(data_dir: str) -> str:
    """Where the guard of this data directory reads what it may do."""
    return f"{data_dir.rstrip('/')}.pgops-guard.json"


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
    overrides, programs = set(), {}
    for line in output.splitlines():
        word, _, value = line.partition(" ")
        if word == "override":
            overrides.add("the environment of its Patroni" if value == "environment" else b64decode(value).decode())
        elif word == "program":
            name, _, programs[name] = value.partition(" ")
        else:
            told[word] = value
    settings = heard = None
    if "settings" in told:
        settings = as_mapping(parse_json(b64decode(told["settings"], validate=True)), "the guard's settings")
        text(settings, "wrapper")
    if "heard" in told:
        heard = rewind_name(as_mapping(parse_json(b64decode(told["heard"], validate=True)), "patroni.dynamic.json"))
    return GuardFacts(settings, programs, heard, tuple(sorted(overrides)))
