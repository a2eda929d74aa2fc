"""Which file systems are looked at on a member's host."""

from __future__ import annotations

import time
from dataclasses import replace

from pytest_mock import MockerFixture

from pgops.clients.http import HttpClient
from pgops.config.model import HostConfig, TlsConfig
from pgops.hosts.process import CommandResult
from pgops.observe.member import MemberProbe
from pgops.observe.snapshot import View
from unit.checks import worlds as w


def test_tablespaces_that_the_server_names_are_among_them(mocker: MockerFixture) -> None:
    cluster = replace(w.healthy().cluster, stanza=None)
    facts = w.sql_facts(leader=True, tablespaces=("/mnt/fast space",))
    mocker.patch("pgops.observe.member.SqlSession")
    mocker.patch("pgops.observe.member.read_sql", return_value=facts)
    host = mocker.Mock()
    host.run.side_effect = lambda argv, **_: CommandResult(tuple(argv), 1, "", "", 0.0)
    mocker.patch("pgops.observe.member.open_host", return_value=host)
    client = HttpClient(TlsConfig(), connect_s=1, answer_s=1)
    config = HostConfig("n1", sql_host="127.0.0.1", data_dir="/data")
    probe = MemberProbe(cluster, config, frozenset({View.HOST, View.SQL}), client)
    probe.start_host()
    probe.start_network(None)
    probe.finish_network(time.monotonic() + 10)
    probe.finish_host(time.monotonic() + 10)
    (df,) = [call.args[0] for call in host.run.call_args_list if call.args[0][0] == "df"]
    assert df[df.index("--") + 1 :][:3] == ["/data", "/data/pg_wal", "/mnt/fast space"]
