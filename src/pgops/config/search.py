"""Where a configuration is looked for, and what to say when there is none."""

from __future__ import annotations

import os.path
from collections.abc import Mapping
from pathlib import Path

from pgops.errors import ConfigError
from pgops.render.text import printable

SYSTEM_FILE = "/etc/pgops/pgops.yml"
DEBIAN_FILES = ("/etc/patroni/config.yml", "/etc/patroni/patroni.yml")
_SMALLEST = """a pgops.yml such as
version: 1
clusters:
  demo:
    dcs: {kind: etcd3, endpoints: ["db1.example:2379", "db2.example:2379"]}"""


def find(path: str | None, environ: Mapping[str, str]) -> str | None:
    """The path of the first that there is; None: none, but the environment itself describes Patroni. Raises `ConfigError`.

    What is named (`-c`, PGOPS_CONFIG, PATRONICTL_CONFIG_FILE) counts whether it exists or not. Debian's files count
    only where this user may read them.
    """
    if path or environ.get("PGOPS_CONFIG"):
        return path or environ["PGOPS_CONFIG"]
    own = _own_directory(environ) or ""
    # a home that is closed to us is not ours: some sudo keep the caller's HOME
    places = [f"{own}/pgops/pgops.yml"] if own and os.path.exists(f"{own}/pgops/pgops.yml") else []  # noqa: PTH110
    places += [SYSTEM_FILE] if _exists(SYSTEM_FILE) else []
    if not places and environ.get("PATRONICTL_CONFIG_FILE"):
        return environ["PATRONICTL_CONFIG_FILE"]
    if own and os.path.exists(f"{own}/patroni/patronictl.yaml"):  # noqa: PTH110 - as above
        places.append(f"{own}/patroni/patronictl.yaml")
    places += [place for place in DEBIAN_FILES if os.access(place, os.R_OK)]
    if places or environ.get("PATRONI_CONFIGURATION") or environ.get("PATRONI_SCOPE"):
        return places[0] if places else None
    raise _nothing_found(own)


def _own_directory(environ: Mapping[str, str]) -> str | None:
    """The user's configuration directory. A relative XDG_CONFIG_HOME is void; XDG Base Directory Specification 0.8."""
    given = environ.get("XDG_CONFIG_HOME", "")
    if given.startswith("/"):
        return given.rstrip("/")
    home = environ.get("HOME") or os.path.expanduser("~")  # noqa: PTH111 - may be no home at all
    return f"{home.rstrip('/')}/.config" if home.startswith("/") else None


def _exists(path: str) -> bool:
    """It is there, as far as this user may look: what may not be looked at is not passed over in silence."""
    try:
        os.stat(path)  # noqa: PTH116 - tells "not there" from "may not look"
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True


def _nothing_found(own: str) -> ConfigError:
    places = [f"{own or '~/.config'}/pgops/pgops.yml", SYSTEM_FILE, "PATRONICTL_CONFIG_FILE (not set)"]
    places += [f"{own or '~/.config'}/patroni/patronictl.yaml", *DEBIAN_FILES]
    notes, hints = [], []
    for place in DEBIAN_FILES:
        if _exists(place):
            notes.append(f"{place} may be there, but this user may not read it")
            hints.append("as postgres: sudo -u postgres pgops ...")
    others = _patroni_files()
    if others:
        hints.append(f"pgops -c {printable(others[0])} ...")
    places[:0] = ["-c/--config (not given)", "PGOPS_CONFIG (not set)"]
    hints += ["to practise: pgops lab up", _SMALLEST]
    return ConfigError(
        "there is no configuration",
        why="\n".join(["none of these can be read:", *places, *notes]),
        next_step="\nor ".join(dict.fromkeys(hints)),
    )


def _patroni_files() -> list[str]:
    """Debian's patroni@NAME: /etc/patroni/NAME.yml. Which one is meant is for the user to say."""
    try:
        found = sorted(str(each) for each in Path(DEBIAN_FILES[0]).parent.glob("*.yml"))
    except OSError:
        return []
    return [each for each in found if os.access(each, os.R_OK) and Path(each).name != "dcs.yml"]
