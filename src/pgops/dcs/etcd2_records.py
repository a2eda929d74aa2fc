"""pgops's own keys on an etcd whose Patroni speaks the v2 API: they live in the v3 key space of the same servers.

The v2 API has neither transactions nor leases that several keys share. etcd 3.0 to 3.5 serve both; the key spaces, their
users and whether a login is wanted are apart.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from pgops.config.model import DcsConfig
from pgops.dcs import DcsFault, DcsOutcomeUnknown
from pgops.dcs.etcd3 import Etcd3Dcs

T = TypeVar("T")

OWN_PREFIX = "/pgops/"

_NO_LOGIN_WANTED = "has no authentication enabled"


class OwnKeys:
    """The v3 driver on the same endpoints, made at first use; without login where only the v2 side wants one."""

    def __init__(self, config: DcsConfig, timeout_s: float) -> None:
        self._config = config
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._dcs: Etcd3Dcs | None = None

    def ask(self, question: Callable[[Etcd3Dcs], T]) -> T:
        """Ask the v3 side. Raises `DcsFault` and `DcsOutcomeUnknown`, and says there whose keys it is about."""
        try:
            try:
                return question(self._driver())
            except DcsFault as fault:
                if isinstance(fault, DcsOutcomeUnknown) or _NO_LOGIN_WANTED not in str(fault):
                    raise
                return question(self._driver(login=False))
        except DcsFault as fault:
            raise type(fault)(f"pgops keeps its own records in etcd's v3 key space: {fault}") from None

    def close(self) -> None:
        """Close the driver."""
        with self._lock:
            if self._dcs is not None:
                self._dcs.close()
                self._dcs = None

    def _driver(self, *, login: bool = True) -> Etcd3Dcs:
        with self._lock:
            if not login and self._config.username is not None:
                self._config = replace(self._config, username=None, password=None)
                self._dcs = None
            if self._dcs is None:
                self._dcs = Etcd3Dcs(self._config, timeout_s=self._timeout_s)
            return self._dcs


def check_own(keys: Iterable[str]) -> None:
    """Raises `DcsFault` for a key that is not pgops's own: Patroni does not look for it in the v3 key space."""
    strange = sorted({key for key in keys if not key.startswith(OWN_PREFIX)})
    if strange:
        raise DcsFault(
            f"with the kind etcd (v2) only keys under {OWN_PREFIX} can be read and written together, "
            f"not {', '.join(strange)}; Patroni's own configuration is changed over its REST API"
        )
