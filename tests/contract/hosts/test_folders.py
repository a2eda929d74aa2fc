"""Folders that are carried, here and over SSH: whole, compared, in pieces, and as they were where something went wrong."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from contract.hosts.conftest import Acted
from pgops.hosts.fence import FencedOff
from pgops.hosts.folders import NotCarried, Way, carry_folder
from pgops.hosts.host import Host, HostFault
from pgops.hosts.process import CommandResult
from pgops.hosts.programs import command_of
from pgops.hosts.remote import folder
from pgops.hosts.remote.files import stamp_of

FILES = {
    "REPORT.md": b"# report\n",
    "empty.csv": b"",
    "app/public.t.csv": bytes(range(256)) * 8,
    "app/public.with space%2F.csv": b'1,"a\n""b"""\r\n',
    "app.sql": b"BEGIN;\n",
}


def _fill(top: Path, files: dict[str, bytes]) -> Path:
    """A folder of whoever owns the place that it lies in."""
    for name, content in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(content)
    for path in (top, *top.rglob("*")):
        os.chown(path, top.parent.stat().st_uid, -1)
    return top


def _files(top: Path) -> dict[str, bytes]:
    found = {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}
    return {name: content for name, content in found.items() if not name.startswith(".pgops-")}


def _carry(acted: Acted, source: Path, path: Path, *, host: Any = None, token: int = 5, **options: Any) -> None:
    """From that host to itself, or to `host`."""
    whole = options.pop("whole", True)
    carry_folder(
        Way(acted.host, str(source), host or acted.host, str(path), whole=whole, identity=acted.identity),
        **{"stamp": None, "timeout_s": 60.0, "piece_bytes": 1000, **options},
        fence=acted.fence(token),
    )


def test_it_arrives_whole_and_for_its_owner_alone(acted: Acted) -> None:
    source, target = _fill(acted.place / "a", FILES), acted.place / "place" / "folder"
    _carry(acted, source, target, stamp=stamp_of(str(source)))
    assert _files(target) == FILES
    assert json.loads((target / ".pgops-listing").read_text())["stamp"] == stamp_of(str(source))
    assert not [path for path in (target.parent, *target.rglob("*")) if path.stat().st_mode & 0o077], (
        "others may read it"
    )
    (source / "app.sql").unlink()
    (source / "new").write_bytes(b"n")
    _carry(acted, source, target)
    assert _files(target) == _files(source), "what is not there any more goes"


def test_files_come_among_others_and_the_record_comes_last(acted: Acted) -> None:
    source = _fill(acted.place / "a", {"app/t.deleted.csv": b"new", "applied.json": b"{}"})
    target = _fill(acted.place / "b", {"app/t.deleted.csv": b"old", "app/t.csv": b"rows"})
    _carry(acted, source, target, whole=False)
    assert _files(target) == {"app/t.deleted.csv": b"new", "app/t.csv": b"rows", "applied.json": b"{}"}
    assert sorted(path.name for path in target.iterdir()) == ["app", "applied.json"], "something is left"


def test_what_was_changed_since_it_was_looked_at_stays(acted: Acted) -> None:
    source, target = _fill(acted.place / "a", FILES), acted.place / "b"
    stamp = stamp_of(str(source))
    (source / "applied.json").write_bytes(b"what its scripts write counts for nothing")
    assert stamp_of(str(source)) == stamp
    (source / "app.sql").write_bytes(b"BEGIN!\n")
    with pytest.raises(NotCarried, match="was changed since it was looked at"):
        _carry(acted, source, target, stamp=stamp)
    assert not target.exists()


def test_what_is_no_file_is_not_followed(acted: Acted) -> None:
    source = _fill(acted.place / "a", FILES)
    (source / "app" / "link").symlink_to("/etc/passwd")
    with pytest.raises(NotCarried, match=r"app/link is not a file"):
        _carry(acted, source, acted.place / "b")
    with pytest.raises(NotCarried, match="No such file"):
        _carry(acted, acted.place / "nothing", acted.place / "b")
    assert not (acted.place / "b").exists()


