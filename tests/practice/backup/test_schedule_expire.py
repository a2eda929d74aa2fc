"""Schedules and expiry on a real cluster: the lines that are installed are run as cron would, and old backups go."""

from __future__ import annotations

import json
import os
import re
import shutil
from functools import reduce
from pathlib import Path

import pytest
import yaml

from pgops.config.loader import load
from pgops.hosts.process import CommandResult, run
from pgops.observe.schedules import schedule_name
from practice.conftest import PGOPS, LabUnderTest

pytestmark = [pytest.mark.practice, pytest.mark.xdist_group("backup-schedule")]
LAB = "schedule"
NODES = ("n1", "n2", "n3")


class Station:
    """An operator's pgops on a lab, with a policy of backups in its configuration."""

    def __init__(self, lab: LabUnderTest, top: Path) -> None:
        document = yaml.safe_load(Path(lab.config).read_text())
        (self.cluster,) = document["clusters"]
        self.tables, self.metrics, self.state = top / "cron.d", top / "metrics", top / "state"
        for directory in (self.tables, self.metrics):
            directory.mkdir(mode=0o755)
        self.state.mkdir(mode=0o700)
        document["clusters"][self.cluster]["backup"] = {
            "window": "00:00-23:59",
            "cron_dir": str(self.tables),
            "textfile": str(self.metrics),
        }
        self.backups = Path(lab.config).parent / "repo/backup" / document["clusters"][self.cluster]["stanza"]
        self.config = top / "pgops.yml"
        self.config.touch(0o600)
        self.config.write_text(yaml.safe_dump(document))

    def pgops(self, *words: str) -> CommandResult:
        return run([PGOPS, "-c", str(self.config), *words], timeout_s=240, env=self.env)

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "PGOPS_STATE_DIR": str(self.state)}

    def schedule(self, *words: str) -> CommandResult:
        return self.pgops("backup", "schedule", *words)

    def labels(self) -> list[str]:
        """The backups' labels, the oldest first."""
        told = self.pgops("backup", "list", "-f", "json")
        return [backup["label"] for backup in json.loads(told.stdout)["backups"]]

    def make(self, kind: str) -> str:
        """Make one, and expire nothing; its label."""
        before = self.labels()
        made = self.pgops("backup", "--type", kind, "--no-expire", "-q")
        assert made.exit_code == 0, made.stderr
        (label,) = set(self.labels()) - set(before)
        return label

    def table(self, node: str) -> Path:
        return self.tables / schedule_name(self.cluster, node)

    def lines(self, node: str) -> list[tuple[str, str]]:
        """(search path, command) of each line of the node's table, as cron would take them."""
        text = self.table(node).read_text()
        path = re.findall(r"^PATH=(.*)$", text, re.MULTILINE)[0]
        found = re.findall(r"^\d+ \* \* \* \* root (.*)$", text, re.MULTILINE)
        return [(path, command.replace("\\%", "%")) for command in found]


