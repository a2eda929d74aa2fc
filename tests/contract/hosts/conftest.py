"""The hosts that the tests here act on: this machine directly, and this machine through a real sshd."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from contract.hosts.sshd import Sshd, need_sshd
from pgops.config.model import HostConfig, SshConfig, Timeouts
from pgops.hosts.factory import open_host
from pgops.hosts.fence import Fence
from pgops.hosts.host import Host, Identity

TIMEOUTS = Timeouts(connect_s=2.0, answer_s=3.0, command_s=10.0)


@dataclass
class Acted:
    """A host to act on, with a state directory of this test's own, and a directory to write into."""

    config: HostConfig
    host: Host
    state_dir: Path
    place: Path
    identity: Identity = Identity.OWNER

    def fence(self, token: int = 5) -> Fence:
        return Fence(token, "/service/demo/", str(self.state_dir))

    def another(self) -> Host:
        """The same host, as another operator reaches it."""
        return open_host(replace(self.config), TIMEOUTS)


@pytest.fixture(scope="session")
def acting_sshd() -> Iterator[Sshd]:
    need_sshd()
    server = Sshd()
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(params=["local", "ssh"])
def acted(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Acted]:
    """As root, commands run as the user `nobody`; as anybody else, as oneself."""
    ssh = None
    if request.param == "ssh":
        server: Sshd = request.getfixturevalue("acting_sshd")
        ssh = SshConfig(server.address, user=server.user, port=server.port, config_file=str(server.config))
    with tempfile.TemporaryDirectory(prefix="pgops-acted-") as directory:
        top = Path(directory)
        state_dir, place = top / "state", top / "place"
        state_dir.mkdir()
        place.mkdir()
        owner = None
        if os.geteuid() == 0:
            import pwd

            owner = "nobody"
            for each in (top, state_dir, place):
                os.chown(each, pwd.getpwnam(owner).pw_uid, -1)
        config = HostConfig("n1", ssh=ssh, become=owner, state_dir=str(state_dir))
        host = open_host(config, TIMEOUTS)
        yield Acted(config, host, state_dir, place)
        host.close()
