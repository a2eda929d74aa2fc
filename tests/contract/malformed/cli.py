"""`pgops health` as a process, over a DCS whose keys a test writes: its driver comes through the plugin door."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pgops.hosts.process import CommandResult, run

PGOPS = str(Path(sys.executable).parent / "pgops")
FORMATS = ("table", "json", "yaml", "tsv", "nagios", "prometheus")
CANARY = "C4n4ry-s3cr3t"

_DRIVER = """
import json
from pathlib import Path
from pgops.dcs import DcsHealth, DcsKey
from pgops.plugin import Plugin
from pgops.readings import Skipped


class FileDcs:
    def __init__(self, config, *, timeout_s):
        self._keys = json.loads((Path(__file__).parent / "keys.json").read_text())

    def read_prefix(self, prefix):
        return {key: DcsKey(key, value, 1, 7) for key, value in self._keys.items() if key.startswith(prefix)}

    def health(self):
        return DcsHealth("file", (), Skipped("a file has no alarms"))

    def close(self):
        pass


plugin = Plugin(name="file-dcs", dcs_drivers={"consul": FileDcs})
"""


@dataclass
class World:
    """A directory with a configuration, a DCS in a file and the driver that reads it."""

    directory: Path
    cluster: dict[str, Any] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    name: str = "demo"

    def health(self, *arguments: str, form: str = "json", **environ: str) -> CommandResult:
        """Write everything down and run `pgops health` on it."""
        plugins = self.directory / "plugins"
        plugins.mkdir(exist_ok=True, mode=0o755)
        (plugins / "file_dcs.py").write_text(_DRIVER)
        (plugins / "keys.json").write_text(json.dumps(self.keys))
        login = {"username": "u", "password": CANARY}
        cluster = {
            "dcs": {"kind": "consul", "endpoints": ["http://127.0.0.1:1"], **login},
            "rest": login,
            "sql": {"user": "u", "password": CANARY},
            "timeouts": {"connect_s": 0.5, "answer_s": 1.5, "command_s": 3},
            **self.cluster,
        }
        config = self.directory / "pgops.yml"
        config.write_text(json.dumps({"version": 1, "clusters": {self.name: cluster}}))
        config.chmod(0o600)
        argv = [PGOPS, "-c", str(config), "health", "-f", form, *arguments]
        return run(
            argv, timeout_s=30, env={**os.environ, "PGOPS_PLUGIN_DIR": str(plugins), **environ}, cwd=str(self.directory)
        )


def findings(result: CommandResult, check: str) -> list[dict[str, Any]]:
    """The findings of one check in a JSON answer."""
    assert result.stdout, result.stderr
    return [item for item in json.loads(result.stdout)["clusters"][0]["findings"] if item["check"] == check]


def assert_sober(result: CommandResult) -> None:
    """No bug, no traceback, no control character, no secret."""
    said = result.stdout + result.stderr
    assert result.exit_code in (0, 1, 2, 3), said
    assert "Traceback" not in said
    assert "a bug in" not in said
    assert "this check itself failed" not in said
    assert CANARY not in said
    raw = {c for c in said if c not in "\n\t" and not c.isprintable()}
    assert not raw, raw
