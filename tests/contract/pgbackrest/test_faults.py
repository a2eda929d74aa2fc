"""Faults that are really there: which code the real pgBackRest gives, and the sentence that pgops makes of it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.pgbackrest.site import Site
from pgops.pgbackrest.commands import (
    Stanza,
    archive_get_argv,
    backup_argv,
    check_argv,
    expire_argv,
    info_argv,
    read_argv,
    restore_argv,
)
from pgops.pgbackrest.exit_codes import explain

NO_BACKUP = "20200101-000000F"
LOCKS = ("demo-backup.lock", "demo-backup-1.lock")
"""The names before pgBackRest 2.53, and since: one for each repository."""


def test_a_lock_that_another_process_holds(site: Site) -> None:
    locks = [site.top / "lock" / name for name in LOCKS]
    site.run("touch", *map(str, locks))
    with locks[0].open() as before, locks[1].open() as since:
        fcntl.flock(before, fcntl.LOCK_EX)
        fcntl.flock(since, fcntl.LOCK_EX)
        fault = site.fault(backup_argv(site.stanza, "diff"))
    assert fault.exit_code == 50
    assert fault.meaning == "another pgBackRest process holds the lock of this stanza on this host"
    assert "ps -ef" in fault.next_step


def test_a_stop_file(site: Site) -> None:
    site.run("pgbackrest", f"--config={site.config}", "--stanza=demo", "stop")
    try:
        faults = [site.fault(argv) for argv in (backup_argv(site.stanza, "diff"), expire_argv(site.stanza))]
        site.write_config({"archive-timeout": "1"})
        waited = site.fault(check_argv(site.stanza))
    finally:
        site.run("pgbackrest", f"--config={site.config}", "--stanza=demo", "start")
    for fault in faults:
        assert (fault.exit_code, "stopped pgBackRest here" in fault.meaning) == (62, True)
        assert "pgbackrest start" in fault.next_step
    # A check only sees that WAL does not come: that it may have been stopped is said as well.
    assert (waited.exit_code, "pgbackrest start" in waited.next_step) == (82, True)


def test_a_stanza_that_the_repository_does_not_have(site: Site) -> None:
    other = site.write_config(stanza="other", config=site.top / "other.conf")
    for argv in (backup_argv(other, "full"), check_argv(other)):
        fault = site.fault(argv)
        assert (fault.exit_code, fault.meaning) == (55, "there is no such stanza in the repository")
        assert "stanza's name" in fault.next_step


def test_a_stanza_that_the_configuration_does_not_have(site: Site) -> None:
    fault = site.fault(check_argv(Stanza("third", str(site.config))))
    assert (fault.exit_code, fault.meaning) == (37, "this stanza is not in pgBackRest's configuration")


def test_a_configuration_file_that_is_not_there(site: Site) -> None:
    fault = site.fault(check_argv(Stanza("demo", str(site.top / "nowhere.conf"))))
    assert (fault.exit_code, fault.meaning) == (55, "a file is missing that must be there")
    assert "nowhere.conf" in str(fault)
    assert "pgbackrest_config" in fault.next_step


def test_what_the_archive_does_not_have(site: Site) -> None:
    segment = site.fault(archive_get_argv(site.stanza, "0000000100000000000000FF", str(site.top / "segment")))
    assert (segment.exit_code, segment.meaning) == (1, "the archive does not hold what was asked for")
    file = site.fault(read_argv(site.stanza, "archive/demo/none"))
    assert (file.exit_code, file.meaning) == (55, "a file is missing that must be there")


def test_an_archive_command_of_another_stanza(site: Site) -> None:
    _archive_with(site, "pgbackrest --stanza=wrong archive-push %p")
    site.write_config({"archive-timeout": "1"})
    try:
        for argv in (check_argv(site.stanza), backup_argv(site.stanza, "diff")):
            fault = site.fault(argv)
            assert (fault.exit_code, "did not come into the archive" in fault.meaning) == (82, True)
            assert "archive_command" in fault.next_step
    finally:
        _archive_with(site, None)


def test_an_archive_command_that_is_not_pgbackrest(site: Site) -> None:
    _archive_with(site, "/bin/true")
    try:
        fault = site.fault(check_argv(site.stanza))
    finally:
        _archive_with(site, None)
    assert (fault.exit_code, "does not call pgBackRest" in fault.meaning) == (68, True)


def test_a_server_that_is_down(site: Site) -> None:
    site.stop()
    try:
        backup, check = site.fault(backup_argv(site.stanza, "diff")), site.fault(check_argv(site.stanza))
    finally:
        site.start()
    assert (backup.exit_code, "cannot log in to PostgreSQL" in backup.meaning) == (56, True)
    assert (check.exit_code, check.meaning) == (27, "pgBackRest finds no server to ask")
    for fault in (backup, check):
        assert "unable to connect" in str(fault)  # the reason stands in a warning before the error
        assert "pgops health" in fault.next_step


def test_another_server_than_the_stanzas(site: Site) -> None:
    second = site.top / "second"
    site.stop()
    site.make_server(second)
    site.start(second)
    try:
        site.write_config({"archive-timeout": "1"}, server=second)
        check, backup = site.fault(check_argv(site.stanza)), site.fault(backup_argv(site.stanza, "full"))
        segment = str(second / "pg_wal" / "000000010000000000000001")
        pushed = site.attempt("pgbackrest", f"--config={site.config}", "--stanza=demo", "archive-push", segment)
    finally:
        site.stop(second)
        site.start()
    assert (check.exit_code, backup.exit_code, pushed.exit_code) == (28, 51, 103)
    push = explain(pushed.exit_code, pushed.stdout + pushed.stderr)  # 2.59 tells it on standard output
    assert push.name == "repo-invalid"
    assert push.meaning == "the archive belongs to another server: version or system identifier differ"
    assert "ArchiveMismatchError" in push.told
    for next_step in (check.next_step, backup.next_step, push.next_step):
        assert "Never stanza-delete" in next_step


def test_a_data_directory_with_no_server_in_it(site: Site) -> None:
    fault = site.fault(check_argv(site.write_config(config=site.top / "c.conf", server=site.top / "void")))
    assert fault.exit_code == 27
    assert "pg_control" in str(fault)
    assert "pg1-path" in fault.next_step


def test_a_repository_that_may_not_be_written(site: Site) -> None:
    site.run("chmod", "-R", "a-w", str(site.repository / "backup"))
    try:
        backup = site.fault(backup_argv(site.stanza, "full"))
        expire = site.attempt(*expire_argv(site.stanza))
    finally:
        site.run("chmod", "-R", "u+w", str(site.repository / "backup"))
    told = [explain(backup.exit_code, backup.stdout_tail)]
    if not expire.ok:  # 2.59 writes nothing where nothing goes
        told.append(explain(expire.exit_code, expire.stdout))
    assert [each.code for each in told] == [47, 104][: len(told)]
    for each in told:
        assert each.meaning == "a path of the repository or of pgBackRest may not be used"
        assert str(site.repository / "backup") in each.said


def test_a_lock_that_may_not_be_taken_is_no_lock_that_another_holds(site: Site) -> None:
    site.run("rm", "-f", *(str(site.top / "lock" / name) for name in LOCKS))
    site.run("chmod", "a-w", str(site.top / "lock"))
    try:
        fault = site.fault(backup_argv(site.stanza, "full"))
    finally:
        site.run("chmod", "u+w", str(site.top / "lock"))
    assert (fault.exit_code, fault.meaning) == (50, "a path of the repository or of pgBackRest may not be used")


@contextlib.contextmanager
def _small_disk(place: Path) -> Iterator[None]:
    from pgops.hosts.process import run

    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    mounted = run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=0777", "tmpfs", str(place)], timeout_s=10)
    if not mounted.ok:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.fault}")
    try:
        yield
    finally:
        run(["umount", str(place)], timeout_s=10)


def test_a_full_disk(site: Site) -> None:
    small = site.top / "small"
    site.run("mkdir", str(small))
    with _small_disk(small):
        site.write_config({"job-retry": "0"}, repository=small)
        site.run("pgbackrest", f"--config={site.config}", "--stanza=demo", "stanza-create")
        fault = site.fault(backup_argv(site.stanza, "full"))
    assert fault.exit_code == 64
    assert fault.meaning == "a file cannot be written, mostly since its file system is full"
    assert str(small) in str(fault)
    assert "expire --dry-run" in fault.next_step


def test_a_restore_of_what_is_not_there(site: Site) -> None:
    site.run("mkdir", "-p", "-m", "700", str(site.top / "empty"))
    aside = site.write_config(config=site.top / "aside.conf", server=site.top / "empty")
    of_set = site.fault(restore_argv(aside, backup_set=NO_BACKUP))
    early = site.fault(restore_argv(aside, target_type="time", target="2020-01-01 00:00:00+00"))
    for fault in (of_set, early):
        assert (fault.exit_code, "no backup fits" in fault.meaning) == (75, True)
        assert "pgops backup window" in fault.next_step


def test_a_restore_over_what_is_there(site: Site) -> None:
    assert site.fault(restore_argv(site.stanza)).exit_code == 38
    filled = site.write_config(config=site.top / "filled.conf", server=site.top)
    assert site.fault(restore_argv(filled)).exit_code == 40


def test_a_passphrase_that_does_not_fit(site: Site) -> None:
    cipher = {"repo1-cipher-type": "aes-256-cbc", "repo1-cipher-pass": "wr0ng-passphrase"}
    fault = site.fault(backup_argv(site.write_config(cipher, config=site.top / "cipher.conf"), "full"))
    assert (fault.exit_code, "decryption failed" in fault.meaning) == (95, True)
    assert "wr0ng-passphrase" not in f"{fault} {fault.stdout_tail} {fault.stderr_tail}"


def test_a_repository_host_that_does_not_answer(site: Site) -> None:
    remote = {"repo1-host": "127.63.1.9", "repo1-host-user": "nobody", "repo1-host-cmd": "pgbackrest"}
    fault = site.fault(check_argv(site.write_config(remote, config=site.top / "remote.conf")))
    assert (fault.exit_code, fault.meaning) == (125, "the other host of pgBackRest cannot be reached over ssh")
    assert "127.63.1.9" in str(fault)


def test_archiving_is_off(site: Site) -> None:
    site.query("alter system set archive_mode = off")
    site.stop()
    site.start()
    try:
        fault = site.fault(check_argv(site.stanza))
    finally:
        site.query("alter system reset archive_mode")
        site.stop()
        site.start()
    assert (fault.exit_code, fault.meaning) == (87, "archive_mode of PostgreSQL is off")


def test_no_answer_in_time(site: Site) -> None:
    fault = site.fault(info_argv(site.stanza), timeout_s=0.001)
    assert fault.exit_code is None
    assert "no answer within" in str(fault)


def _archive_with(site: Site, command: str | None) -> None:
    """Archive by this command; None: by the right one again, and everything is archived."""
    site.query(
        "alter system reset archive_command" if command is None else f"alter system set archive_command = '{command}'"
    )
    site.query("select pg_reload_conf()")
    if command is None:
        site.write_config()
        site.pgbackrest(check_argv(site.stanza))
