"""An operator's desk, from which pgops acts over SSH."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from hosts.harness import network
from hosts.harness.cluster import PatroniCluster
from hosts.harness.health import PGOPS, Seen, run_health
from pgops.hosts.process import CommandResult


class Desk:
    """pgops with its configuration and a state directory of its own; `login` is who it is on the hosts."""

    def __init__(self, cluster: PatroniCluster, state: Path, login: str = "root") -> None:
        self._operator = cluster.hosts.operator
        self._config = cluster.pgops_yml(self._operator.directory / f"acting-{login}.yml", login=login)
        self._state = state

    def pgops(self, *words: str, timeout_s: float = 120.0) -> CommandResult:
        return self._operator.run(self._argv(*words), timeout_s=timeout_s, environment=self._environment)

    def _argv(self, *words: str) -> list[str]:
        return [str(PGOPS), "-c", str(self._config), *words]

    @property
    def _environment(self) -> dict[str, str]:
        return {"PGOPS_STATE_DIR": str(self._state)}

    def done(self, *words: str, timeout_s: float = 120.0) -> str:
        result = self.pgops(*words, timeout_s=timeout_s)
        assert result.exit_code == 0, f"{words}: {result.fault}\n{result.stdout}\n{result.stderr}"
        return result.stdout + result.stderr

    def on_a_terminal(self, *words: str) -> str:
        """What pgops writes to a terminal, a wide one. It must end well."""
        result = self._operator.run(
            ["script", "-qec", shlex.join(self._argv(*words)), os.devnull],
            timeout_s=120,
            environment={**self._environment, "COLUMNS": "200"},
        )
        assert result.exit_code == 0, result.stdout
        return result.stdout

    def health(self, *options: str) -> Seen:
        return run_health(self._operator, self._config, *options)

    def start(self, *words: str) -> int:
        """Start pgops in a session of its own and leave it to itself; the process id, which is the session's."""
        argv = ["ip", "netns", "exec", network.OPERATOR, *self._argv(*words)]
        world = {**os.environ, "HOME": str(self._operator.directory), **self._environment}
        silent = [(os.POSIX_SPAWN_OPEN, handle, os.devnull, os.O_RDWR, 0) for handle in (0, 1, 2)]
        return os.posix_spawnp(argv[0], argv, world, file_actions=silent, setsid=True)
