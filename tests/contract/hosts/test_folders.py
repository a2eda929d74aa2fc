"""Folders that are carried, here and over SSH: whole, compared, in pieces, and as they were where something went wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pgops.config.model import HostConfig, Timeouts
from pgops.hosts.factory import open_host
from pgops.hosts.fence import Fence, FencedOff
from pgops.hosts.folders import NotCarried, Way, carry_folder
from pgops.hosts.host import Host, HostFault, Identity
from pgops.hosts.process import CommandResult
from pgops.hosts.remote.files import stamp_of

FILES = {
    "REPORT.md": b"# report\n",
    "empty.csv": b"",
    "app/public.t.csv": bytes(range(256)) * 8,
    "app/public.with space%2F.csv": b'1,"a\n""b"""\r\n',
    "app.sql": b"BEGIN;\n",
}


@pytest.fixture
def host() -> Host:
    return open_host(HostConfig("here", become=None), Timeouts())


def _fill(top: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(content)
    return top


def _files(top: Path) -> dict[str, bytes]:
    found = {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}
    return {name: content for name, content in found.items() if not name.startswith(".pgops-")}


def _carry(host: Host, source: Path, path: Path, *, state: Path, token: int = 5, **options: Any) -> None:
    whole = options.pop("whole", True)
    carry_folder(
        Way(host, str(source), host, str(path), whole=whole, identity=Identity.LOGIN),
        **{"stamp": None, "timeout_s": 60.0, "piece_bytes": 1000, **options},
        fence=Fence(token, "/service/demo/", str(state)),
    )


def test_it_arrives_whole_and_for_its_owner_alone(host: Host, tmp_path: Path) -> None:
    source, target = _fill(tmp_path / "a", FILES), tmp_path / "place" / "folder"
    _carry(host, source, target, state=tmp_path, stamp=stamp_of(str(source)))
    assert _files(target) == FILES
    assert json.loads((target / ".pgops-listing").read_text())["stamp"] == stamp_of(str(source))
    assert not [path for path in (target.parent, *target.rglob("*")) if path.stat().st_mode & 0o077], (
        "others may read it"
    )
    (source / "app.sql").unlink()
    (source / "new").write_bytes(b"n")
    _carry(host, source, target, state=tmp_path)
    assert _files(target) == _files(source), "what is not there any more goes"


def test_files_come_among_others_and_the_record_comes_last(host: Host, tmp_path: Path) -> None:
    source = _fill(tmp_path / "a", {"app/t.deleted.csv": b"new", "applied.json": b"{}"})
    target = _fill(tmp_path / "b", {"app/t.deleted.csv": b"old", "app/t.csv": b"rows"})
    _carry(host, source, target, state=tmp_path, whole=False)
    assert _files(target) == {"app/t.deleted.csv": b"new", "app/t.csv": b"rows", "applied.json": b"{}"}
    assert sorted(path.name for path in target.iterdir()) == ["app", "applied.json"], "something is left"


def test_what_was_changed_since_it_was_looked_at_stays(host: Host, tmp_path: Path) -> None:
    source, target = _fill(tmp_path / "a", FILES), tmp_path / "b"
    stamp = stamp_of(str(source))
    (source / "applied.json").write_bytes(b"what its scripts write counts for nothing")
    assert stamp_of(str(source)) == stamp
    (source / "app.sql").write_bytes(b"BEGIN!\n")
    with pytest.raises(NotCarried, match="was changed since it was looked at"):
        _carry(host, source, target, state=tmp_path, stamp=stamp)
    assert not target.exists()


def test_what_is_no_file_is_not_followed(host: Host, tmp_path: Path) -> None:
    source = _fill(tmp_path / "a", FILES)
    (source / "app" / "link").symlink_to("/etc/passwd")
    with pytest.raises(NotCarried, match=r"app/link is not a file"):
        _carry(host, source, tmp_path / "b", state=tmp_path)
    with pytest.raises(NotCarried, match="No such file"):
        _carry(host, tmp_path / "nothing", tmp_path / "b", state=tmp_path)
    assert not (tmp_path / "b").exists()


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
def test_what_does_not_arrive_as_it_was_sent_counts_for_nothing(host: Host, tmp_path: Path, spoil: Any) -> None:
    source, target = _fill(tmp_path / "a", FILES), _fill(tmp_path / "b", {"old": b"x"})
    broken = Spoiled(host, 3, spoil)
    with pytest.raises(NotCarried, match="did not arrive as it was sent"):
        carry_folder(
            Way(host, str(source), broken, str(target), whole=True, identity=Identity.LOGIN),
            stamp=None,
            fence=Fence(5, "/service/demo/", str(tmp_path)),
            timeout_s=60.0,
            piece_bytes=1000,
        )
    assert _files(target) == {"old": b"x"}


def test_cut_off_anywhere_it_begins_anew(host: Host, tmp_path: Path) -> None:
    source, target = _fill(tmp_path / "a", FILES), tmp_path / "b"
    size = sum(map(len, FILES.values()))
    commands = 2 + -(-size // 1000)
    for at in range(1, commands + 1):
        broken = Spoiled(host, at, _cut)
        with pytest.raises(HostFault, match="the connection was lost"):
            carry_folder(
                Way(host, str(source), broken, str(target), whole=True, identity=Identity.LOGIN),
                stamp=None,
                fence=Fence(5, "/service/demo/", str(tmp_path)),
                timeout_s=60.0,
                piece_bytes=1000,
            )
        assert not target.exists()
    _carry(host, source, target, state=tmp_path)
    assert _files(target) == FILES and not (tmp_path / "b.coming").exists()


def test_a_run_that_was_overtaken_writes_nothing(host: Host, tmp_path: Path) -> None:
    source = _fill(tmp_path / "a", FILES)
    _carry(host, source, tmp_path / "b", state=tmp_path, token=7)
    with pytest.raises(FencedOff):
        _carry(host, source, tmp_path / "c", state=tmp_path, token=6)
    assert not (tmp_path / "c").exists()


def test_a_listing_that_leads_elsewhere_is_refused(host: Host, tmp_path: Path) -> None:
    from pgops.hosts.programs import command_of

    listing = {"stamp": "", "files": [["../out", 1, hashlib.sha256(b"x").hexdigest()]]}
    wish = {"stage": "begin", "path": str(tmp_path / "b"), "whole": True}
    said = host.run(command_of("pgops.hosts.remote.folder", wish), stdin=json.dumps(listing).encode())
    assert said.exit_code == 74 and "would lie outside of the folder" in said.stderr and not (tmp_path / "out").exists()
