"""Faults of the repository and of what it belongs to: one clear sentence each, and the next `pgops backup` is whole."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from pgops.hosts.process import CommandResult, run
from pgops.observe.stanza import parse_version
from practice.backup.test_making import backups, workers
from practice.engine.desk import Desk, named_run, wait_until

pytestmark = [pytest.mark.practice, pytest.mark.xdist_group("backup-faults")]
LAB = "faults"
NODES = ("n1", "n2", "n3")
CIPHER_PASS, WRONG_PASS = "canary-Qz7vJr2LkXw9", "canary-wrong-T4mNb8Yc"


def as_owner(*argv: str) -> CommandResult:
    """A command as the owner of PostgreSQL's files; it must succeed."""
    done = run(argv, timeout_s=60, user="postgres" if os.geteuid() == 0 else None)
    assert done.ok, f"{argv}: {done.stdout}{done.stderr}"
    return done


def conf(desk: Desk, node: str) -> Path:
    """The member's pgbackrest.conf."""
    return Path(desk.cluster["hosts"][node]["pgbackrest_config"])


def top(desk: Desk) -> Path:
    """The lab's directory."""
    return Path(desk.lab.config).parent


@contextmanager
def changed(path: Path, **options: str) -> Iterator[None]:
    """With these options of pgBackRest set (`_` stands for `-`), before any other; the file keeps its owner and mode."""
    before = path.read_text()
    own = {key.replace("_", "-"): value for key, value in options.items()}
    section = {key: "stanza" if key.startswith("pg") else "global" for key in own}
    lines = [line for line in before.splitlines() if line.partition("=")[0] not in own]
    for number in reversed([number for number, line in enumerate(lines) if line.startswith("[")]):
        name = "global" if lines[number] == "[global]" else "stanza"
        lines[number + 1 : number + 1] = [f"{key}={value}" for key, value in own.items() if section[key] == name]
    path.write_text("\n".join(lines) + "\n")
    try:
        yield
    finally:
        path.write_text(before)


@contextmanager
def room(desk: Desk, name: str) -> Iterator[Path]:
    """A directory of the owner's in the lab."""
    path = top(desk) / name
    path.mkdir(0o750)
    if os.geteuid() == 0:
        shutil.chown(path, "postgres")
    try:
        yield path
    finally:
        shutil.rmtree(path)


def told(desk: Desk, code: int, *words: str) -> str:
    """What a backup that cannot be made ends with: one sentence, where, and what to do."""
    ended = desk.pgops("backup", "--type", "full", *words)
    assert ended.code == code, ended.said
    error = ended.err[ended.err.index("pgops: ") :]
    assert re.fullmatch(r"pgops: .+\n  where: .+\n(  why:   .+\n)?  next:  .+\n", error), error
    return error


def make_whole(desk: Desk, *words: str) -> str:
    """Now that it is mended a backup is made, and nothing is left of what went wrong. Its label."""
    before = backups(desk)
    desk.done("backup", "--type", "full", *words)
    (label,) = backups(desk).keys() - before.keys()
    assert backups(desk)[label]["error"] is False
    leave_nothing(desk)
    kept = {path.name for path in (top(desk) / "repo/backup" / desk.cluster["stanza"]).glob("*F*")}
    assert kept == backups(desk).keys(), "a backup that was cut off is left in the repository"
    return label


def leave_nothing(desk: Desk) -> None:
    """No run, no lock, no job's account, no process."""
    assert not {"run/backup", "lock/backup"} & set(desk.etcd.own())
    accounts = [path for host in desk.cluster["hosts"].values() for path in Path(host["state_dir"]).glob("*/jobs/*")]
    assert (accounts, workers(desk)) == ([], [])
    assert "unfinished" not in desk.done("runs", "list").out


@pytest.fixture(scope="module")
def programs(desk: Desk) -> Path:
    """PostgreSQL's programs."""
    return Path(desk.cluster["hosts"]["n1"]["bin_dir"])


def test_a_stanza_of_another_initdb(desk: Desk, programs: Path) -> None:
    leader, stanza = desk.leader(), desk.cluster["stanza"]
    before = backups(desk)
    with room(desk, "other") as other:
        as_owner(str(programs / "initdb"), "-D", str(other / "data"), "-A", "trust", "--no-sync")
        with changed(conf(desk, leader), repo1_path=str(other / "repo"), pg1_path=str(other / "data")):
            as_owner(
                "pgbackrest", f"--config={conf(desk, leader)}", f"--stanza={stanza}", "--no-online", "stanza-create"
            )
        with changed(conf(desk, leader), repo1_path=str(other / "repo")):
            errors = [told(desk, 3)]
            planned = desk.pgops("backup", "--type", "full", "--dry-run")
        assert "the stanza in the repository is of another server: its system identifier is " in errors[0]
        assert planned.code == 3 and "[NO] due: the stanza in the repository is of another server" in planned.out
        assert not list((other / "repo/backup" / stanza).glob("*F*"))
        with changed(conf(desk, leader), pg1_path=str(other / "data")):
            errors.append(told(desk, 1))
        assert "the backups of this stanza are of another server (exit code 51, backup-mismatch): " in errors[1]
    for error in errors:
        assert re.search(r"  next:  STOP: .*pgops health; an initdb by accident, .*Never stanza-delete, ", error), error
        assert error.count("stanza-delete") == 1
    assert backups(desk).keys() == before.keys()
    make_whole(desk)


