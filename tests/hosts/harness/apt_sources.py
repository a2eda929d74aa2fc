"""Where this machine gets Debian packages from, said again for another release of Debian.

The registry is never named here: what `/etc/apt` says at run time is used, so that a site's mirror serves the images too.
Sources: sources.list(5), both the one-line and the deb822 style.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hosts.harness.command import HarnessFault

_SUFFIX = re.compile(r"^(?P<codename>[a-z]+)(?P<pocket>-updates|-security|)$")


@dataclass(frozen=True)
class AptSource:
    """One place of packages: `suite` is a codename with or without a pocket (`trixie`, `trixie-security`)."""

    uri: str
    suite: str
    components: tuple[str, ...]


def read_sources(release: str, root: Path = Path("/")) -> tuple[AptSource, ...]:
    """This machine's own Debian sources, with its codename replaced by `release`; the main archive comes first.

    Raises `HarnessFault` where this machine has none (another distribution).
    """
    here = _codename(root)
    found = []
    for source in _machine_sources(root):
        match = _SUFFIX.match(source.suite)
        if match and match["codename"] == here and "main" in source.components:
            found.append(AptSource(source.uri, release + match["pocket"], ("main",)))
    found.sort(key=lambda source: source.suite != release)
    if not found or found[0].suite != release:
        raise HarnessFault(f"/etc/apt names no Debian archive for {here}, from which {release} could be reached")
    return tuple(dict.fromkeys(found))


def _codename(root: Path) -> str:
    for line in (root / "etc/os-release").read_text().splitlines():
        key, _, value = line.partition("=")
        if key == "VERSION_CODENAME":
            return value.strip('"')
    raise HarnessFault("/etc/os-release names no codename")


def _machine_sources(root: Path) -> Iterator[AptSource]:
    folder = root / "etc/apt/sources.list.d"
    for path in sorted([root / "etc/apt/sources.list", *folder.glob("*.list")]):
        if path.is_file():
            yield from _one_line_sources(path.read_text())
    for path in sorted(folder.glob("*.sources")):
        yield from _deb822_sources(path.read_text())


def _one_line_sources(text: str) -> Iterator[AptSource]:
    for line in text.splitlines():
        match = re.match(r"^deb\s+(?:\[[^]]*]\s+)?(\S+)\s+(\S+)\s+(.+)$", line.split("#")[0].strip())
        if match:
            yield AptSource(match[1].rstrip("/"), match[2], tuple(match[3].split()))


def _deb822_sources(text: str) -> Iterator[AptSource]:
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if not line.startswith("#")]
        fields: dict[str, str] = {}
        key = ""
        for line in lines:
            if line[:1].isspace():
                fields[key] = f"{fields.get(key, '')} {line.strip()}"
            elif ":" in line:
                key, _, value = line.partition(":")
                key = key.lower()
                fields[key] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes") == "no":
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield AptSource(uri.rstrip("/"), suite, tuple(fields.get("components", "").split()))
