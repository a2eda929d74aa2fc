"""What cron and systemd are told."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest

from pgops.checks import Finding, Verdict
from pgops.config.model import BackupPolicy, ClusterConfig
from pgops.hosts.host import HostFault
from pgops.observe.facts import ScheduleFacts
from pgops.observe.schedules import cron_path, link_path, parse_schedules, schedule_name, schedule_paths
from pgops.observe.snapshot import NOT_ASKED
from pgops.readings import Known, Unknown
from pgops.testing.fake_cluster import fake_config
from pgops_backup.checks import find_schedule
from pgops_backup.schedules import Wishes, command_of, limit_s, render_cron, wished_files
from unit.checks import worlds as w

CRON = Wishes("cron", None, "/usr/bin:/bin")
SYSTEMD = Wishes("systemd", None, "/usr/bin:/bin")


def cluster(name: str = "demo", **policy: Any) -> ClusterConfig:
    made = fake_config(("n1", "n2"), stanza="demo")
    return replace(made, name=name, backup=BackupPolicy(**policy))


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_a_table_of_cron() -> None:
    told = render_cron(cluster(mailto="dba@db.example", textfile="/srv/metrics"), "n1", CRON)
    said = "--window 01:00-05:00 --timezone UTC --textfile /srv/metrics -q"
    assert lines(told) == [
        "SHELL=/bin/sh",
        "PATH=/usr/bin:/bin",
        "MAILTO=dba@db.example",
        f"5 * * * * root pgops backup --cluster demo --node n1 --type full --if-older-than 164h {said}",
        f"25 * * * * root pgops backup --cluster demo --node n1 --type diff --if-older-than 20h {said}",
    ]
    assert "cron goes by the host's own clock and zone" in told and told.endswith("\n")


def test_without_mailto_the_user_is_named_as_who_gets_mail() -> None:
    told = render_cron(cluster(user="postgres"), "n1", CRON)
    assert "MAILTO" not in told and "mails what is printed to postgres;" in told


def test_a_percent_sign_is_no_end_of_line_to_cron() -> None:
    told = render_cron(cluster(textfile="/srv/100% mine"), "n1", replace(CRON, config="/etc/a b.yml"))
    assert "--textfile '/srv/100\\% mine' -q" in told
    assert "pgops --config '/etc/a b.yml' backup" in told


def test_units_of_systemd() -> None:
    files = wished_files(cluster(kind="incr", textfile='/srv/50% $x"'), "n1", SYSTEMD)
    top = "/etc/systemd/system/pgops-backup-demo-n1"
    link = "/etc/systemd/system/timers.target.wants/pgops-backup-demo-n1"
    assert sorted(files) == sorted(
        [f"{top}-{kind}.{suffix}" for kind in ("full", "incr") for suffix in ("service", "timer")]
        + [f"{link}-{kind}.timer" for kind in ("full", "incr")]
    )
    service = files[f"{top}-incr.service"]
    assert "ExecStart=/usr/bin/env pgops backup --cluster demo --node n1 --type incr --if-older-than 20h" in service
    assert '--textfile "/srv/50%% $$x\\"" -q' in service
    odd = wished_files(cluster(kind="incr"), "n1", replace(SYSTEMD, path='/opt/50% "x\\y:/bin'))
    assert 'Environment="PATH=/opt/50%% \\"x\\\\y:/bin"\n' in odd[f"{top}-incr.service"]
    assert "OnCalendar=*-*-* *:05:00" in files[f"{top}-full.timer"]


@pytest.mark.parametrize(
    ("policy", "full_h", "other_h"),
    [
        ({}, 164, 20),
        ({"window": "22:00-02:00"}, 164, 20),
        ({"window": "01:00-02:00"}, 167, 23),
        ({"window": "00:00-23:59"}, 168 - 24 + 1 / 60, 20),
        ({"every_s": 6 * 3600.0, "window": "00:00-12:00"}, 156, 5),
    ],
)
def test_the_limit_is_a_little_under_the_interval(policy: dict[str, Any], full_h: float, other_h: float) -> None:
    """A night later, in the first hour of the window, a backup of the window's last hour is old enough by its end."""
    made = cluster(**policy).backup
    assert limit_s(made, "full") == pytest.approx(full_h * 3600)
    assert limit_s(made, made.kind) == pytest.approx(other_h * 3600)


def test_the_command_is_one_that_pgops_takes() -> None:
    import click

    from pgops_backup.command import backup

    words = command_of(cluster(timezone="Europe/Rome", textfile="/srv/metrics"), "n1", "full", CRON)
    assert words[:2] == ("pgops", "backup")
    options = {name for option in backup.params if isinstance(option, click.Option) for name in option.opts}
    assert {word for word in words if word.startswith("-")} <= options


