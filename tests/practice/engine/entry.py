"""pgops in a process that meets a blow: `entry.py '{"at": 1, "after": false, "signal": "SIGKILL"}' pause --reason x`.

With "host" it says that it runs there; the signal "BUG" is an error raised; with "record" the argv and
environment of every child go to that file.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pgops.dcs import Dcs, Put
from pgops.engine import operator, real_world
from pgops.engine.lock import Lock
from pgops.observe.snapshot import Snapshot, View
from pgops.plan.actions import Action
from pgops.plan.step import Pinned
from pgops.testing.killing import Blow, KillingWorld, send_oneself


def strike(at: int, *, after: bool, blow: Blow) -> None:
    """Let every real world of this process be one that meets the blow."""
    real = real_world.RealWorld

    class Struck(real):  # type: ignore[misc, valid-type]
        def __init__(self, cluster: Any, dcs: Dcs, warnings: tuple[str, ...] = ()) -> None:
            super().__init__(cluster, dcs, warnings)
            self._killing = KillingWorld(real(cluster, dcs, warnings), at, after=after, blow=blow)

        def observe(self, views: frozenset[View], hosts: frozenset[str] | None) -> Snapshot:
            return self._killing.observe(views, hosts)

        def perform(self, action: Action, lock: Lock, now: Snapshot, tied: Sequence[Put] = ()) -> None:
            self._killing.perform(action, lock, now, tied)

    real_world.RealWorld = Struck  # type: ignore[misc]


def err() -> None:
    """A bug, for the traceback that it gives."""
    raise RuntimeError("a bug that the test put there")


def move_to(host: str) -> None:
    """Say that this is another host."""
    here = operator.pin

    def pin() -> Pinned:
        return replace(here(), host=host)

    operator.pin = pin


def record_children(path: str) -> None:
    """Write down the argv and environment of every child, as the kernel gets them."""

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen":
            _, argv, _, environment = arguments
            seen = {"argv": [str(word) for word in argv], "env": dict(environment or os.environ)}
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(json.dumps(seen, default=str) + "\n")

    sys.addaudithook(hear)


def begin(options: dict[str, Any], arguments: list[str]) -> int:
    """Run pgops as the options say; its exit code."""
    if "record" in options:
        record_children(options["record"])
    if "host" in options:
        move_to(options["host"])
    if "at" in options:
        name = options.get("signal", "SIGKILL")
        blow = err if name == "BUG" else send_oneself(signal.Signals[name])
        strike(options["at"], after=options.get("after", False), blow=blow)
    from pgops.cli.run import run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(begin(json.loads(sys.argv[1]), sys.argv[2:]))
