"""`guard install` and `guard remove` under the contract."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from pgops.config.model import SshConfig
from pgops.observe.guard_facts import GuardFacts
from pgops.observe.guards import settings_path
from pgops.plan.step import Params
from pgops.readings import Known, Unknown
from pgops.testing.case import Case, operator_host
from pgops.testing.contract import CHECKS, check_refused
from pgops.testing.fake_cluster import FakeCluster, fake_config
from pgops_recover.guard_programs import programs
from pgops_recover.guarding import INSTALL, REMOVE

DATA_DIR = "/var/lib/postgresql/data"
WRAPPER = "/var/lib/postgresql/pgops-guard/pg_rewind"
PARAMS: Params = {"mode": "keep", "limit_bytes": 1 << 30, "dir": None}


def plain() -> FakeCluster:
    """Patroni may rewind, and nothing guards it."""
    config = fake_config(("n1", "n2", "n3"))
    hosts = tuple(
        replace(host, bin_dir="/usr/lib/postgresql/15/bin", ssh=SshConfig(host.name)) for host in config.hosts
    )
    fake = FakeCluster(config=replace(config, hosts=hosts))
    fake.patch_config({"postgresql": {"use_pg_rewind": True}})
    fake.turn()
    return fake


def half_installed() -> FakeCluster:
    """One member has it, as an installation left it that was cut off and forgotten."""
    fake = plain()
    _place(fake, "n1", "keep")
    return fake


def installed(mode: str = "keep") -> FakeCluster:
    """Every member has it."""
    fake = plain()
    for name in fake.hosts:
        _place(fake, name, mode)
    fake.patch_config({"postgresql": {"bin_name": {"pg_rewind": WRAPPER, "pg_ctl": "pg_ctl-15"}}})
    fake.turn()
    return fake


def told_otherwise() -> FakeCluster:
    """Every member has it, told to stop."""
    return installed("stop")


def older() -> FakeCluster:
    """The programs are of an older pgops."""
    fake = installed()
    for name in fake.hosts:
        fake.change_host(name, lambda host: host.with_file(WRAPPER, "older"))
    return fake


def _place(fake: FakeCluster, name: str, mode: str) -> None:
    settings = {
        "schema": 1,
        "wrapper": WRAPPER,
        "cluster": fake.config.name,
        "node": name,
        "bin_dir": "/usr/lib/postgresql/15/bin",
        "mode": mode,
        "limit_bytes": 1 << 30,
    }
    files = {WRAPPER.replace("pg_rewind", each): text for each, text in programs().items()}
    files[settings_path(DATA_DIR)] = json.dumps(settings, indent=1, sort_keys=True) + "\n"
    for path, text in files.items():
        fake.change_host(name, lambda host, path=path, text=text: host.with_file(path, text))  # type: ignore[misc] # bound now


@pytest.mark.parametrize("world", [plain, half_installed, told_otherwise], ids=lambda world: world.__name__)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_install(world: Callable[[], FakeCluster], check: Callable[[Case], None]) -> None:
    with operator_host():
        check(Case(INSTALL, PARAMS, world))


@pytest.mark.parametrize("world", [installed, half_installed, older], ids=lambda world: world.__name__)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_remove(world: Callable[[], FakeCluster], check: Callable[[Case], None]) -> None:
    with operator_host():
        check(Case(REMOVE, {}, world))


def _with(**facts: object) -> Callable[[], FakeCluster]:
    def world() -> FakeCluster:
        fake = plain()
        fake.facts["n2"] = facts
        return fake

    return world


def _configured(section: dict[str, object]) -> Callable[[], FakeCluster]:
    def world() -> FakeCluster:
        fake = plain()
        fake.patch_config({"postgresql": section})
        return fake

    return world


@pytest.mark.parametrize(
    ("world", "said"),
    [
        (_with(guard=Known(GuardFacts(None, {}, None, ("/etc/patroni/patroni.yml",)))), "/etc/patroni/patroni.yml"),
        (_configured({"remove_data_directory_on_rewind_failure": True}), "lets Patroni delete the data directory"),
        (_configured({"remove_data_directory_on_diverged_timelines": True}), "lets Patroni delete the data directory"),
        (_configured({"bin_name": {"pg_rewind": "/opt/other"}}), "/opt/other"),
    ],
)
def test_what_would_make_it_useless_is_refused(world: Callable[[], FakeCluster], said: str) -> None:
    assert said in check_refused(Case(INSTALL, PARAMS, world))


def test_what_others_put_there_is_not_taken_away() -> None:
    said = check_refused(Case(REMOVE, {}, _configured({"bin_name": {"pg_rewind": "/opt/other"}})))
    assert "/opt/other stands in pg_rewind's place, and no member knows it as pgops's guard" in said


def test_whose_it_is_must_be_seen() -> None:
    def world() -> FakeCluster:
        fake = _configured({"bin_name": {"pg_rewind": "/opt/other"}})()
        fake.facts["n3"] = {"guard": Unknown("ssh: no answer in time")}
        return fake

    with operator_host():
        case = Case(REMOVE, {}, world)
        plan = case.plan(case.world())
    assert plan.blocked is not None and plan.blocked.verdict.unread
    assert "whether /opt/other is pgops's guard cannot be told: n3: ssh: no answer" in plan.blocked.verdict.reason


def test_directories_of_different_names_need_one_that_fits_all() -> None:
    def world() -> FakeCluster:
        fake = plain()
        first, *others = fake.config.hosts
        fake.config = replace(fake.config, hosts=(replace(first, data_dir="/srv/pg"), *others))
        return fake

    assert "no directory fits all hosts" in check_refused(Case(INSTALL, PARAMS, world))
