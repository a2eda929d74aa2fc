"""The suite's own health checks, in the order in which they are shown among equals."""

from pgops.checks import Check
from pgops_health.checks import archive, backup, capacity, dcs, deep, machine, replication, runs, server, topology

CHECKS: tuple[Check, ...] = (
    *topology.CHECKS,
    *dcs.CHECKS,
    *runs.CHECKS,
    *replication.CHECKS,
    *capacity.CHECKS,
    *archive.CHECKS,
    *backup.CHECKS,
    *server.CHECKS,
    *machine.CHECKS,
    *deep.CHECKS,
)
