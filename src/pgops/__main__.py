"""The console script. `--version` is answered before anything else is imported."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of the `pgops` script; exits with the codes of `pgops.errors`."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        from pgops import __version__

        print(f"pgops {__version__}")
        return
    from pgops.cli.run import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
