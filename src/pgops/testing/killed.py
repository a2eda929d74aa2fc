"""pgops as it is, on a real cluster, killed by SIGKILL at one of its effects: `python -m pgops.testing.killed after 1 pause`.

`before N`: everything is written down, and the Nth effect (from 0) has not begun; `after N`: it has happened, and nobody was
told. The arguments that follow are those of `pgops`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from pgops.dcs import Put
from pgops.engine.lock import Lock
from pgops.engine.real_world import RealWorld
from pgops.observe.snapshot import Snapshot
from pgops.plan.actions import Action


def kill_at(number: int, *, after: bool) -> None:
    """From now on this process dies at that effect, counted over all it performs."""
    performed = 0
    perform = RealWorld.perform

    def perform_or_die(self: RealWorld, action: Action, lock: Lock, now: Snapshot, tied: Sequence[Put] = ()) -> None:
        nonlocal performed
        mine, performed = performed, performed + 1
        if mine == number and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        perform(self, action, lock, now, tied)
        if mine == number:
            os.kill(os.getpid(), signal.SIGKILL)

    RealWorld.perform = perform_or_die  # type: ignore[method-assign] # that is what this module is for


def main() -> NoReturn:
    """Run pgops, to be killed at that effect; exits as pgops does where it does not come to it."""
    when, number, *arguments = sys.argv[1:]
    if when not in ("before", "after"):
        sys.exit("before or after which effect?")
    kill_at(int(number), after=when == "after")
    from pgops.cli.run import run

    sys.exit(run(arguments))


if __name__ == "__main__":
    main()
