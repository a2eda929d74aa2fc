"""The guard as Patroni calls it, with programs of PostgreSQL that say what this test wants said."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pgops.observe.guards import digests_of, parse_guard
from pgops_recover.guard_programs import programs

SEGMENT = 1 << 24
SOURCE = "--source-server=host=n2"
DIVERGED = "pg_rewind: servers diverged at WAL location 0/4000100 on timeline 1"
RECORD = "rmgr: {rmgr} len (rec/tot): 34/34, tx: 735, lsn: 0/{lsn}, prev 0/04000028, desc: {desc}"
COMMIT = RECORD.format(rmgr="Transaction", lsn="04000100", desc="COMMIT 2026-11-23 03:00:00 UTC")
OTHER = RECORD.format(rmgr="XLOG", lsn="04000100", desc="CHECKPOINT_SHUTDOWN redo 0/4000100")
END = "pg_waldump: error: error in WAL record at 0/4000100: invalid record length at 0/4000178: wanted 24, got 0"


class Guarded:
    """A data directory with the guard before it. `said` is what the real pg_rewind's dry run says."""

    def __init__(self, top: Path, mode: str, limit_bytes: int = 1 << 30) -> None:
        self.top, self.data, self.bin, self.guard = top, top / "data", top / "bin", top / "pgops-guard"
        for place in (self.data / "pg_wal", self.bin, self.guard):
            place.mkdir(parents=True)
        (self.data / "PG_VERSION").write_text("15\n")
        for number in (1, 2, 3, 4, 5):
            head = b"\x10\xd1\x06\x00" + (1).to_bytes(4, "little") + (number * SEGMENT).to_bytes(8, "little")
            (self.data / f"pg_wal/{1:08X}{0:08X}{number:08X}").write_bytes(head + bytes(1000))
        for name, text in programs().items():
            (self.guard / name).write_text(text)
            (self.guard / name).chmod(0o755)
        self.settings = {
            "schema": 1,
            "mode": mode,
            "limit_bytes": limit_bytes,
            "bin_dir": str(self.bin),
            "cluster": "demo",
            "node": "n1",
        }
        self.tell(self.settings)
        self.control(checkpoint="0/4000100", minimum="0/0")
        self.rewind(DIVERGED)
        self.dump(COMMIT, END, code=1)

    def tell(self, settings: dict[str, object]) -> None:
        Path(f"{self.data}.pgops-guard.json").write_text(json.dumps(settings))

    def _program(self, name: str, text: str) -> None:
        (self.bin / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.bin / name).chmod(0o755)

    def control(self, checkpoint: str, minimum: str, timeline: int = 1) -> None:
        lines = {
            "Database system identifier": "7000000000000000001",
            "Latest checkpoint location": checkpoint,
            "Latest checkpoint's TimeLineID": str(timeline),
            "Minimum recovery ending location": minimum,
            "Bytes per WAL segment": str(SEGMENT),
        }
        self._program("pg_controldata", "\n".join(f'echo "{name}:  {value}"' for name, value in lines.items()))

    def rewind(self, said: str) -> None:
        script = f'case "$*" in *--dry-run*) echo "{said}" >&2; exit 0 ;; esac\necho "$*" >>{self.top}/rewound'
        self._program("pg_rewind", script)

    def dump(self, *lines: str, code: int = 0) -> None:
        self._program("pg_waldump", "\n".join(f"echo '{line}'" for line in lines) + f"\nexit {code}")

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        argv = [str(self.guard / "pg_rewind"), *(words or ("-D", str(self.data), SOURCE))]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)

    @property
    def rewound(self) -> list[str]:
        file = self.top / "rewound"
        return file.read_text().splitlines() if file.exists() else []

    @property
    def copies(self) -> list[Path]:
        return sorted(self.top.glob("data.pgops-rewind-*"))


