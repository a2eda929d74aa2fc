"""The Python environments with Patroni and supervisor: built once, aside, and shared by all labs of this home."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pgops.errors import PgopsError
from pgops.hosts.process import CommandResult, run
from pgops_lab import lab as labs
from pgops_lab import places
from pgops_lab.locks import locked

REQUIREMENTS: dict[str, tuple[str, ...]] = {
    # patroni 3.0 imports only with an older ydiff; supervisor asks setuptools for pkg_resources on older Pythons
    "4.1": ("patroni[etcd3,psycopg3]>=4.1.5,<4.2", "psycopg[binary]", "supervisor>=4.3,<5", "setuptools<81"),
    "3.0": ("patroni[etcd3,psycopg3]==3.0.2", "ydiff<1.3", "psycopg[binary]", "supervisor>=4.3,<5", "setuptools<81"),
}
VERSIONS = tuple(REQUIREMENTS)
NEWEST = "4.1"
_RECIPE = "requirements.txt"


def prepare(patroni: str, tell: Callable[[str], None]) -> Path:
    """The environment with this Patroni, made when it is missing or was made of other packages. Gives its directory."""
    link = places.environment_dir(patroni)
    with locked(
        link.parent / ".lock", waiting_for="another pgops is preparing an environment", tell=tell, timeout_s=600
    ):
        if _is_current(link, patroni):
            return link.resolve()
        return _build(link, patroni, tell)


def remove_all() -> None:
    """Remove every environment, and the lab home itself where nothing else is in it."""
    home = places.home()
    shutil.rmtree(home / "envs", ignore_errors=True)
    for directory in (home / "labs", home):
        try:
            directory.rmdir()
        except OSError:
            return  # somebody's files are there


def _is_current(link: Path, patroni: str) -> bool:
    try:
        recipe = (link / _RECIPE).read_text()
    except OSError:
        return False
    return recipe == _recipe(patroni) and (link / "bin/python").exists()


def _recipe(patroni: str) -> str:
    return "\n".join(REQUIREMENTS[patroni]) + "\n"


def _build(link: Path, patroni: str, tell: Callable[[str], None]) -> Path:
    started = time.monotonic()
    python = _choose_python()
    # a directory of its own and a link to it: scripts name their interpreter by its path, so it cannot be renamed
    directory = link.with_name(f"{link.name}.{os.getpid()}.{int(time.time())}")
    mask = os.umask(0o022)
    try:
        tell(f"preparing Patroni {patroni} and supervisor for {python} (once; kept in {link})")
        _do([python, "-m", "venv", str(directory)], "a virtual environment cannot be made", tell, timeout_s=120)
        pip = [str(directory / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _do(
            [*pip, "--no-input", "--no-compile", *REQUIREMENTS[patroni]],
            "the packages cannot be installed",
            tell,
            timeout_s=600,
        )
        _check(directory)
        (directory / _RECIPE).write_text(_recipe(patroni))
        aside = link.with_name(f"{link.name}.new")
        aside.unlink(missing_ok=True)
        aside.symlink_to(directory.name)
        aside.replace(link)
        _prune(link)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    finally:
        os.umask(mask)
    tell(f"prepared Patroni {patroni} ({time.monotonic() - started:.0f} s)")
    return directory


def _prune(link: Path) -> None:
    """Remove what was built before, or was cut off half built, unless a lab runs on it."""
    try:
        used = {labs.load(name).environment for name in labs.names()} | {link.resolve()}
    except PgopsError:
        return  # a lab that cannot be read may run on any of them
    for directory in link.parent.glob(f"{link.name}.*"):
        if directory not in used:
            shutil.rmtree(directory, ignore_errors=True)


def _choose_python() -> str:
    """A Python that the lab's user can read and that can make virtual environments."""
    faults = []
    for candidate in dict.fromkeys(["/usr/bin/python3", str(Path(sys.executable).resolve())]):
        test = "import ensurepip, venv, sys; sys.exit(sys.version_info < (3, 9))"
        result = run([candidate, "-c", test], timeout_s=20, user=places.lab_user(), env={"LANG": "C.UTF-8"}, cwd="/")
        if result.ok:
            return candidate
        faults.append(f"{candidate}: {result.fault}")
    raise PgopsError(
        "no Python can serve the practice cluster", why="\n".join(faults), next_step="apt-get install python3-venv"
    )


def _check(directory: Path) -> None:
    """The lab's user must be able to run what was built."""
    argv = [str(directory / "bin/patroni"), "--version"]
    result = run(argv, timeout_s=30, user=places.lab_user(), env={"LANG": "C.UTF-8"}, cwd="/")
    if not result.ok:
        raise PgopsError(
            f"Patroni cannot be run by the user {places.lab_user() or 'that you are'}",
            where=argv[0],
            why=result.fault,
            next_step="set PGOPS_LAB_HOME to a directory that this user may enter",
        )


def _do(argv: Sequence[str], what: str, tell: Callable[[str], None], *, timeout_s: float) -> None:
    """Run `argv` with the caller's environment (its proxy and package index settings count), saying that it goes on."""
    results: list[CommandResult] = []
    worker = threading.Thread(
        target=lambda: results.append(run(argv, timeout_s=timeout_s, env=os.environ, cwd="/")), daemon=True
    )
    started = time.monotonic()
    worker.start()
    while worker.is_alive():
        worker.join(10)
        if worker.is_alive():
            tell(f"  still at it, {time.monotonic() - started:.0f} s")
    result = results[0]
    if not result.ok:
        lines = [line for line in (result.stderr or result.stdout).splitlines() if line.strip()]
        raise PgopsError(what, where=argv[0], why="\n".join(lines[-4:]) or result.fault)
