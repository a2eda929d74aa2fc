"""A lab as a value: its name, its members, their addresses and paths. The marker file on disk holds it."""

from __future__ import annotations

import json
import os
import re
import stat
from dataclasses import asdict, dataclass
from pathlib import Path

from pgops.errors import ConfigError, Refused
from pgops_lab import places

MARKER = ".pgops-lab"
MARKER_VERSION = 1
MOST_MEMBERS = 7
ETCD_CLIENT, ETCD_PEER, POSTGRES, REST = 2379, 2380, 5432, 8008
PRIMARY, REPLICAS, ALL, STATS = 5000, 5001, 5002, 7000
MEMBER_PORTS = (ETCD_CLIENT, ETCD_PEER, POSTGRES, REST)
PROXY_PORTS = (PRIMARY, REPLICAS, ALL, STATS)


@dataclass(frozen=True)
class Member:
    """One node of a lab: a loopback address with the standard ports, and a directory."""

    name: str
    address: str
    directory: Path

    @property
    def data_dir(self) -> Path:
        """PGDATA."""
        return self.directory / "data"

    @property
    def etcd_dir(self) -> Path:
        """etcd's data directory."""
        return self.directory / "etcd"

    @property
    def socket_dir(self) -> Path:
        """PostgreSQL's Unix socket; only the lab's user may enter, so local logins need no password."""
        return self.directory / "run"

    @property
    def patroni_config(self) -> Path:
        """patroni.yml; holds passwords."""
        return self.directory / "patroni.yml"

    @property
    def etcd_config(self) -> Path:
        """etcd's configuration file."""
        return self.directory / "etcd.yml"

    @property
    def pgbackrest_config(self) -> Path:
        """This node's pgbackrest.conf; all of them name the one shared repository."""
        return self.directory / "pgbackrest.conf"

    @property
    def rest_url(self) -> str:
        """Patroni's REST API."""
        return f"http://{self.address}:{REST}"

    @property
    def etcd_url(self) -> str:
        """etcd's client URL."""
        return f"http://{self.address}:{ETCD_CLIENT}"

    @property
    def peer_url(self) -> str:
        """etcd's peer URL."""
        return f"http://{self.address}:{ETCD_PEER}"


@dataclass(frozen=True)
class Lab:
    """A practice cluster. `index` gives its addresses, `size` its number of members, `patroni` the version (`4.1`).

    `user` runs its processes (None: oneself). `pg_bin` and `environment` are directories: PostgreSQL's programs, and
    the Python environment with Patroni and supervisor. `ready` says that all its files were written once.
    """

    name: str
    directory: Path
    index: int
    size: int
    patroni: str
    user: str | None
    pg_bin: str
    environment: Path
    ready: bool = False

    @property
    def members(self) -> tuple[Member, ...]:
        """n1, n2, n3 and so on."""
        return tuple(
            Member(f"n{number}", f"127.20.{self.index}.{10 + number}", self.directory / f"n{number}")
            for number in range(1, self.size + 1)
        )

    def member(self, name: str) -> Member:
        """The member of this name; `ConfigError` names those there are."""
        for member in self.members:
            if member.name == name:
                return member
        known = ", ".join(member.name for member in self.members)
        raise ConfigError("the lab has no such member", where=name, why=f"its members are {known}")

    @property
    def proxy_address(self) -> str:
        """HAProxy's address."""
        return f"127.20.{self.index}.10"

    @property
    def programs(self) -> tuple[str, ...]:
        """The names under which supervisord keeps the processes."""
        names = [member.name for member in self.members]
        return (*(f"etcd-{name}" for name in names), *(f"patroni-{name}" for name in names), "haproxy")

    @property
    def run_dir(self) -> Path:
        """supervisord's and HAProxy's sockets and pid files; only the lab's user may enter."""
        return self.directory / "run"

    @property
    def socket(self) -> Path:
        """supervisord's Unix socket."""
        return self.run_dir / "supervisor.sock"

    @property
    def supervisord_config(self) -> Path:
        """supervisord's configuration file."""
        return self.directory / "supervisord.conf"

    @property
    def log_dir(self) -> Path:
        """One log for each program, PostgreSQL's and pgBackRest's among them."""
        return self.directory / "log"

    @property
    def repo_dir(self) -> Path:
        """The shared pgBackRest repository."""
        return self.directory / "repo"

    @property
    def hold_dir(self) -> Path:
        """A file here named as a program keeps that program from being started."""
        return self.directory / "hold"

    @property
    def pgops_config(self) -> Path:
        """The pgops.yml that every pgops command accepts."""
        return self.directory / "pgops.yml"

    @property
    def pgpass(self) -> Path:
        """libpq's password file for this lab, the caller's own."""
        return self.directory / "pgpass"

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """Every (address, port) that the lab listens on."""
        members = tuple((member.address, port) for member in self.members for port in MEMBER_PORTS)
        return members + tuple((self.proxy_address, port) for port in PROXY_PORTS)


def save(lab: Lab) -> None:
    """Write the marker; a reader sees the old one or the new one, never half of one."""
    content = {"version": MARKER_VERSION} | asdict(lab) | {"environment": str(lab.environment)}
    del content["directory"]
    aside = lab.directory / f"{MARKER}.new"
    aside.write_text(json.dumps(content, indent=2) + "\n")
    aside.replace(lab.directory / MARKER)


def load(name: str) -> Lab:
    """The lab of this name. `Refused` when there is none, or when its directory does not carry our own marker."""
    directory = places.lab_dir(name)
    marker = directory / MARKER
    try:
        seen = marker.lstat()
    except FileNotFoundError:
        why = "the directory is there but has no marker, so it is not touched" if directory.exists() else None
        raise Refused(
            f"there is no lab named {name}", where=str(directory), why=why, next_step=f"pgops lab up --name {name}"
        ) from None
    except OSError as error:
        raise Refused(f"the lab {name} cannot be read", where=str(marker), why=error.strerror) from None
    if not stat.S_ISREG(seen.st_mode) or seen.st_uid != os.geteuid() or directory.is_symlink():
        raise Refused(
            f"the lab {name} is not ours to touch",
            where=str(marker),
            why=f"its marker is not a plain file of user id {os.geteuid()}",
            next_step="run pgops as the user that made the lab",
        )
    try:
        return _parse(name, directory, json.loads(marker.read_text()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refused(
            f"the lab {name} has a marker that cannot be read",
            where=str(marker),
            why=f"{type(error).__name__}: {error}",
        ) from None


def names() -> tuple[str, ...]:
    """The names of all labs under the lab home."""
    try:
        return tuple(sorted(path.parent.name for path in (places.home() / "labs").glob(f"*/{MARKER}")))
    except OSError:
        return ()


def _parse(name: str, directory: Path, content: dict[str, object]) -> Lab:
    if content["version"] != MARKER_VERSION:
        raise ValueError(f"it has version {content['version']}, this pgops knows {MARKER_VERSION}")
    lab = Lab(
        name=str(content["name"]),
        directory=directory,
        index=int(str(content["index"])),
        size=int(str(content["size"])),
        patroni=str(content["patroni"]),
        user=None if content["user"] is None else str(content["user"]),
        pg_bin=str(content["pg_bin"]),
        environment=Path(str(content["environment"])),
        ready=content["ready"] is True,
    )
    if lab.name != name or not 0 < lab.index < 255 or not 0 < lab.size <= MOST_MEMBERS:
        raise ValueError("name, index or size is not what it should be")
    if not re.fullmatch(r"[0-9.]+", lab.patroni):
        raise ValueError("the version of Patroni is not what it should be")
    return lab
