"""The program that changes Patroni's own file on a host, beside a process that looks like that Patroni; and the links."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pgops.observe import guards
from pgops.observe.guard_facts import GuardFacts
from pgops.observe.guards import copy_path, parse_guard, record_path
from pgops_recover.programs import argv_of, source_of

YML = "name: n1\npostgresql:\n  bin_dir: /real  # programs\n  authentication:\n    superuser: {password: 'a secret'}\n"


class Bound:
    """A Patroni's file in a directory, and the directory of links that it is to name."""

    def __init__(self, top: Path, text: str = YML) -> None:
        self.top, self.file, self.directory = top, top / "etc/patroni.yml", str(top / "pgops-guard")
        self.file.parent.mkdir()
        self.file.write_bytes(text.encode())
        self.file.chmod(0o640)
        self.data = top / "data"
        self.data.mkdir()

    @contextmanager
    def patroni(self) -> Iterator[str]:
        """A process that was started as this Patroni; gives its id."""
        program = "import time; print('up', flush=True); time.sleep(60)"
        argv = [sys.executable, "-c", program, "/usr/bin/patroni", str(self.file)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stdout.readline()
            try:
                yield str(process.pid)
            finally:
                process.kill()

    def call(self, stage: str) -> subprocess.CompletedProcess[str]:
        wish = {"stage": stage, "file": str(self.file), "directory": self.directory}
        argv = [sys.executable, *argv_of("binding", wish)[1:], source_of("bin_dir")]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)

    def done(self, stage: str) -> None:
        ended = self.call(stage)
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout == ended.stderr == ""

    def refused(self, stage: str, said: str) -> None:
        before = {path.name: path.read_bytes() for path in self.file.parent.iterdir() if path.is_file()}
        ended = self.call(stage)
        assert ended.returncode == 74 and said in ended.stderr, ended
        assert "Traceback" not in ended.stderr and "secret" not in ended.stderr
        assert {path.name: path.read_bytes() for path in self.file.parent.iterdir() if path.is_file()} == before

    def look(self) -> GuardFacts:
        argv = ["sh", "-c", guards._LOOK, "pgops-guard", str(self.data), str(self.file)]
        said = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout
        assert "secret" not in said
        return parse_guard(said)

    @property
    def beside(self) -> set[str]:
        return {path.name for path in self.file.parent.iterdir()} - {self.file.name}


@pytest.fixture
def bound(tmp_path: Path) -> Bound:
    # As root it writes nothing where others may: pytest's directories are root's own then.
    return Bound(tmp_path)


def test_bound_and_restored_and_forgotten(bound: Bound) -> None:
    assert bound.look().binding.stage is None
    with bound.patroni() as pid:
        bound.done("bind")
        seen = bound.look().binding
        assert (seen.stage, seen.directory, seen.files) == ("bound", bound.directory, (str(bound.file),))
        assert seen.is_deaf and [name.partition(":")[0] for name in seen.processes] == [pid]
        text = bound.file.read_text()
        assert text == YML.replace("/real", f'"{bound.directory}"')
        assert Path(copy_path(str(bound.file))).read_text() == YML
        for path in (str(bound.file), copy_path(str(bound.file)), record_path(str(bound.file))):
            assert stat.S_IMODE(Path(path).stat().st_mode) == 0o640
        assert "secret" not in Path(record_path(str(bound.file))).read_text()
        bound.done("bind")
        assert bound.file.read_text() == text
        bound.refused("forget", "was not set back yet")
    with bound.patroni():
        assert bound.look().binding.stage == "bound" and not bound.look().binding.is_deaf
        bound.done("restore")
        assert bound.file.read_text() == YML and bound.beside == {"patroni.yml.pgops-guard.json"}
        assert bound.look().binding.stage == "restored" and bound.look().binding.is_deaf
        bound.done("restore")
    bound.done("forget")
    assert bound.beside == set() and bound.look().binding.stage is None
    bound.done("forget")


