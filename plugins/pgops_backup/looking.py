"""Looks into archived WAL on a member's host, and remembers what was found."""

from __future__ import annotations

from collections.abc import Sequence

from pgops.config.model import ClusterConfig, HostConfig
from pgops.hosts.factory import open_host
from pgops.hosts.host import Host
from pgops.hosts.remote.program_paths import program_in
from pgops.pgbackrest.commands import Stanza, archive_get_argv
from pgops.readings import Known, Reading
from pgops_backup.last_commit import LastEnd, read_last_end
from pgops_backup.reaches import Tail

_IN_PERSON = "--no-archive-async"
"""Else the segments behind the one that is asked for would be fetched into the host's spool directory as well."""


class Looker:
    """Reads tails of WAL over the first of these hosts that can; close it at the end."""

    def __init__(self, cluster: ClusterConfig, hosts: Sequence[HostConfig]) -> None:
        assert cluster.stanza is not None and hosts  # noqa: S101 - a member saw the stanza
        self._stanza = cluster.stanza
        self._timeout_s = cluster.timeouts.deep_command_s
        self._eyes = [(host, open_host(host, cluster.timeouts)) for host in hosts]
        self._seen: dict[Tail, Reading[LastEnd]] = {}

    def read(self, tail: Tail) -> Reading[LastEnd]:
        """When the last transaction in these segments ended. Where no host can tell, the first one's reason."""
        if tail not in self._seen:
            self._seen[tail] = self._read(tail)
        return self._seen[tail]

    def _read(self, tail: Tail) -> Reading[LastEnd]:
        first: Reading[LastEnd] | None = None
        for number, (config, host) in enumerate(self._eyes):
            found = self._read_on(config, host, tail)
            if isinstance(found, Known):
                self._eyes.insert(0, self._eyes.pop(number))  # who could is asked first from now on
                return found
            first = first or found
        assert first is not None  # noqa: S101 - there is a host
        return first

    def _read_on(self, config: HostConfig, host: Host, tail: Tail) -> Reading[LastEnd]:
        stanza = Stanza(self._stanza, config.pgbackrest_config)
        fetch = archive_get_argv(stanza, "SEGMENT", "DESTINATION", repo=tail.repo_key)[:-2]
        waldump = program_in(config.bin_dir, "pg_waldump")
        return read_last_end(
            host,
            waldump,
            (*fetch, _IN_PERSON),
            tail.names,
            leave_bytes=tail.leave_bytes,
            timeout_s=self._timeout_s,
        )

    def close(self) -> None:
        """End what was kept open."""
        for _, host in self._eyes:
            host.close()