def test_the_wal_is_kept_before_the_real_one_runs(tmp_path: Path) -> None:
    guarded = Guarded(tmp_path, "keep")
    ended = guarded.call("--restore-target-wal", "-D", str(guarded.data), SOURCE)
    assert ended.returncode == 0, ended.stderr
    assert guarded.rewound == [f"--restore-target-wal -D {guarded.data} {SOURCE}"]
    (copy,) = guarded.copies
    assert sorted(path.name[-1] for path in (copy / "wal").iterdir()) == ["2", "3", "4", "5"]
    manifest = json.loads((copy / "manifest.json").read_text())
    assert manifest["pieces"] == [{"timeline": 1, "from": "0/4000100", "to": None}]
    assert manifest["procedure"] == "guard" and manifest["node"] == "n1"
    assert manifest["control"]["Latest checkpoint location"] == "0/4000100"


def test_called_again_for_the_same_it_keeps_no_second_copy(tmp_path: Path) -> None:
    guarded = Guarded(tmp_path, "keep")
    for _ in range(3):
        assert guarded.call().returncode == 0
    assert len(guarded.rewound) == 3 and len(guarded.copies) == 1


def test_pieces_follow_the_timelines_of_the_member(tmp_path: Path) -> None:
    guarded = Guarded(tmp_path, "keep")
    guarded.control(checkpoint="0/5000100", minimum="0/0", timeline=3)
    (guarded.data / "pg_wal/00000003.history").write_text("1\t0/4000200\tx\n\n2\t0/5000000\ty\n")
    assert guarded.call().returncode == 0
    (copy,) = guarded.copies
    assert json.loads((copy / "manifest.json").read_text())["pieces"] == [
        {"timeline": 1, "from": "0/4000100", "to": "0/4000200"},
        {"timeline": 2, "from": "0/4000200", "to": "0/5000000"},
        {"timeline": 3, "from": "0/5000000", "to": None},
    ]


def test_where_the_fork_is_not_told_all_wal_is_kept(tmp_path: Path) -> None:
    guarded = Guarded(tmp_path, "keep")
    guarded.rewind("pg_rewind: error: target server must be shut down cleanly")
    assert guarded.call().returncode == 0
    (copy,) = guarded.copies
    assert len(list((copy / "wal").iterdir())) == 5 and len(guarded.rewound) == 1


def test_nothing_is_kept_where_nothing_would_be_rewound(tmp_path: Path) -> None:
    guarded = Guarded(tmp_path, "stop")
    guarded.rewind("pg_rewind: no rewind required")
    assert guarded.call().returncode == 0
    assert len(guarded.rewound) == 1 and guarded.copies == []


@pytest.mark.parametrize("mode", ["keep", "stop"])
@pytest.mark.parametrize("words", [("--help",), ("--version",)])
def test_asked_whether_it_is_there_it_says_so(tmp_path: Path, mode: str, words: tuple[str, ...]) -> None:
    guarded = Guarded(tmp_path, mode)
    assert guarded.call(*words).returncode == 0
    assert guarded.rewound == [] and guarded.copies == []


def _refused(guarded: Guarded, said: str) -> None:
    ended = guarded.call()
    assert ended.returncode == 1 and guarded.rewound == [] and guarded.copies == []
    assert "nothing is rewound" in ended.stderr and said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_full_place_rewinds_nothing(tmp_path: Path) -> None:
    _refused(Guarded(tmp_path, "keep", limit_bytes=3000), "3000 are left for copies")


def test_earlier_copies_count_against_the_limit(tmp_path: Path) -> None:
    guarded = Guarded(tmp_path, "keep", limit_bytes=6000)
    assert guarded.call().returncode == 0
    guarded.control(checkpoint="0/4000900", minimum="0/0")
    ended = guarded.call()
    assert ended.returncode == 1 and len(guarded.copies) == 1 and "1936 are left" in ended.stderr


def test_without_settings_nothing_is_rewound(tmp_path: Path) -> None:
    guarded = Guarded(tmp_path, "keep")
    Path(f"{guarded.data}.pgops-guard.json").unlink()
    _refused(guarded, "pgops guard install writes it")


