"""Who may read a configuration that holds secrets."""

from __future__ import annotations

import contextlib
import grp  # noqa: F401 - the child may not be able to read it any more
import os
import pwd
import stat
from pathlib import Path

import pytest

from pgops.config.loader import load
from pgops.errors import ConfigError
from unit.config.texts import read, refusal, write

_SECRET = "version: 1\nclusters: {a: {dcs: {kind: etcd3, endpoints: [h], password: pw}}}\n"
_OPEN = "version: 1\nclusters: {a: {dcs: {kind: etcd3, endpoints: [h]}, hosts: {n: {ssh: 'ssh://me@h'}}}}\n"
_PATRONI = "scope: a\netcd3: {host: h}\nrestapi: {authentication: {username: u, password: pw}}\n"

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to change owners")


def _give(path: Path, user: str) -> None:
    os.chown(path, pwd.getpwnam(user).pw_uid, -1)


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o664])
def test_a_world_readable_pgops_yml_with_secrets_is_refused(tmp_path: Path, mode: int) -> None:
    file = write(tmp_path / "p.yml", _SECRET, mode)
    error = refusal(file)
    assert "everybody may read" in error.what and error.where == str(file)
    assert (error.next_step or "").startswith("chmod ") and str(file) in (error.next_step or "")
    os.chmod(file, 0o600)  # noqa: PTH101 - the way a person would
    assert read(file).clusters


@pytest.mark.parametrize(
    "secret",
    [
        "rest: {password: x}",
        "sql: {sslpassword: x}",
        "rest: {tls: {key_password: x}}",
        "dcs: {kind: etcd3, endpoints: ['http://u:pw@h']}",
    ],
)
def test_every_kind_of_secret_counts(tmp_path: Path, secret: str) -> None:
    file = write(tmp_path / "p.yml", f"version: 1\ndefaults: {{{secret}}}\nclusters: {{a: }}\n", 0o644)
    assert "everybody may read" in refusal(file).what


def test_without_secrets_everybody_may_read(tmp_path: Path) -> None:
    assert read(write(tmp_path / "p.yml", _OPEN, 0o644)).warnings == ()


def test_nobody_but_the_owner_may_write(tmp_path: Path) -> None:
    error = refusal(write(tmp_path / "p.yml", _OPEN, 0o646))
    assert "everybody may write" in error.what and "chmod o-w" in (error.next_step or "")


@as_root
def test_the_group_may_read_what_root_owns(tmp_path: Path) -> None:
    file = write(tmp_path / "p.yml", _SECRET, 0o640)
    assert read(file).clusters
    _give(file, "daemon")
    assert "its group may read" in refusal(file).what and "chmod 600" in (refusal(file).next_step or "")


def test_a_world_readable_patroni_yml_is_a_warning(tmp_path: Path) -> None:
    file = write(tmp_path / "patroni.yml", _PATRONI, 0o644)
    (warning,) = read(file).warnings
    assert str(file) in warning and "everybody may read" in warning and "pw" not in warning.replace(str(file), "")
    file.chmod(0o640)
    assert read(file).warnings == ()
    assert read(write(file, "scope: a\netcd3: {host: h}\n", 0o644)).warnings == ()


def test_the_warning_also_comes_by_way_of_pgops_yml(tmp_path: Path) -> None:
    write(tmp_path / "patroni.yml", _PATRONI, 0o644)
    file = write(
        tmp_path / "p.yml", "version: 1\nclusters: {a: {patroni_config: patroni.yml}, b: {patroni_config: patroni.yml}}"
    )
    assert len(read(file).warnings) == 1


def test_a_world_readable_password_file_is_a_fault(tmp_path: Path) -> None:
    write(tmp_path / "secret", "pw\n", 0o644)
    file = write(
        tmp_path / "p.yml", "version: 1\nclusters: {a: {dcs: {kind: etcd3, endpoints: [h], password_file: secret}}}"
    )
    assert "dcs.password_file: everybody may read the file" in (refusal(file).why or "")


def _as_nobody(path: Path) -> str:
    """What loading says to a user who owns nothing; runs in a child, which drops root."""
    with contextlib.suppress(ConfigError):
        load(str(path), environ={})  # so that every module is imported while they can be read
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        nobody = pwd.getpwnam("nobody")
        os.setresgid(nobody.pw_gid, nobody.pw_gid, nobody.pw_gid)
        os.setresuid(nobody.pw_uid, nobody.pw_uid, nobody.pw_uid)
        try:
            config = load(str(path), environ={})
            said = "|".join(["loaded", *config.warnings])
        except Exception as error:
            said = "\n".join([type(error).__name__, *(str(part) for part in vars(error).values())])
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        said = stream.read().decode()
    os.waitpid(child, 0)
    return said


@as_root
def test_an_operator_who_may_not_read_is_told_the_right_and_the_ways_round(tmp_path: Path) -> None:
    for directory in (tmp_path, *tmp_path.parents):
        if directory != Path("/tmp") and directory.is_relative_to("/tmp"):
            directory.chmod(directory.stat().st_mode | stat.S_IXOTH)
    file = write(tmp_path / "patroni.yml", _PATRONI, 0o600)
    _give(file, "daemon")
    said = _as_nobody(file)
    assert "Unreadable" in said and "user nobody has no read permission" in said
    assert "daemon" in said and "0600" in said
    assert "sudo -u daemon pgops" in said and "pg_monitor" in said

    closed = tmp_path / "closed"
    closed.mkdir(0o700)
    write(closed / "patroni.yml", _PATRONI)
    assert "may not enter the directory" in _as_nobody(closed / "patroni.yml")

    assert "user nobody has no read permission" in _as_nobody(closed)

    own = write(tmp_path / "own.yml", "version: 1\nclusters: {a: {patroni_config: patroni.yml}}", 0o644)
    assert "patroni_config: " in _as_nobody(own) and "has no read permission" in _as_nobody(own)
    write(own, f"version: 1\nclusters: {{a: {{patroni_config: {file}, dcs: {{kind: etcd3, endpoints: [h]}}}}}}", 0o644)
    said = _as_nobody(own)
    assert said.startswith("loaded|") and "only pgops.yml counts" in said