class Spoiled:
    """A host on whose way something happens at the n-th command."""

    def __init__(self, host: Host, at: int, spoil: Any) -> None:
        self.name, self._host, self._left, self._spoil = host.name, host, at, spoil

    def run(self, argv: Sequence[str], **options: Any) -> CommandResult:
        self._left -= 1
        if self._left == 0:
            options = self._spoil(options)
        return self._host.run(argv, **options)

    def address(self) -> str | None:
        return None

    def close(self) -> None:
        pass


def _cut(_options: dict[str, Any]) -> dict[str, Any]:
    raise HostFault("the connection was lost")


def _flip(options: dict[str, Any]) -> dict[str, Any]:
    return {**options, "stdin": bytes(each ^ 1 for each in options["stdin"])}


def _shorten(options: dict[str, Any]) -> dict[str, Any]:
    return {**options, "stdin": options["stdin"][:-1]}


@pytest.mark.parametrize("spoil", [_flip, _shorten])
def test_what_does_not_arrive_as_it_was_sent_counts_for_nothing(acted: Acted, spoil: Any) -> None:
    source, target = _fill(acted.place / "a", FILES), _fill(acted.place / "b", {"old": b"x"})
    broken = Spoiled(acted.host, 3, spoil)
    with pytest.raises(NotCarried, match="did not arrive as it was sent"):
        _carry(acted, source, target, host=broken)
    assert _files(target) == {"old": b"x"}


def test_cut_off_anywhere_it_begins_anew(acted: Acted) -> None:
    source, target = _fill(acted.place / "a", FILES), acted.place / "b"
    size = sum(map(len, FILES.values()))
    commands = 2 + -(-size // 1000)
    for at in range(1, commands + 1):
        broken = Spoiled(acted.host, at, _cut)
        with pytest.raises(HostFault, match="the connection was lost"):
            _carry(acted, source, target, host=broken)
        assert not target.exists()
    _carry(acted, source, target)
    assert _files(target) == FILES and not (acted.place / "b.coming").exists()


def test_a_disk_is_not_filled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A twentieth of it stays free, beside what comes."""
    listing = json.dumps({"stamp": "", "files": [["x", 700, ""]]}).encode()
    wish = json.dumps({"stage": "begin", "path": str(tmp_path / "b"), "whole": True})
    mask = os.umask(0o077)
    try:
        for free, code in ((1_699, 74), (1_700, 0)):
            disk = SimpleNamespace(total=20_000, used=20_000 - free, free=free)
            monkeypatch.setattr(shutil, "disk_usage", lambda _path, disk=disk: disk)
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(listing)))
            assert folder.main([wish]) == code
            assert (tmp_path / "b.coming").exists() is (code == 0)
    finally:
        os.umask(mask)


def test_a_run_that_was_overtaken_writes_nothing(acted: Acted) -> None:
    source = _fill(acted.place / "a", FILES)
    _carry(acted, source, acted.place / "b", token=7)
    with pytest.raises(FencedOff):
        _carry(acted, source, acted.place / "c", token=6)
    assert not (acted.place / "c").exists()


def test_a_listing_that_leads_elsewhere_is_refused(acted: Acted) -> None:
    listing = {"stamp": "", "files": [["../out", 1, hashlib.sha256(b"x").hexdigest()]]}
    wish = {"stage": "begin", "path": str(acted.place / "b"), "whole": True}
    argv, sent = command_of("pgops.hosts.remote.folder", wish), json.dumps(listing).encode()
    said = acted.host.run(argv, identity=acted.identity, stdin=sent)
    assert (
        said.exit_code == 74 and "would lie outside of the folder" in said.stderr and not (acted.place / "out").exists()
    )