def test_names_that_cron_would_pass_over_and_names_that_look_alike() -> None:
    assert schedule_name("demo", "pg-1") == "pgops-backup-demo-pg-1"
    alike = [("db.prod", "n1"), ("db_prod", "n1"), ("a-b", "c"), ("a", "b-c"), ("a", "-b"), ("a-", "b"), ("ä", "b")]
    names = {schedule_name(*pair) for pair in alike}
    assert len(names) == len(alike)
    assert all(re.fullmatch("[A-Za-z0-9_-]+", name) for name in names)
    assert cron_path(cluster(cron_dir="/etc/cron.d/"), "n1") == "/etc/cron.d/pgops-backup-demo-n1"


def test_what_is_there_is_read() -> None:
    paths = schedule_paths(cluster(), "n1")
    assert len(paths) == 10 and link_path(cluster(), "n1", "full") in paths
    content = b64encode("täglich\n".encode()).decode()
    told = parse_schedules(f"cron stopped\n1 {content}\n10 \n", paths)
    assert told == ScheduleFacts({paths[0]: "täglich\n", paths[9]: ""}, "stopped")
    for damaged in ("", "1 \n", "cron what\n", *(f"cron runs\n{line}\n" for line in ("x y", "11 ", "1 *"))):
        with pytest.raises(HostFault):
            parse_schedules(damaged, paths)


@pytest.mark.parametrize(
    ("having", "said"),
    [
        (("n1", "n2", "n3"), {Verdict.OK: "is on n1, n2, n3"}),
        (("n1",), {Verdict.WARNING: "is on n1, and not on n2, n3", Verdict.OK: "is on n1, as"}),
        ((), {Verdict.SKIPPED: "no schedule of pgops's is installed"}),
    ],
)
def test_the_check(having: tuple[str, ...], said: dict[Verdict, str]) -> None:
    found = check_where({name: files_of(name, OTHERS) for name in having})
    assert {finding.verdict for finding in found} == set(said)
    assert all(said[finding.verdict] in finding.text for finding in found)


OTHERS = Wishes("cron", "/etc/pgops/it's here.yml", "/opt/pgops/bin:/bin")
TIMERS = Wishes("systemd", "/etc/my pgops.yml", "/opt/100%/bin")


def files_of(node: str, wishes: Wishes, **policy: Any) -> dict[str, str]:
    config = w.healthy().cluster
    return dict(wished_files(replace(config, backup=BackupPolicy(**policy)), node, wishes))


def check_where(files: dict[str, dict[str, str]], cron: Any = "runs") -> list[Finding]:
    world = w.healthy()
    nodes = (replace(node, schedules=Known(ScheduleFacts(files.get(node.name, {}), cron))) for node in world.nodes)
    return list(find_schedule(replace(world, nodes=tuple(nodes))))


def of_n1(files: dict[str, str], cron: Any = "runs") -> Finding:
    names = [node.name for node in w.healthy().nodes]
    found = check_where({**{name: files_of(name, TIMERS) for name in names}, "n1": files}, cron)
    (finding,) = [item for item in found if item.verdict is Verdict.WARNING]
    assert finding.subject == "n1"
    return finding


def test_a_schedule_that_departs_from_the_policy() -> None:
    table = files_of("n1", OTHERS)
    (path,) = table
    for text in ("# nothing\n", table[path].replace("5 * * * *", "6 * * * *"), table[path].replace("20h", "40h")):
        assert f"{path} is not as the policy wants it" in of_n1({path: text}).text
    assert "is not as the policy" in of_n1(files_of("n1", OTHERS, window="02:00-03:00")).text
    assert "is there as well" in of_n1({**table, **files_of("n1", TIMERS)}).text


def test_a_timer_that_is_not_enabled() -> None:
    files = files_of("n1", TIMERS)
    link = next(path for path in files if "wants" in path)
    said = of_n1({path: text for path, text in files.items() if path != link})
    assert f"the timer {link.rpartition('/')[2]} is not enabled" in said.text
    assert said.next_step is not None and "pgops backup schedule --install" in said.next_step


@pytest.mark.parametrize("cron", ["stopped", "absent"])
def test_a_table_that_nothing_reads(cron: str) -> None:
    assert f"nothing reads its table, since cron is {cron}" in of_n1(files_of("n1", OTHERS), cron).text


def test_a_jitter_is_waited_for_by_pgops_itself() -> None:
    told = render_cron(cluster(jitter_s=300.0), "n1", CRON)
    assert told.count("--timezone UTC --jitter 5min -q") == 2


def test_the_check_where_a_host_is_dark() -> None:
    world = w.with_node("n2", schedules=Unknown("no answer in time"))
    assert all(node.schedules is NOT_ASKED for node in w.healthy().nodes)
    found = list(find_schedule(world))
    assert [finding.verdict for finding in found] == [Verdict.UNKNOWN, Verdict.SKIPPED]
    assert found[0].subject == "n2"