def test_a_restarted_patroni_is_told_from_the_one_before_by_its_start(bound: Bound) -> None:
    with bound.patroni():
        bound.done("bind")
        (deaf,) = bound.look().binding.deaf
        record = Path(record_path(str(bound.file)))
        pid, start, boot = deaf.split(":")
        record.write_text(record.read_text().replace(deaf, f"{pid}:{int(start) - 1}:{boot}"))
        assert not bound.look().binding.is_deaf, "the same number of a process, begun at another time"


def test_what_others_changed_meanwhile_stays(bound: Bound) -> None:
    with bound.patroni():
        bound.done("bind")
        bound.file.write_text(bound.file.read_text() + "tags: {nofailover: true}\n")
        assert bound.look().binding.stage == "changed"
        bound.done("bind")
        assert bound.look().binding.stage == "bound" and "nofailover" in bound.file.read_text()
        assert Path(copy_path(str(bound.file))).read_text() == YML + "tags: {nofailover: true}\n"
        bound.file.write_text(bound.file.read_text() + "# and more\n")
        bound.done("restore")
    assert bound.file.read_text() == YML + "tags: {nofailover: true}\n# and more\n"


def test_a_file_that_somebody_set_back_is_left_alone(bound: Bound) -> None:
    with bound.patroni():
        bound.done("bind")
        bound.file.write_text(YML.replace("/real", "/newer"))
        bound.done("restore")
    assert bound.file.read_text() == YML.replace("/real", "/newer")
    assert bound.look().binding.stage == "restored"


@pytest.mark.parametrize("stage", ["writing", "bound"])
def test_cut_off_while_writing_it_is_gone_on_with(bound: Bound, stage: str) -> None:
    """The record is written first, so it may name what was never written, or not yet who read it."""
    with bound.patroni():
        bound.done("bind")
        record = Path(record_path(str(bound.file)))
        record.write_text(record.read_text().replace('"bound"', f'"{stage}"'))
        if stage == "bound":
            bound.file.write_text(YML)
        assert bound.look().binding.stage == "changed"
        bound.done("bind")
        assert bound.look().binding.stage == "bound" and bound.look().binding.is_deaf
        record.write_text(record.read_text().replace('"bound"', '"writing"'))
        bound.done("restore")
        assert bound.file.read_text() == YML


def test_without_a_patroni_nobody_can_read_its_file(bound: Bound) -> None:
    bound.refused("bind", "no Patroni runs here that was started with")


def test_a_file_that_nobody_wrote_for_us_is_not_taken_over(bound: Bound) -> None:
    bound.file.write_text(YML.replace("/real", bound.directory))
    with bound.patroni():
        bound.refused("bind", "nothing says what it named before")


def test_what_is_no_plain_file_is_refused(tmp_path: Path) -> None:
    bound = Bound(tmp_path)
    real = bound.file.rename(bound.file.with_name("real"))
    bound.file.symlink_to(real)
    with bound.patroni():
        bound.refused("bind", "is a symbolic link")
        bound.file.unlink()
        os.link(real, bound.file)
        bound.refused("bind", "has another name as well")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "postgresql:\n  bin_dir: /b\npostgresql: {}\n",
            "cannot be changed with certainty: it says postgresql 2 times",
        ),
        ("postgresql:\n  password: 'secret\n", "cannot be changed with certainty: it is not one document of YAML"),
    ],
)
def test_what_cannot_be_changed_with_certainty_stays(tmp_path: Path, text: str, said: str) -> None:
    bound = Bound(tmp_path, text)
    with bound.patroni():
        bound.refused("bind", said)


def test_a_file_that_is_not_utf_8_stays(bound: Bound) -> None:
    bound.file.write_bytes(b"name: n\xe4\npostgresql:\n  bin_dir: /b\n")
    with bound.patroni():
        bound.refused("bind", "is not UTF-8")


