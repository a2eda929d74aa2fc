"""Who runs pgops, and from where."""

from __future__ import annotations

import os
import secrets
import socket
from datetime import datetime, timezone

from pgops.plan.step import Pinned

_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without those that a tired reader mistakes for another."""


def name_operator() -> str:
    """The person: SUDO_USER where sudo was used, else the login name of our uid."""
    import pwd

    sudo_user = os.environ.get("SUDO_USER")
    if sudo_user and sudo_user.isprintable() and os.geteuid() == 0:
        return sudo_user
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def pin() -> Pinned:
    """This moment, a new run id (`20261123-0412-k7f3m2`, UTC), and who and where we are."""
    moment = datetime.now(timezone.utc).replace(microsecond=0)
    tail = "".join(secrets.choice(_LETTERS) for _ in range(6))
    return Pinned(moment, f"{moment:%Y%m%d-%H%M}-{tail}", name_operator(), socket.gethostname())