@contextmanager
def small_repository(desk: Desk) -> Iterator[Path]:
    """The lab's repository on a small file system of its own, and back on its old one afterwards."""
    repository = top(desk) / "repo"
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    with room(desk, "aside") as aside, ExitStack() as undo:
        run(["cp", "-a", f"{repository}/.", str(aside)], timeout_s=30)
        mounted = run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(repository)], timeout_s=10)
        if not mounted.ok:
            pytest.skip(f"a small file system cannot be mounted here: {mounted.fault}")
        # Lazily: an archiver may be at work in it.
        undo.callback(run, ["umount", "-l", str(repository)], timeout_s=10)
        shutil.chown(repository, "postgres", "postgres")
        assert run(["cp", "-a", f"{aside}/.", str(repository)], timeout_s=30).ok
        yield repository


def fill(repository: Path, leave_bytes: int) -> Path:
    """Fill the file system, but for so much, with one file."""
    filler = repository / "filler"
    with filler.open("ab", buffering=0) as file:
        while (left := shutil.disk_usage(repository).free - leave_bytes) > 0:
            file.write(bytes(min(left, 1 << 20)))
    return filler


def test_a_full_disk(desk: Desk) -> None:
    leader = conf(desk, desk.leader())
    with small_repository(desk) as repository:
        before = backups(desk)
        filler = fill(repository, 1 << 20)
        with changed(leader, job_retry="0"):
            error = told(desk, 1)
        assert "a file cannot be written, mostly since its file system is full (exit code 64, file-write): " in error
        assert f"{repository}/backup/" in error
        assert "  next:  df -h of the path it names; make room there: " in error
        fill(repository, 0)
        with changed(leader, archive_timeout="2"):
            error = told(desk, 1)
        assert "WAL did not come into the archive in time: the archiver is broken or behind (exit code 82, " in error
        assert "is the repository full, or out of reach" in error
        assert backups(desk).keys() == before.keys()
        filler.unlink()
        make_whole(desk)
    make_whole(desk)


@contextmanager
def stopped(desk: Desk, node: str) -> Iterator[None]:
    """With Patroni and PostgreSQL of a node stopped; the cluster is healthy again afterwards."""
    name = desk.cluster["services"]["names"]["patroni"].format(host=node)
    desk.supervise("stop", name)
    try:
        yield
    finally:
        desk.supervise("start", name)
        desk.await_healthy()


def test_a_backup_from_a_replica(desk: Desk) -> None:
    leader = desk.leader()
    replica = next(node for node in NODES if node != leader)
    theirs = {"pg2_path": str(top(desk) / replica / "data"), "pg2_socket_path": str(top(desk) / replica / "run")}
    assert "pgBackRest found no replica to copy from (exit code 56, " in told(desk, 1, "--from", "replica")
    with changed(conf(desk, leader), **theirs, pg2_port="5432", pg2_user="postgres"):
        label = make_whole(desk, "--from", "replica")
        repository = top(desk) / "repo/backup" / desk.cluster["stanza"]
        assert "option-backup-standby=true\n" in (repository / label / "backup.manifest").read_text()
        log = (top(desk) / "log" / f"pgbackrest-{leader}" / f"{desk.cluster['stanza']}-backup.log").read_text()
        assert "replay on the standby reached" in log.rpartition("backup command begin")[2]
        with stopped(desk, replica):
            error = told(desk, 1, "--from", "replica")
            assert "pgBackRest found no replica to copy from (exit code 56, db-connect): unable to check pg2: " in error
            assert "  next:  is one up: pgops health; pg2-* of pgbackrest.conf on this host name it" in error
            prefer_a_replica(desk)
    make_whole(desk)


def prefer_a_replica(desk: Desk) -> None:
    """No replica is up: the primary's files are copied, or this pgBackRest cannot do so, which is said before anything."""
    version = parse_version(as_owner("pgbackrest", "version").stdout)
    if version is None or version >= (2, 47):
        make_whole(desk, "--from", "prefer-replica")
        return
    error = told(desk, 3, "--from", "prefer-replica")
    assert f"  why:   pgBackRest {version[0]}.{version[1]} cannot prefer a replica: 2.47 and later can\n" in error
    assert "  next:  say --from replica, or --from primary\n" in error