def test_a_record_of_a_newer_pgops_is_not_touched(bound: Bound) -> None:
    Path(record_path(str(bound.file))).write_text('{"schema": 2}')
    with bound.patroni():
        for stage in ("bind", "restore", "forget"):
            bound.refused(stage, "is not of this pgops")


def test_a_copy_that_was_changed_is_not_put_back(bound: Bound) -> None:
    with bound.patroni():
        bound.done("bind")
        Path(copy_path(str(bound.file))).write_text("name: other\n")
        bound.refused("restore", "is not the copy that pgops made")


def test_root_writes_nothing_where_others_may(bound: Bound) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    bound.file.parent.chmod(0o777)
    with bound.patroni():
        bound.refused("bind", "can be written by others than root")


def _link(top: Path, stage: str, bin_dir: Path, *earlier: Path) -> subprocess.CompletedProcess[str]:
    own, places = ["pg_rewind", "keep.py"], [str(path) for path in earlier]
    wish = {"stage": stage, "directory": str(top / "guard"), "bin_dir": str(bin_dir), "earlier": places, "own": own}
    argv = [sys.executable, *argv_of("links", wish)[1:]]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def _programs(place: Path, *names: str) -> Path:
    place.mkdir(exist_ok=True)
    for name in names:
        (place / name).write_text("program")
    return place


def test_links_follow_what_lies_in_the_real_directory(tmp_path: Path) -> None:
    guard = _programs(tmp_path / "guard", "pg_rewind", "keep.py")
    real = _programs(tmp_path / "15", "postgres", "pg_ctl", "pg_rewind")
    assert _link(tmp_path, "link", real).returncode == 0
    assert {path.name for path in guard.iterdir() if path.is_symlink()} == {"postgres", "pg_ctl"}
    assert (guard / "pg_ctl").readlink() == real / "pg_ctl"

    settings = {"by": "bin_dir", "bin_dir": str(real), "wrapper": f"{guard}/pg_rewind", "file": "/no/patroni.yml"}
    data = _programs(tmp_path / "data")
    Path(f"{data}.pgops-guard.json").write_text(json.dumps(settings, indent=1))
    (real / "pg_new").write_text("program")
    (real / "pg_ctl").unlink()
    argv = ["sh", "-c", guards._LOOK, "pgops-guard", str(data), "-"]
    seen = parse_guard(subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout)
    assert seen.is_by_links and (seen.binding.missing, seen.binding.stale) == (("pg_new",), ("pg_ctl",))
    assert _link(tmp_path, "link", real).returncode == 0
    assert {path.name for path in guard.iterdir() if path.is_symlink()} == {"postgres", "pg_new"}

    newer = _programs(tmp_path / "17", "postgres", "pg_ctl")
    assert _link(tmp_path, "link", newer, real).returncode == 0
    assert {path.readlink().parent for path in guard.iterdir() if path.is_symlink()} == {newer}
    assert _link(tmp_path, "unlink", newer).returncode == 0
    assert {path.name for path in guard.iterdir()} == {"pg_rewind", "keep.py"}


def test_what_others_put_into_the_directory_stays(tmp_path: Path) -> None:
    guard = _programs(tmp_path / "guard", "pg_rewind", "psql")
    (guard / "python").symlink_to(sys.executable)
    real = _programs(tmp_path / "15", "postgres", "psql", "psql2")
    ended = _link(tmp_path, "link", real)
    assert ended.returncode == 74 and "psql is there already, and pgops did not put it there" in ended.stderr
    assert _link(tmp_path, "unlink", real).returncode == 0
    assert {path.name for path in guard.iterdir()} == {"pg_rewind", "psql", "python"}


def test_the_real_directory_is_no_directory_of_links(tmp_path: Path) -> None:
    guard = _programs(tmp_path / "guard", "postgres")
    ended = _link(tmp_path, "link", guard)
    assert ended.returncode == 74 and "is the directory of links itself" in ended.stderr
    ended = _link(tmp_path, "link", _programs(tmp_path / "empty"))
    assert ended.returncode == 74 and "there is no postgres in" in ended.stderr
