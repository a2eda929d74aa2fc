"""Hold files: a program whose file is there is not started, whoever asks. The start scripts look for them."""

from __future__ import annotations

from pgops_lab.files import write
from pgops_lab.lab import Lab


def hold(lab: Lab, program: str, reason: str) -> None:
    """Keep `program` from being started; one that runs is left running."""
    write(lab.hold_dir / program, reason + "\n")


def release(lab: Lab, program: str) -> None:
    """Let `program` be started again."""
    (lab.hold_dir / program).unlink(missing_ok=True)