@contextmanager
def sealed(desk: Desk) -> Iterator[None]:
    """With an encrypted repository, of all members."""
    with room(desk, "sealed") as repository, ExitStack() as undo:
        cipher = {"repo1_cipher_type": "aes-256-cbc", "repo1_cipher_pass": CIPHER_PASS}
        for node in NODES:
            undo.enter_context(changed(conf(desk, node), repo1_path=str(repository), **cipher))
        as_owner(
            "pgbackrest", f"--config={conf(desk, 'n1')}", f"--stanza={desk.cluster['stanza']}", "--no-online",
            "stanza-create",
        )  # fmt: skip
        yield


def accounts(desk: Desk) -> dict[str, str]:
    """What the jobs on the members keep of themselves."""
    kept = {}
    for host in desk.cluster["hosts"].values():
        for directory, _, names in os.walk(host["state_dir"]):  # it passes over what goes meanwhile
            for path in (Path(directory, name) for name in names if "/jobs/" in f"{directory}/"):
                with suppress(FileNotFoundError):
                    kept[str(path)] = path.read_text(errors="replace")
    return kept


@contextmanager
def watched(desk: Desk) -> Iterator[dict[str, set[str]]]:
    """All command lines of this machine, all accounts of jobs and all of pgops's records, seen again and again meanwhile."""
    seen: dict[str, set[str]] = {"argv": set(), "accounts": set(), "records": set()}
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.03):
            seen["argv"].update(" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))
            seen["accounts"].update(accounts(desk).values())
            seen["records"].add(repr(desk.etcd.own()))

    with ThreadPoolExecutor(1) as pool:
        watch = pool.submit(look)
        try:
            yield seen
        finally:
            over.set()
        watch.result()


def canaries(desk: Desk) -> list[str]:
    """Every secret of the lab: of PostgreSQL's users, of Patroni's REST API, of the repository."""
    kept = json.loads((top(desk) / "passwords.json").read_text())
    cluster = desk.cluster
    assert {cluster["rest"]["password"], cluster["sql"]["password"]} <= set(kept.values())
    assert all(len(word) >= 12 for word in kept.values())
    return [*kept.values(), CIPHER_PASS, WRONG_PASS]


def test_an_encrypted_repository_and_no_secret_told_to_anybody(desk: Desk, tmp_path: Path) -> None:
    leader, said = desk.leader(), {}

    def tell(name: str, code: int, *words: str) -> str:
        ended = desk.pgops(*words, env={"PGOPS_DEBUG": "1"})
        assert ended.code == code, ended.said
        said[name] = ended.said
        return ended.said

    with sealed(desk), watched(desk) as seen:
        tell("dry run", 0, "backup", "--dry-run", "-f", "json")
        tell("plan", 0, "backup", "--plan-out", str(tmp_path / "plan.json"))
        tell("backup", 0, "backup", "-v")
        ((label, made),) = backups(desk).items()
        # pgBackRest knows whole seconds: what is committed within the second of its stop opens no window yet.
        wait_until(lambda: time.time() > made["timestamp"]["stop"] + 1, 5)
        as_owner("psql", "-h", str(top(desk) / leader / "run"), "-XAtc", "create table canary (); drop table canary")
        assert "CRITICAL" not in tell("check", 0, "backup", "check")
        assert label in tell("list", 0, "backup", "list")
        assert "no time" not in tell("window", 0, "backup", "window")
        tell("drill", 0, "drill", "restore", "--yes")
        tell("failure", 1, "backup", "-v", "--from", "replica")
        with changed(conf(desk, leader), repo1_cipher_pass=WRONG_PASS):
            error = told(desk, 5)
            tell("wrong pass", 5, "backup", "-v")
        # What a wrong pass makes of the file is noise: a line that is none, or a last block that cannot be read.
        assert re.search(r"its cipher pass is another one, or it is damaged: |decryption failed: ", error), error
        assert "  next:  compare repo1-cipher-type and repo1-cipher-pass of pgbackrest.conf with those " in error
        assert backups(desk).keys() == {label}
        tell("health", 0, "health", "--deep")
    said["plan file"] = (tmp_path / "plan.json").read_text()
    said["records"] = repr(desk.etcd.own())
    said |= accounts(desk)
    said |= {f"journal {path.name}": path.read_text() for path in (desk.state / "runs").iterdir()}
    said |= {name: "\n".join(texts) for name, texts in seen.items()}
    assert f"--annotation=pgops-run={named_run(said['backup'])}" in said["argv"]
    assert all(word in said[name] for name, word in (("accounts", "INFO: backup"), ("records", "run/backup")))
    for place, text in said.items():
        for number, secret in enumerate(canaries(desk)):
            assert secret not in text, f"secret {number} in {place}"
    make_whole(desk)