@pytest.fixture(scope="module")
def station(lab: LabUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Station:
    return Station(lab, tmp_path_factory.mktemp("station"))


def test_installed_once_seen_by_health_and_removed(station: Station) -> None:
    shown = station.schedule("--install", "--dry-run")
    assert shown.exit_code == 0 and list(station.tables.iterdir()) == []
    done = station.schedule("--install")
    assert done.exit_code == 0, done.stderr
    assert sorted(station.tables.iterdir()) == [station.table(node) for node in NODES]
    assert {station.table(node).stat().st_mode & 0o777 for node in NODES} == {0o644}
    printed = station.schedule()
    assert all(station.table(node).read_text() in printed.stdout for node in NODES)
    again = station.schedule("--install")
    assert again.exit_code == 0 and again.stdout.startswith("nothing to do: n1 has ")

    table = station.table("n2")
    table.write_text(table.read_text().replace("25 * * * *", "17 * * * *"))
    shown = station.schedule("--install", "--dry-run", "-f", "json")
    plan = json.loads(shown.stdout)
    assert [bool(step["does"]) for step in plan["steps"]] == [False, True, False]
    assert "- '17 * * * * root pgops" in plan["steps"][1]["reason"]

    station.table("n3").unlink()
    health = station.pgops("health", "--check", "backup-schedule")
    assert health.exit_code == 1 and "is on n1, n2, and not on n3" in health.stdout
    assert "backup-schedule n2: its schedule of backups is not that of the policy" in health.stdout
    removed = station.schedule("--remove")
    assert removed.exit_code == 0 and list(station.tables.iterdir()) == []


def test_one_backup_of_the_lines_of_all_nodes_and_nobody_says_a_word(station: Station) -> None:
    assert station.schedule("--install", "-q").exit_code == 0
    before = station.labels()
    assert len(before) == 1  # the lab's own full one: none is due
    assert _run_lines(station, NODES) == ["", "", "", "", "", ""]
    assert station.labels() == before
    assert _run_lines(station, NODES, ("--if-older-than 20h", "--if-older-than 1s")) == ["", "", "", "", "", ""]
    first, second = station.labels()
    assert first == before[0] and second.endswith("D")

    files = sorted(path.name for path in station.metrics.iterdir())
    assert files == [f"pgops_backup_{station.cluster}_{node}.prom" for node in NODES]
    told = {node: (station.metrics / f"pgops_backup_{station.cluster}_{node}.prom").read_text() for node in NODES}
    made = [node for node, text in told.items() if re.search(r'type="diff",outcome="made"\} 1\n', text)]
    quiet = [node for node, text in told.items() if re.search(r'type="diff",outcome="standby"\} 1\n', text)]
    assert len(made) == 1 and len(quiet) == 2
    assert re.search(r'last_good_timestamp_seconds\{.*type="diff",repository="1"\} \d', told[made[0]])


def _run_lines(station: Station, nodes: tuple[str, ...], *changes: tuple[str, str]) -> list[str]:
    """Run every line as cron would; what each said."""
    said = []
    for node in nodes:
        for path, command in station.lines(node):
            changed = reduce(lambda text, change: text.replace(*change), changes, command)
            env = {"PATH": path, "HOME": "/root", "PGOPS_STATE_DIR": str(station.state)}
            ended = run(["/bin/sh", "-c", changed], timeout_s=240, env=env)
            assert ended.exit_code == 0, (changed, ended.stderr)
            said.append(ended.stdout + ended.stderr)
    return said


def test_what_the_retention_no_longer_keeps_goes(station: Station) -> None:
    old = station.labels()
    kept = [station.make("full"), station.make("full")]  # the lab keeps two
    shown = station.pgops("backup", "expire", "--dry-run")
    assert shown.exit_code == 0 and all(label in shown.stdout for label in old)
    assert not any(label in shown.stdout for label in kept) and "WAL of " in shown.stdout
    assert "warning: the expiry of pgBackRest 2." in shown.stdout  # the lab's is older than 2.59
    assert station.labels() == [*old, *kept]
    done = station.pgops("backup", "expire")
    assert done.exit_code == 0, done.stderr
    assert station.labels() == kept
    again = station.pgops("backup", "expire")
    assert (again.exit_code, again.stdout) == (0, "nothing to do: the retention keeps all\n")
    leader = re.findall(r"\[(n\d) as the owner", shown.stdout)[0]
    (state_dir,) = (host.state_dir for host in load(str(station.config)).clusters[0].hosts if host.name == leader)
    assert list(Path(f"{state_dir}/owner").glob("**/expire-*")) == []  # the job's account is forgotten


def test_a_set_goes_with_what_depends_on_it_and_the_last_chain_stays(station: Station) -> None:
    first, second = station.labels()
    diff = station.make("diff")
    assert diff.startswith(second)
    refused = station.pgops("backup", "expire", "--set", second, "--yes")
    assert refused.exit_code == 3 and station.labels() == [first, second, diff]  # what destroys wants the name
    done = station.pgops("backup", "expire", "--set", second, "--confirm", station.cluster)
    assert done.exit_code == 0, done.stderr
    assert station.labels() == [first]
    last = station.pgops("backup", "expire", "--set", first, "--confirm", station.cluster)
    assert last.exit_code == 3 and station.labels() == [first]
    assert "no full backup of this database without error would be left in repository 1" in last.stderr


def test_what_is_not_there_is_refused_with_what_there_is(station: Station) -> None:
    (label,) = station.labels()
    told = station.pgops("backup", "expire", "--set", "20200101-010000F", "--confirm", station.cluster)
    assert told.exit_code == 3 and f"there are: {label}" in told.stderr, told.stderr
    told = station.pgops("backup", "expire", "--repo", "7", "--dry-run")
    assert told.exit_code == 3 and "there is no repository 7" in told.stderr, told.stderr


def test_a_backup_without_its_manifest_is_no_chain_that_is_left(station: Station, tmp_path: Path) -> None:
    (label,) = station.labels()
    names = ("backup.manifest", "backup.manifest.copy")
    for name in names:
        shutil.move(station.backups / label / name, tmp_path / name)
    try:
        told = station.pgops("backup", "expire")
    finally:
        for name in names:
            shutil.move(tmp_path / name, station.backups / label / name)
    assert told.exit_code == 3 and "its manifest is missing" in told.stderr, told.stderr
    assert "no full backup of this database without error would be left" in told.stderr
    assert station.labels() == [label]


def test_beside_a_pgbackrest_that_holds_the_lock_it_cannot_tell(station: Station) -> None:
    cluster = load(str(station.config)).clusters[0]
    config = next(host.pgbackrest_config for host in cluster.hosts if host.name == "n1")
    (directory,) = re.findall(r"^lock-path=(.*)$", Path(config or "").read_text(), re.MULTILINE)
    lock = Path(directory) / f"{cluster.stanza}-backup.lock"
    lock.touch(0o640)
    shutil.chown(lock, "postgres", "postgres")
    held = ["flock", str(lock), PGOPS, "-c", str(station.config), "backup", "expire", "--node", "n1"]
    told = run(held, timeout_s=60, env=station.env)
    assert told.exit_code == 5 and "exit code 50" in told.stderr, told.stderr
