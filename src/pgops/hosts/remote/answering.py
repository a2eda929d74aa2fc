"""How a program tells what it did, or why it could not, and that it is alone at it; shared by programs here."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Fault(Exception):
    """Why it cannot be done: a sentence."""


def answer(make: Callable[[], Any]) -> int:
    """Print what it makes as JSON, None not at all; its files are their owner's alone.

    Gives the program's exit code: 74 behind a sentence on standard error where it cannot be made.
    """
    os.umask(0o077)
    os.environ["LC_ALL"] = "C"
    try:
        made = make()
    except Fault as fault:
        why = str(fault)
    except OSError as error:
        why = f"{error.filename}: {error.strerror}"
    except subprocess.TimeoutExpired as error:
        why = f"{error.cmd[0]} did not end within {error.timeout:.0f} s"
    else:
        if made is not None:
            print(json.dumps(made))
        return 0
    print(why, file=sys.stderr)
    return 74


@contextmanager
def alone_in(directory: str) -> Iterator[None]:
    """One of us at a time in this directory: a run that was cut off may still be at work. Raises OSError."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
