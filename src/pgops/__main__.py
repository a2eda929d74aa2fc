"""The console script. `--version` is answered before anything else is imported."""

from __future__ import annotations

import gc
import signal
import sys


def main() -> None:
    """Entry point of the `pgops` script; exits with the codes of `pgops.errors`."""
    gc.set_threshold(100_000)  # imports are all that most calls make, and nothing of them is garbage
    try:
        # Until `interrupts.heed`, an import can swallow the KeyboardInterrupt of Python's own handler: die of the signal.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        code = _start(sys.argv[1:])
    except KeyboardInterrupt:  # while modules were still being imported
        code = 130
    gc.freeze()  # the interpreter's last collections would look at every module, for 50 ms
    sys.exit(code)


def _start(arguments: list[str]) -> int:
    if arguments in (["--version"], ["-V"]):
        from pgops import __version__

        try:
            print(f"pgops {__version__}", flush=True)
        except OSError:
            return _cannot_write()
        return 0
    from pgops.cli import interrupts

    interrupts.heed()  # before the many imports that follow
    from pgops.cli.run import run

    return run(arguments)


def _cannot_write() -> int:
    from pgops.cli.streams import abandon_output

    abandon_output()
    return 1


if __name__ == "__main__":
    main()
