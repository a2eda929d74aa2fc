"""Eight operators at once, round after round: `race.py CONFIG DIRECTORY ROUNDS` prints a line for each round.

They are forks of one warm process, so that all of them are in the race and none is still importing.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
from pathlib import Path

from pgops.cli.run import run

OPERATORS = 8
LIBRARY = ("pgops.dcs.etcd3", "pgops.dcs.etcd3_channel", "grpc", "etcd3")
"""What a run loads in a child of its own."""


def work(start: int, config: str, directory: Path, verb: list[str]) -> int:
    """One operator: wait for the start, run pgops with a journal of one's own; its exit code."""
    os.environ["PGOPS_STATE_DIR"] = str(directory / "state")
    handle = os.open(directory / "said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.read(start, 1)
    return run(["-c", config, *verb])


def race(config: str, top: Path, verb: list[str]) -> list[tuple[int, str]]:
    """One round: the exit code of each, and what it said."""
    start, starter = os.pipe()
    children = []
    for number in range(OPERATORS):
        directory = top / f"operator{number}"
        directory.mkdir(mode=0o700, exist_ok=True)
        child = os.fork()
        if child == 0:
            os.close(starter)
            code = 99
            try:
                code = work(start, config, directory, verb)
            finally:
                sys.stdout.flush()
                os._exit(code)
        children.append((child, directory))
    os.close(start)
    os.close(starter)
    ended = []
    for child, directory in children:
        _, status = os.waitpid(child, 0)
        ended.append((os.waitstatus_to_exitcode(status), (directory / "said").read_text()))
    return ended


def main(config: str, directory: str, count: str) -> None:
    """All rounds; standard input gives the word for each next one, so that the caller may look in between."""
    for number in range(int(count)):
        sys.stdin.readline()
        verb = ["pause", "--reason", f"round {number}"] if number % 2 == 0 else ["resume"]
        print(json.dumps(race(config, Path(directory), verb)), flush=True)


def warm_up(config: str) -> None:
    """Import here what a run imports lazily; a child looks first, for the parent must have no connection to inherit."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        run(["-c", config, "resume", "--dry-run"])
        os.write(writer, "\n".join(sys.modules).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as names:
        for name in (*names.read().split(), *LIBRARY):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    os.wait()


if __name__ == "__main__":
    warm_up(sys.argv[1])
    print("warm", flush=True)
    main(*sys.argv[1:4])
