"""What leaves the archive: the loser's WAL under the survivor's number, each file only once it is kept."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from pgops.hosts.remote.answering import Fault
from pgops_recover.remote import quarantine
from pgops_recover.remote.segments import segment_name

SIZE = 1 << 20
TOP = "archive/demo/15-1"


class Site:
    """A repository in a directory, and a kept copy."""

    def __init__(self, top: Path) -> None:
        self.top, self.keep = top, top / "keep"
        for name in ("wal", "data/pg_wal"):
            (self.keep / name).mkdir(parents=True)
        (top / "repo" / TOP).mkdir(parents=True)
        self.program = top / "pgbackrest"
        self.refuses()

    def refuses(self, command: str = "none") -> None:
        """From now on this command fails."""
        self.program.write_text(
            f"#!/bin/sh\ncd {self.top}/repo || exit 1\n"
            '[ "$1 $2" = "--stanza=demo --repo=1" ] || exit 31\n'
            f'[ "$3" != {command} ] || {{ echo "ERROR: [056]: not now" >&2; exit 56; }}\n'
            'case $3 in repo-ls) ls "$4" ;; repo-rm) rm -f "$4" ;;\n'
            f'archive-get) cat {TOP}/*/"$4"-* >"$5" || exit 1 ;; *) exit 1 ;; esac\n'
        )
        self.program.chmod(0o755)

    def store(self, number: int, content: bytes, timeline: int = 2) -> str:
        """A file in the archive; its path there."""
        name = segment_name(timeline, number * SIZE, SIZE)
        path = f"{TOP}/{name[:16]}/{name}-{hashlib.sha1(content, usedforsecurity=False).hexdigest()}.gz"
        (self.top / "repo" / path).parent.mkdir(exist_ok=True)
        (self.top / "repo" / path).write_bytes(content)
        return path

    def keep_file(self, number: int, content: bytes, place: str = "wal") -> None:
        """The copy has this file."""
        (self.keep / place / segment_name(2, number * SIZE, SIZE)).write_bytes(content)

    def stored(self) -> set[str]:
        """What the archive has."""
        top = self.top / "repo"
        return {str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()}

    def run(self, **more: object) -> dict[str, Any]:
        """What the program answers."""
        wish = {
            "keep": str(self.keep),
            "repository": [str(self.program), "--stanza=demo"],
            "get": [str(self.program), "--stanza=demo"],
            "places": [[1, "15-1"]],
            "stanza": "demo",
            "timeline": 2,
            "from": f"0/{5 * SIZE + 100:X}",
            "segment_bytes": SIZE,
            "survivors": [],
            "foreign": [],
            "barring": [],
            "wrote": True,
        }
        return quarantine.quarantine({**wish, **more})


def test_what_is_kept_goes_and_what_is_not_known_stays(tmp_path: Path) -> None:
    site = Site(tmp_path)
    shared = site.store(4, b"before the fork")
    other = site.store(7, b"on another timeline", timeline=1)
    own = [site.store(5, b"loser 5"), site.store(6, b"loser 6")]
    survivors = site.store(7, b"survivor 7")
    unknown = site.store(8, b"whose is it")
    for number, content in ((4, b"before the fork"), (5, b"loser 5"), (7, b"loser 7")):
        site.keep_file(number, content)
    site.keep_file(6, b"loser 6", "data/pg_wal")
    sha1 = hashlib.sha1(b"survivor 7", usedforsecurity=False).hexdigest()
    told = site.run(survivors=[sha1])
    assert site.stored() == {shared, other, survivors, unknown}
    assert [item["path"] for item in told["removed"]] == own
    assert told["stayed"] == [{"repository": 1, "path": unknown}]
    assert json.loads((site.keep / "archive.json").read_text()) == told


def test_what_only_the_archive_has_is_fetched_first(tmp_path: Path) -> None:
    site = Site(tmp_path)
    path = site.store(6, b"recycled there")
    site.run(foreign=[path])
    assert site.stored() == set()
    assert (site.keep / "wal" / segment_name(2, 6 * SIZE, SIZE)).read_bytes() == b"recycled there"


def test_other_content_under_that_name_is_kept_beside_it(tmp_path: Path) -> None:
    site = Site(tmp_path)
    path = site.store(6, b"an earlier content")
    site.keep_file(6, b"what it has now")
    site.run(foreign=[path])
    assert site.stored() == set()
    name = segment_name(2, 6 * SIZE, SIZE)
    assert (site.keep / "wal" / name).read_bytes() == b"what it has now"
    assert (site.keep / "archive" / name).read_bytes() == b"an earlier content"


def test_the_survivors_own_stays_even_where_the_copy_has_it_too(tmp_path: Path) -> None:
    site = Site(tmp_path)
    path = site.store(6, b"on both")
    site.keep_file(6, b"on both")
    site.run(survivors=[hashlib.sha1(b"on both", usedforsecurity=False).hexdigest()], foreign=[path])
    assert site.stored() == {path}


def test_what_a_loser_that_streamed_has_as_well_may_be_the_survivors(tmp_path: Path) -> None:
    """The survivor archived it, and recycled its own file; the loser had it by streaming."""
    site = Site(tmp_path)
    streamed, own = site.store(5, b"the survivor's"), site.store(6, b"its own")
    site.keep_file(5, b"the survivor's", "data/pg_wal")
    site.keep_file(6, b"its own")
    told = site.run(wrote=False, foreign=[own])
    assert site.stored() == {streamed}
    assert told["stayed"] == [{"repository": 1, "path": streamed}]


@pytest.mark.parametrize("command", ["repo-ls", "repo-rm", "archive-get"])
def test_cut_off_anywhere_it_goes_on_and_forgets_nothing(tmp_path: Path, command: str) -> None:
    site = Site(tmp_path)
    first, second = site.store(5, b"loser 5"), site.store(6, b"recycled there")
    site.keep_file(5, b"loser 5")
    site.refuses(command)
    with pytest.raises(Fault, match=rf"{command}.*exit code 56.*not now"):
        site.run(foreign=[second])
    assert not (site.keep / "archive.json").exists()
    site.refuses()
    told = site.run(foreign=[second])
    assert [item["path"] for item in told["removed"]] == [first, second]
    assert site.stored() == set() and site.run() == told


def test_a_removal_without_effect_is_not_believed(tmp_path: Path) -> None:
    site = Site(tmp_path)
    path = site.store(5, b"loser 5")
    site.keep_file(5, b"loser 5")
    site.program.write_text(site.program.read_text().replace('rm -f "$4"', "true"))
    with pytest.raises(Fault, match="the archive still has"):
        site.run()
    assert site.stored() == {path}


@pytest.mark.parametrize("kept", [True, False])
def test_a_partial_file_in_the_place_of_the_survivors_goes(tmp_path: Path, kept: bool) -> None:
    """Where the branches share no number, nothing else of the archive is touched."""
    site = Site(tmp_path)
    others = site.store(5, b"whatever it is")
    name = f"{segment_name(1, 4 * SIZE, SIZE)}.partial"
    sha1 = hashlib.sha1(b"as far as it went", usedforsecurity=False).hexdigest()
    path = f"{TOP}/{name[:16]}/{name}-{sha1}.gz"
    (site.top / "repo" / path).parent.mkdir(exist_ok=True)
    (site.top / "repo" / path).write_bytes(b"as far as it went")
    if kept:
        (site.keep / "data/pg_wal" / name).write_bytes(b"as far as it went")
    wish = {"timeline": None, "from": None, "barring": [[1, path, name, sha1]]}
    site.refuses("repo-rm")
    with pytest.raises(Fault, match="not now"):
        site.run(**wish)
    site.refuses()
    told = site.run(**wish)
    assert told == {"schema": 1, "removed": [{"repository": 1, "path": path}], "stayed": []}
    assert site.stored() == {others} and site.run(**wish) == told
    assert kept or (site.keep / "archive" / name).read_bytes() == b"as far as it went"
