"""Takes out of the archive what a loser pushed under a name which the survivor uses as well, once it is kept.

An archive has one file of a name: as long as the loser's is there, the survivor's is refused, and its archiving stands still.
Called with one JSON document: `keep` (the directory of the copy), `repository` and `get` (the words of pgBackRest before a
command on the repository, and before archive-get), `places` ([repository, archive id] each), `stanza`, `timeline`, `from`
(where the branches part; null for both: they share no number), `segment_bytes`, `survivors` (SHA-1s of what is the
survivor's), `foreign` (paths of files that are certainly not), and `barring` ([repository, path, name, SHA-1] of `.partial`
files in the place of the survivor's). A file goes only where the copy has the very same content, and that the archive does
not have it any more is seen. What the copy has is the loser's own only of one that `wrote` that timeline to the last: one
that streamed has the survivor's as well. May be repeated. Makes `KEEP/archive.json`: what went, and what stayed since it
cannot be told whose it is.
Source: pgBackRest, src/command/archive/push/file.c (a stored segment's name ends in the SHA-1 of its raw content).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from pgops.hosts.remote.answering import Fault, answer
from pgops.hosts.remote.durable import rename_durably, write_durably
from pgops_recover.remote.segments import byte_position, segment_name

_STORED = re.compile(r"([0-9A-F]{24})-([0-9a-f]{40})(?:\.\w+)?")
_COMMAND_S = 600


def main(words: list[str]) -> int:
    """Do it, and print what was done as JSON. 74 and a sentence where it cannot be done."""
    return answer(lambda: quarantine(json.loads(words[0])))


def quarantine(wish: Mapping[str, Any]) -> dict[str, Any]:
    """What went, and what stayed. Raises `Fault` or OSError; then it may be called again."""
    done = f"{wish['keep']}/archive.json"
    if not os.path.exists(done):
        going = f"{wish['keep']}/archive.going"
        stayed = []
        foreign = {*wish["foreign"], *(path for _, path, _, _ in wish["barring"])}
        for repo, path, name, sha1 in (*_barring(wish), *_stored(wish)):
            if sha1 in wish["survivors"]:
                continue
            certain = path in foreign
            if (certain or wish["wrote"]) and (
                _is_kept(wish, name, sha1) or (certain and _keep(wish, repo, name, sha1))
            ):
                _note(going, f"{repo} {path}")
                _ask(wish["repository"], repo, "repo-rm", path)
            else:
                stayed.append({"repository": repo, "path": path})
        gone = _noted(going)
        left = {f"{repo} {path}" for repo, path, _, _ in (*_barring(wish), *_stored(wish))} & gone
        if left:
            raise Fault(f"the archive still has {', '.join(sorted(left))}")
        removed = [{"repository": int(repo), "path": path} for repo, path in map(str.split, sorted(gone))]
        write_durably(done, json.dumps({"schema": 1, "removed": removed, "stayed": stayed}, indent=2))
    with open(done, encoding="utf-8") as file:
        found: dict[str, Any] = json.load(file)
    return found


def _barring(wish: Mapping[str, Any]) -> Iterator[tuple[int, str, str, str]]:
    """Those that are still there."""
    for repo, path, name, sha1 in wish["barring"]:
        directory, _, file = path.rpartition("/")
        if file in _ask(wish["repository"], repo, "repo-ls", directory).split():
            yield repo, path, name, sha1


def _stored(wish: Mapping[str, Any]) -> Iterator[tuple[int, str, str, str]]:
    """(repository, path, segment, SHA-1) of each stored segment of the timeline that ends behind the fork."""
    if wish["timeline"] is None:
        return
    size = int(wish["segment_bytes"])
    first = segment_name(int(wish["timeline"]), byte_position(wish["from"]), size)
    for repo, archive_id in wish["places"]:
        top = f"archive/{wish['stanza']}/{archive_id}"
        for directory in _ask(wish["repository"], repo, "repo-ls", top).split():
            if not re.fullmatch(r"[0-9A-F]{16}", directory) or first[:8] != directory[:8] or directory < first[:16]:
                continue
            for file in _ask(wish["repository"], repo, "repo-ls", f"{top}/{directory}").split():
                match = _STORED.fullmatch(file)
                if match and match[1] >= first:
                    yield repo, f"{top}/{directory}/{file}", match[1], match[2]


def _is_kept(wish: Mapping[str, Any], name: str, sha1: str) -> bool:
    places = (f"{wish['keep']}/{place}/{name}" for place in ("wal", "data/pg_wal", "archive"))
    return any(os.path.exists(place) and _sha1(place) == sha1 for place in places)


def _keep(wish: Mapping[str, Any], repo: int, name: str, sha1: str) -> bool:
    """Fetch it into the copy, where its WAL is read from if the member itself does not have the file any more."""
    folder = f"{wish['keep']}/wal"
    fresh = f"{folder}/{name}.new"
    if os.path.lexists(fresh):
        os.unlink(fresh)
    _ask(wish["get"], repo, "archive-get", name, fresh)
    if _sha1(fresh) != sha1:
        os.unlink(fresh)
        return False
    if name.endswith(".partial") or os.path.exists(f"{folder}/{name}"):
        folder = f"{wish['keep']}/archive"
        os.makedirs(folder, exist_ok=True)
    with open(fresh, "rb") as file:
        os.fsync(file.fileno())
    rename_durably(fresh, f"{folder}/{name}")
    return True


def _note(path: str, line: str) -> None:
    """What goes is written down before it does: one that is cut off here must not forget it."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(f"{line}\n")
        file.flush()
        os.fsync(file.fileno())


def _noted(path: str) -> set[str]:
    if not os.path.exists(path):
        return set()
    with open(path, encoding="utf-8") as file:
        return set(file.read().splitlines())


def _ask(words: list[str], repo: int, command: str, *parameters: str) -> str:
    """What the command of pgBackRest prints. Raises `Fault`."""
    argv = [*words, f"--repo={repo}", command, *parameters]
    try:
        said = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_COMMAND_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise Fault(f"pgbackrest {command} gave no answer within {_COMMAND_S} s") from None
    if said.returncode != 0:
        told = (said.stderr or said.stdout).strip()[-300:]
        raise Fault(f"pgbackrest {command} {parameters[0]}: exit code {said.returncode}: {told}")
    return said.stdout


def _sha1(path: str) -> str:
    digest = hashlib.sha1(usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
