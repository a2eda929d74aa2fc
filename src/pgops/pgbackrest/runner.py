"""Runs a pgBackRest command on a host and waits for it; long ones are jobs instead (`pgops.hosts.jobs`)."""

from __future__ import annotations

from collections.abc import Sequence

from pgops.hosts.host import Host, HostFault, Identity
from pgops.hosts.process import OUTPUT_LIMIT_BYTES, CommandResult
from pgops.pgbackrest.exit_codes import explain
from pgops.render.text import printable

_TAIL = 2000


class PgbackrestFault(HostFault):
    """A pgBackRest command failed. The text says what it said and what that means; `next_step` what to do.

    `exit_code` None: it gave no answer in time. `stdout_tail` and `stderr_tail` are the ends of what it printed.
    """

    def __init__(self, result: CommandResult) -> None:
        self.argv = result.argv
        self.exit_code = result.exit_code
        self.stdout_tail = printable(result.stdout[-_TAIL:])
        self.stderr_tail = printable(result.stderr[-_TAIL:])
        explanation = explain(result.exit_code, f"{result.stdout[-_TAIL:]}\n{result.stderr[-_TAIL:]}")
        self.meaning = explanation.meaning
        self.next_step = explanation.next_step
        said = result.fault if result.exit_code in (None, 0) or result.truncated else explanation.told
        super().__init__(printable(said))


def run_pgbackrest(
    host: Host,
    argv: Sequence[str],
    *,
    timeout_s: float,
    limit_bytes: int = OUTPUT_LIMIT_BYTES,
    identity: Identity = Identity.OWNER,
) -> CommandResult:
    """Run it, as the owner of PostgreSQL's files. Raises `PgbackrestFault`, and `HostFault` for a host out of reach."""
    result = host.run(argv, identity=identity, timeout_s=timeout_s, limit_bytes=limit_bytes)
    if not result.ok:
        raise PgbackrestFault(result)
    return result
