"""The configuration files: read back by what reads them, and no secret where others may look."""

from __future__ import annotations

import configparser
import shlex
import stat
from pathlib import Path

import pytest
import yaml

from pgops.config.loader import load
from pgops_lab.configs.etcd import render_etcd
from pgops_lab.configs.haproxy import render_haproxy
from pgops_lab.configs.patroni import render_patroni
from pgops_lab.configs.pgbackrest import render_pgbackrest
from pgops_lab.configs.supervisord import render_start, render_supervisord
from pgops_lab.writing import write_all
from unit.lab.samples import PASSWORDS, sample


def test_patroni_yml_says_what_the_lab_promises(tmp_path: Path) -> None:
    lab = sample(tmp_path)
    told = yaml.safe_load(render_patroni(lab, lab.members[1], PASSWORDS))
    assert (told["scope"], told["name"]) == ("demo", "n2")
    assert told["etcd3"]["hosts"] == ["127.20.7.11:2379", "127.20.7.12:2379", "127.20.7.13:2379"]
    assert told["restapi"]["authentication"]["password"] == "secret-rest"
    dynamic = told["bootstrap"]["dcs"]
    assert (dynamic["ttl"], dynamic["loop_wait"], dynamic["retry_timeout"]) == (20, 2, 3)
    assert dynamic["ttl"] >= dynamic["loop_wait"] + 2 * dynamic["retry_timeout"]
    assert dynamic["postgresql"]["parameters"]["archive_mode"] == "on"
    assert "data-checksums" in told["bootstrap"]["initdb"]
    assert str(lab.members[1].pgbackrest_config) in told["postgresql"]["recovery_conf"]["restore_command"]


def test_all_members_share_one_repository(tmp_path: Path) -> None:
    lab = sample(tmp_path)
    seen = set()
    for member in lab.members:
        parser = configparser.ConfigParser()
        parser.read_string(render_pgbackrest(lab, member))
        seen.add(parser["global"]["repo1-path"])
        assert parser["demo"]["pg1-path"] == str(member.data_dir)
    assert seen == {str(lab.repo_dir)}


def test_etcd_made_anew_is_another_cluster_by_its_token(tmp_path: Path) -> None:
    lab = sample(tmp_path)
    first = yaml.safe_load(render_etcd(lab, lab.members[0]))
    again = yaml.safe_load(render_etcd(lab, lab.members[0], generation="2"))
    assert first["initial-cluster-token"] != again["initial-cluster-token"]
    assert first["enable-grpc-gateway"] is True
    assert first["initial-cluster"].count("http://127.20.7.") == 3
    assert yaml.safe_load(render_etcd(lab, lab.members[0], state="existing"))["initial-cluster-state"] == "existing"


def test_haproxy_checks_by_role_unless_it_is_fixed(tmp_path: Path) -> None:
    lab = sample(tmp_path)
    sound, stale = render_haproxy(lab), render_haproxy(lab, primary_fixed_on="n3")
    for port in (5000, 5001, 5002, 7000):
        assert f"bind 127.20.7.10:{port}\n" in sound
    assert "option httpchk OPTIONS /primary" in sound
    assert "option httpchk OPTIONS /primary" not in stale
    assert stale.count("server n1 ") == 2
    assert stale.count("server n3 ") == 3


def test_supervisord_keeps_each_program_and_starts_none_by_itself(tmp_path: Path) -> None:
    lab = sample(tmp_path)
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(render_supervisord(lab))
    assert parser["unix_http_server"]["chmod"] == "0700"
    assert parser["supervisorctl"]["serverurl"] == f"unix://{parser['unix_http_server']['file']}"
    kept = [section.removeprefix("program:") for section in parser.sections() if section.startswith("program:")]
    assert tuple(kept) == lab.programs
    assert {parser[f"program:{name}"]["autostart"] for name in kept} == {"false"}


def test_a_start_script_looks_for_its_own_hold(tmp_path: Path) -> None:
    lab = sample(tmp_path)
    script = render_start(lab, "patroni-n1")
    assert f"[ -e {shlex.quote(str(lab.hold_dir / 'patroni-n1'))} ]" in script
    assert script.splitlines()[-1] == f"exec {lab.environment}/bin/patroni {lab.members[0].patroni_config}"


def test_pgops_itself_takes_the_written_configuration(tmp_path: Path) -> None:
    lab = sample(tmp_path)
    lab.directory.mkdir(parents=True)
    write_all(lab)
    config = load(str(lab.pgops_config), environ={})
    (cluster,) = config.clusters
    assert config.warnings == ()
    assert (cluster.name, cluster.prefix, cluster.stanza) == ("demo", "/service/demo/", "demo")
    assert [host.name for host in cluster.hosts] == ["n1", "n2", "n3"]
    assert cluster.services.manager_config == str(lab.supervisord_config)


def test_secrets_stand_only_in_files_of_their_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = sample(tmp_path)
    lab.directory.mkdir(parents=True)
    monkeypatch.setattr("pgops_lab.passwords.make", lambda _: PASSWORDS)
    write_all(lab)
    holders = [path for path in lab.directory.rglob("*") if path.is_file() and "secret-" in path.read_text()]
    assert {path.name for path in holders} == {"patroni.yml", "roles.sql", "pgpass", "pgops.yml"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in holders} == {0o600}
