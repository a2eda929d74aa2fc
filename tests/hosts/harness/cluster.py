"""A Patroni cluster on the hosts, installed as the guide says, and the incidents that happen to its hosts."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from hosts.harness import guide, network
from hosts.harness.boot import Hosts
from hosts.harness.command import HarnessFault
from hosts.harness.machine import Machine
from hosts.harness.operator import HOST_USER
from hosts.harness.pgops_yml import render
from hosts.harness.rights import ROOT_SUDOERS, SUDOERS, sudoers

T = TypeVar("T")

MONITOR_ROLE = "pgops"
_CALM = """
SELECT (SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn >= pg_current_wal_flush_lsn()),
       (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready')
"""
_TIMELINE = """
SELECT CASE WHEN pg_is_in_recovery() THEN (SELECT received_tli FROM pg_stat_wal_receiver)
            ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END
"""
_WRITE = "SELECT pg_logical_emit_message(true, 'pgops-tests', 'a client writes')"
_UNITS = ("etcd", "patroni", "haproxy")


class PatroniCluster:
    """etcd, Patroni, PostgreSQL, pgBackRest and HAProxy on every one of the hosts."""

    def __init__(self, hosts: Hosts) -> None:
        self.hosts = hosts
        addresses = {name: machine.address for name, machine in hosts.machines.items()}
        version = sorted(path.name for path in (hosts[hosts.names[0]].root / "usr/lib/postgresql").iterdir())[-1]
        passwords = guide.Passwords(*(secrets.token_hex(16) for _ in range(4)))
        self.plan = guide.Plan(addresses, network.SUBNET, version, passwords)

    def install(self) -> None:
        """Configure and start everything, make the stanza, take a full backup, and wait until all is well."""
        for name, machine in self.hosts.machines.items():
            machine.write("/etc/default/etcd", guide.etcd_defaults(self.plan, name))
            machine.write("/etc/patroni/config.yml", guide.patroni_yml(self.plan, name), owner="postgres", mode=0o600)
            machine.write("/etc/pgbackrest.conf", guide.pgbackrest_conf(self.plan), owner="postgres", mode=0o640)
            machine.write("/etc/haproxy/haproxy.cfg", guide.haproxy_cfg(self.plan))
            machine.call(["install", "-d", "-o", "postgres", "-g", "postgres", self.plan.config_dir])
            for file, text in guide.postgresql_files(self.plan).items():
                machine.write(f"{self.plan.config_dir}/{file}", text, owner="postgres", mode=0o640)
            self.grant(name)
            machine.call(["systemctl", "enable", "--quiet", *_UNITS])
            # etcd's start waits for a quorum, which the other hosts are still to bring.
            machine.call(["systemctl", "start", "--no-block", *_UNITS])
        leader = self.wait_for_leader()
        password = self.plan.passwords.monitor
        role = f"CREATE ROLE {MONITOR_ROLE} LOGIN PASSWORD '{password}' IN ROLE pg_monitor"
        self.hosts[leader].call(["psql", "-qc", role], user="postgres")
        for command in (["stanza-create"], ["--type=full", "backup"]):
            argv = ["pgbackrest", f"--stanza={guide.STANZA}", *command]
            self.hosts[leader].call(argv, user="postgres", timeout_s=180.0)
        self.wait_until_well()

    def grant(self, name: str) -> None:
        """Give the plain operator his sudoers lines on a host; visudo must find no fault with them."""
        machine = self.hosts[name]
        machine.write(SUDOERS, sudoers(self.plan), mode=0o440)
        machine.call(["visudo", "--check", "--strict", "--file", SUDOERS])

    def revoke(self, name: str) -> None:
        """Take the sudoers lines away."""
        (self.hosts[name].root / SUDOERS.lstrip("/")).unlink()

    def grant_root(self, name: str) -> None:
        """Allow the plain operator all of root on a host, which he needs to act."""
        self.hosts[name].write(ROOT_SUDOERS, f"{HOST_USER} ALL=(ALL) NOPASSWD: ALL\n", mode=0o440)

    def revoke_root(self, name: str) -> None:
        """Take that away again."""
        (self.hosts[name].root / ROOT_SUDOERS.lstrip("/")).unlink(missing_ok=True)

    def sql(self, name: str, statement: str) -> list[list[str]]:
        """The rows of a statement on this host's own PostgreSQL, over its socket. Raises `HarnessFault`."""
        said = self.hosts[name].call(["psql", "-qXAtF\t", "-c", statement], user="postgres")
        return [line.split("\t") for line in said.splitlines()]

    def pgops_yml(self, path: Path, *, login: str = HOST_USER, addresses: bool = False) -> Path:
        """Write the operator's pgops.yml, with `login` (`HOST_USER` or root) on the hosts; gives the path.

        `addresses` writes the members' own addresses down, which else only their keys in the DCS tell.
        """
        path.write_text(render(self.plan, self.hosts.operator.ssh_config, login, MONITOR_ROLE, addresses=addresses))
        path.chmod(0o600)
        if login == HOST_USER:
            self.hosts.operator.hand_over(path)
        return path

    def status(self, name: str) -> dict[str, Any] | None:
        """What Patroni on this host says of itself, asked on the host; None when it does not say anything."""
        url = f"http://{self.plan.addresses[name]}:8008/patroni"
        answer = self.hosts[name].run(["curl", "-s", "--max-time", "2", url])
        try:
            found = json.loads(answer.stdout)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def primaries(self) -> list[str]:
        """The running hosts whose own PostgreSQL says, over its socket, that it is not in recovery."""
        ask = ["psql", "-AtXc", "SELECT pg_is_in_recovery()"]
        running = [name for name, machine in self.hosts.machines.items() if machine.is_on]
        return [name for name in running if self.hosts[name].run(ask, user="postgres").stdout.strip() == "f"]

    def wait_for_leader(self, timeout_s: float = 120.0) -> str:
        """The one host that is primary by Patroni's word. Raises `HarnessFault`."""

        def find() -> str | None:
            told = {name: self.status(name) for name, machine in self.hosts.machines.items() if machine.is_on}
            leaders = [name for name, reply in told.items() if reply and reply.get("role") in ("primary", "master")]
            return leaders[0] if len(leaders) == 1 else None

        return self._wait(find, timeout_s, "no Patroni became primary")

    def wait_for_leader_beside(self, name: str, timeout_s: float = 90.0) -> str:
        """The primary among the other hosts, once there is one. Raises `HarnessFault`."""

        def find() -> str | None:
            others = [other for other in self.primaries() if other != name]
            return others[0] if others else None

        return self._wait(find, timeout_s, f"no host beside {name} became primary")

    def wait_until_well(self, timeout_s: float = 120.0) -> str:
        """Wait for one primary, to which all others stream without lag, nothing left to archive, and every etcd well.

        Gives the primary's name. Raises `HarnessFault`.
        """

        def find() -> str | None:
            primaries = self.primaries()
            if len(primaries) != 1:
                return None
            leader = self.hosts[primaries[0]]
            seen = leader.run(["psql", "-AtXF ", "-c", _CALM], user="postgres").stdout.split()
            calm = seen == [str(len(self.hosts.names) - 1), "0"]
            if not calm:
                # A rewound replica is consistent at the primary's insert position, which may lie behind its last record:
                # with no client writing, the next record could be minutes away.
                leader.run(["psql", "-qXc", _WRITE], user="postgres")
            # A member that went its own way streams for a moment, ahead of the leader, before it is rewound.
            together = calm and len({self._timeline(name) for name in self.hosts.names}) == 1
            ready = together and all(self._serves(name) for name in self.hosts.names)
            return primaries[0] if ready else None

        return self._wait(find, timeout_s, "the cluster did not become well")

    def wait_for_answer(self, name: str, statement: str, answer: str, timeout_s: float = 120.0) -> None:
        """Wait until PostgreSQL on this host answers the statement so. Raises `HarnessFault`."""
        ask = ["psql", "-AtXc", statement]
        self._wait(
            lambda: self.hosts[name].run(ask, user="postgres").stdout.strip() == answer or None,
            timeout_s,
            f"{name} did not answer {answer} to {statement}",
        )

    def freeze_patroni(self, name: str) -> None:
        """Stop Patroni's process as a stuck disk or a paused machine would; its PostgreSQL runs on."""
        self.hosts[name].call(["systemctl", "kill", "--kill-whom=main", "--signal=SIGSTOP", "patroni"])

    def thaw_patroni(self, name: str) -> None:
        """Let Patroni go on."""
        self.hosts[name].call(["systemctl", "kill", "--kill-whom=main", "--signal=SIGCONT", "patroni"])

    def kill_patroni(self, name: str) -> None:
        """Kill Patroni's process alone, stopped or not; systemd starts it again (Restart=on-failure)."""
        self.hosts[name].call(["systemctl", "kill", "--kill-whom=main", "--signal=SIGKILL", "patroni"])

    def wait_for_second_primary(self, timeout_s: float = 90.0) -> list[str]:
        """Wait until two hosts take writes; gives their names."""
        return self._wait(
            lambda: found if len(found := self.primaries()) > 1 else None, timeout_s, "no second primary came up"
        )

    def patronictl_list(self, name: str) -> list[dict[str, Any]]:
        """What `patronictl list` on this host says of the members."""
        argv = ["patronictl", "-c", "/etc/patroni/config.yml", "list", "-f", "json"]
        found: list[dict[str, Any]] = json.loads(self.hosts[name].call(argv, user="postgres"))
        return found

    def logs(self) -> str:
        """The end of every running host's journal of our units, for the message of a failure."""
        parts = []
        for name, machine in self.hosts.machines.items():
            if machine.is_on:
                parts.append(f"--- {name}\n{_journal(machine)}")
        return "\n".join(parts)

    def _timeline(self, name: str) -> str:
        """The timeline that PostgreSQL on this host writes or receives; empty when it does not say."""
        return self.hosts[name].run(["psql", "-AtXc", _TIMELINE], user="postgres").stdout.strip()

    def _serves(self, name: str) -> bool:
        """Whether Patroni and etcd on this host both say that they are ready."""
        address = self.plan.addresses[name]
        urls = (f"http://{address}:8008/readiness", f"http://{address}:2379/health")
        return self.hosts[name].run(["curl", "-sf", "--max-time", "2", "--fail-early", *urls]).ok

    def _wait(self, find: Callable[[], T | None], timeout_s: float, otherwise: str) -> T:
        deadline = time.monotonic() + timeout_s
        while (found := find()) is None:
            if time.monotonic() > deadline:
                raise HarnessFault(f"{otherwise} within {timeout_s:.0f} s\n{self.logs()}")
            time.sleep(0.5)
        return found


def _journal(machine: Machine) -> str:
    units = [part for unit in _UNITS for part in ("-u", unit)]
    return machine.run(["journalctl", "--no-pager", "-n", "40", "-o", "short-precise", *units]).stdout
