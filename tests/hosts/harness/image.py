"""The base image of a host: Debian with the packages of the guide, built once and kept for later runs.

Sources: debootstrap(8); invoke-rc.d(8) on policy-rc.d; createcluster.conf of Debian's postgresql-common.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hosts.harness.apt_sources import read_sources
from hosts.harness.command import call

CACHE = Path("/var/cache/pgops-tests")
"""Readable by root alone: whoever can write an image is root on every host booted from it."""

_PACKAGES = (
    *("systemd-sysv", "dbus", "openssh-server", "sudo", "procps", "iproute2", "curl", "python3", "ca-certificates"),
    *(
        "postgresql",
        "patroni",
        "python3-psycopg2",
        "python3-etcd",
        "etcd-server",
        "etcd-client",
        "pgbackrest",
        "haproxy",
    ),
)
_STOCK_UNITS = ("postgresql", "patroni", "etcd", "haproxy", "ssh")
_UNWANTED_UNITS = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "dpkg-db-backup.timer",
)
_APT = ("apt-get", "-q", "-y", "-o", "Dpkg::Use-Pty=0", "-o", "Acquire::Retries=3")
_BUILD_TIMEOUT_S = 1800.0


def ensure_image(release: str) -> Path:
    """The root directory of the image of this Debian release, building it first where there is none.

    The name holds a digest of this file, so a changed recipe builds anew, and older images of the release go.
    Raises `HarnessFault` with the output of the step that failed.
    """
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    CACHE.mkdir(mode=0o700, parents=True, exist_ok=True)
    CACHE.chmod(0o700)
    image = CACHE / f"{release}-{recipe}"
    with _lock(CACHE / f"{release}.lock"):
        if not image.is_dir():
            for old in CACHE.glob(f"{release}-*"):
                shutil.rmtree(old)
            building = CACHE / f"{release}-building"
            _build(release, building)
            building.rename(image)
    return image


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _build(release: str, root: Path) -> None:
    sources = read_sources(release)
    call(["debootstrap", "--variant=minbase", release, str(root), sources[0].uri], timeout_s=_BUILD_TIMEOUT_S)
    entries = [f"deb {source.uri} {source.suite} {' '.join(source.components)}\n" for source in sources]
    (root / "etc/apt/sources.list").write_text("".join(entries))
    for path in (*Path("/etc/apt/apt.conf.d").iterdir(), Path("/etc/resolv.conf")):
        shutil.copy(
            path, root / path.relative_to("/")
        )  # proxies and the like: the image reaches what this machine reaches
    # Nothing may start while packages are installed, and no stock cluster may be made.
    _write(root / "usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
    _write(root / "etc/postgresql-common/createcluster.conf", "create_main_cluster = false\nstart_conf = 'manual'\n")
    in_image = ("chroot", str(root), "env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8")
    call([*in_image, *_APT, "update"], timeout_s=_BUILD_TIMEOUT_S)
    call([*in_image, *_APT, "install", "--no-install-recommends", *_PACKAGES], timeout_s=_BUILD_TIMEOUT_S)
    call([*in_image, "apt-get", "clean"])
    _disarm(root)


def _disarm(root: Path) -> None:
    """Leave nothing in the image that starts by itself, identifies a host, or knows how packages were reached."""
    call(["chroot", str(root), "systemctl", "disable", *_STOCK_UNITS])
    call(["chroot", str(root), "systemctl", "mask", *_UNWANTED_UNITS])
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    for leftover in ("usr/sbin/policy-rc.d", "etc/resolv.conf", "etc/apt/sources.list", "etc/hostname"):
        (root / leftover).unlink(missing_ok=True)
    shutil.rmtree(root / "var/lib/apt/lists")
    # Empty, not absent: absent means a first boot, on which systemd would enable every unit again (machine-id(5)).
    (root / "etc/machine-id").write_text("")


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
