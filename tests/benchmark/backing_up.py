"""What `pgops backup` adds to pgBackRest: the seconds of a whole backup that pgBackRest did not take itself."""

from __future__ import annotations

import os
import re
from pathlib import Path
from statistics import median

from pgops.hosts.process import run

_ENDED = re.compile(r"command end: completed successfully \((\d+)ms\)")


def measure_backup(pgops: str, config: str, node: str, logs: Path, rounds: int) -> float:
    """The median of the seconds beside pgBackRest's own, of incremental backups with their expiry on the leader `node`.

    `logs` is where pgBackRest of that node writes its log files; its own time is what they say at the end of a command.
    """
    beside = []
    for _ in range(rounds):
        before = {path: path.stat().st_size for path in logs.glob("*.log")}
        argv = [pgops, "-c", config, "backup", "--type", "incr", "--node", node, "-q"]
        result = run(argv, timeout_s=120, env=os.environ)
        if result.exit_code != 0:
            raise SystemExit(f"pgops backup: {result.fault}")
        own_ms = sum(_own_ms(path, before.get(path, 0)) for path in logs.glob("*.log") if "archive" not in path.name)
        beside.append(result.duration_s - own_ms / 1000)
    return median(beside)


def _own_ms(path: Path, start: int) -> int:
    with path.open("rb") as file:
        file.seek(start)
        return sum(int(number) for number in _ENDED.findall(file.read().decode()))