@pytest.mark.parametrize("change", [{"schema": 2}, {"mode": "guess"}, {"bin_dir": "/nowhere"}, {"limit_bytes": "many"}])
def test_settings_that_are_not_ours_rewind_nothing(tmp_path: Path, change: dict[str, object]) -> None:
    guarded = Guarded(tmp_path, "keep")
    guarded.tell({**guarded.settings, **change})
    _refused(guarded, "")


def test_a_member_with_commits_of_its_own_is_stopped(tmp_path: Path) -> None:
    _refused(Guarded(tmp_path, "stop"), "it has commits that its source has not")


@pytest.mark.parametrize("desc", ["COMMIT_PREPARED 735: x", "PREPARE gid 'x'"])
def test_prepared_transactions_are_commits_as_well(tmp_path: Path, desc: str) -> None:
    guarded = Guarded(tmp_path, "stop")
    guarded.dump(RECORD.format(rmgr="Transaction", lsn="04000100", desc=desc), END, code=1)
    _refused(guarded, "it has commits")


def test_a_member_without_commits_is_rewound(tmp_path: Path) -> None:
    guarded = Guarded(tmp_path, "stop")
    guarded.dump(OTHER, END, code=1)
    assert guarded.call().returncode == 0, guarded.call().stderr
    assert len(guarded.rewound) >= 1


def test_wal_that_cannot_be_read_to_its_end_stops_it(tmp_path: Path) -> None:
    guarded = Guarded(tmp_path, "stop")
    guarded.control(checkpoint="0/4000100", minimum="0/4800000")
    guarded.dump(OTHER, END, code=1)
    _refused(guarded, "cannot be read to its end")


def test_wal_that_is_gone_stops_it(tmp_path: Path) -> None:
    guarded = Guarded(tmp_path, "stop")
    (guarded.data / f"pg_wal/{1:08X}{0:08X}{4:08X}").unlink()
    _refused(guarded, "is gone")


def test_an_unknown_fork_stops_it(tmp_path: Path) -> None:
    guarded = Guarded(tmp_path, "stop")
    guarded.rewind("pg_rewind: error: could not connect to server")
    _refused(guarded, "where it parts from its source is not known")


def test_what_a_host_tells_is_read_back(tmp_path: Path) -> None:
    from pgops.hosts.process import run
    from pgops.observe import guards

    guarded = Guarded(tmp_path, "keep")
    settings = {**guarded.settings, "wrapper": str(guarded.guard / "pg_rewind")}
    Path(f"{guarded.data}.pgops-guard.json").write_text(json.dumps(settings, indent=1, sort_keys=True) + "\n")
    heard = {"postgresql": {"bin_name": {"pg_rewind": settings["wrapper"]}}}
    (guarded.data / "patroni.dynamic.json").write_text(json.dumps(heard))
    own = tmp_path / "patroni.yml"
    own.write_text("postgresql:\n  bin_name:\n    postgres: other\n")
    pause = "import time; print('up', flush=True); time.sleep(60)"
    argv = [sys.executable, "-c", pause, "patroni", str(own)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env={"PATRONI_POSTGRESQL_BIN_PG_CTL": "x"}) as patroni:
        assert patroni.stdout is not None and patroni.stdout.readline()
        said = run(["sh", "-c", guards._LOOK, "pgops-guard", str(guarded.data), str(own)], timeout_s=30)
        patroni.kill()
    facts = parse_guard(said.stdout)
    assert facts.settings == settings and facts.programs == digests_of(programs())
    assert facts.heard == settings["wrapper"]
    assert facts.overrides == (str(own), "the environment of its Patroni")
    (guarded.guard / "pg_rewind").chmod(0o644)
    said = run(["sh", "-c", guards._LOOK, "pgops-guard", str(guarded.data), str(own)], timeout_s=30)
    facts = parse_guard(said.stdout)
    assert facts.programs["pg_rewind"] == "unusable"
    assert facts.overrides == (str(own),), "the configured file is read, whether its Patroni runs or not"
