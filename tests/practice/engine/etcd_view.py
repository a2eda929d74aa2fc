"""What etcd holds, asked of etcd itself (its JSON gateway) and not through pgops."""

from __future__ import annotations

import base64
import json
import urllib.request
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Key:
    """One key as etcd keeps it; `version` counts its puts since it was made."""

    value: str
    version: int
    created: int
    changed: int
    lease: int


@dataclass(frozen=True)
class EtcdView:
    """A cluster of etcd by the URL of one member, and the Patroni cluster `scope` in it."""

    url: str
    scope: str

    def keys(self) -> dict[str, Key]:
        """All keys."""
        zero = base64.b64encode(b"\0").decode()
        answer = self._ask("kv/range", {"key": zero, "range_end": zero})
        return {
            _text(item["key"]): Key(
                _text(item.get("value", "")),
                int(item["version"]),
                int(item["create_revision"]),
                int(item["mod_revision"]),
                int(item.get("lease", 0)),
            )
            for item in answer.get("kvs", [])
        }

    def own(self) -> dict[str, Key]:
        """pgops's own keys, without the prefix."""
        top = f"/pgops/v1/service/{self.scope}/"
        return {name.removeprefix(top): key for name, key in self.keys().items() if name.startswith(top)}

    def config(self) -> Key:
        """Patroni's dynamic configuration."""
        return self.keys()[f"/service/{self.scope}/config"]

    def is_paused(self) -> bool:
        """Whether the configuration says pause."""
        return json.loads(self.config().value).get("pause") is True

    def still(self) -> dict[str, int]:
        """Revision of every key that Patroni does not write by itself."""
        own = (f"/service/{self.scope}/status", f"/service/{self.scope}/leader", f"/service/{self.scope}/members/")
        return {name: key.changed for name, key in self.keys().items() if not name.startswith(own)}

    def end_lock(self) -> None:
        """End the lease of pgops's lock, as if its holder had been away for long."""
        lock = self.own()["lock/topology"]
        self._ask("lease/revoke", {"ID": str(lock.lease)})

    def _ask(self, call: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(f"{self.url}/v3/{call}", json.dumps(body).encode())  # noqa: S310 - etcd
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - as above
            document: dict[str, Any] = json.load(answer)
        return document


def _text(coded: str) -> str:
    return base64.b64decode(coded).decode()
