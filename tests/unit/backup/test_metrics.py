"""The metrics of `pgops backup --textfile`."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from pgops.errors import PgopsError
from pgops.observe.facts import Backup, StanzaFacts
from pgops_backup.metrics import LastRun, file_name, render_metrics, write_metrics

AT = datetime(2026, 3, 1, 2, 30, tzinfo=timezone.utc)
RUN = LastRun("demo", "n1", "main", "diff", AT, 0, "made")


def backup(label: str, kind: str, hours: float, **changes: object) -> Backup:
    stopped = AT - timedelta(hours=hours)
    made = Backup(label, kind, 1, stopped - timedelta(seconds=90), stopped, False, 2, 1, size_bytes=1000)
    return replace(replace(made, repository_size_bytes=100), **changes)  # type: ignore[arg-type] # its own fields


def facts(*backups: Backup) -> StanzaFacts:
    return StanzaFacts(0, "ok", (), backups, 2, "7000000000000000001", None, None, False)


def test_the_run_and_the_newest_good_backup_of_each_type_and_repository() -> None:
    told = render_metrics(
        RUN,
        facts(
            backup("F0", "full", 50),
            backup("F1", "full", 30),
            backup("D1", "diff", 1),
            backup("bad", "diff", 0.5, error=True),
            backup("old", "incr", 0.1, database_id=1),
            backup("R2", "full", 20, repo_key=2, size_bytes=None),
        ),
    )
    own = 'cluster="demo",node="n1",stanza="main"'
    assert f'pgops_backup_last_run_timestamp_seconds{{{own},type="diff"}} {AT.timestamp()!r}\n' in told
    assert f'pgops_backup_last_run_exit_code{{{own},type="diff"}} 0\n' in told
    assert f'pgops_backup_last_run_outcome{{{own},type="diff",outcome="made"}} 1\n' in told
    assert f'pgops_backup_last_run_outcome{{{own},type="diff",outcome="failed"}} 0\n' in told
    stopped = (AT - timedelta(hours=30)).timestamp()
    assert f'last_good_timestamp_seconds{{{own},type="full",repository="1"}} {stopped!r}\n' in told
    assert f'last_good_duration_seconds{{{own},type="diff",repository="1"}} 90.0\n' in told
    assert f'last_good_size_bytes{{{own},type="full",repository="1"}} 1000\n' in told
    assert f'last_good_repository_size_bytes{{{own},type="full",repository="1"}} 100\n' in told
    assert f'last_good_size_bytes{{{own},type="full",repository="2"}}' not in told  # unknown is absent
    assert 'type="incr"' not in told


def test_the_text_is_what_the_collector_takes() -> None:
    told = render_metrics(RUN, facts(backup("F1", "full", 30)))
    names = []
    for line in told.splitlines():
        if line.startswith("# "):
            word, name = line.split()[1:3]
            names += [name] if word == "TYPE" else []
        else:
            match = re.fullmatch(r'([a-z_]+)\{(?:[a-z]+="[^"]*",?)+\} -?\d+(?:\.\d+)?(?:e[+-]?\d+)?', line)
            assert match and match[1] == names[-1], line
    assert len(names) == len(set(names)) == 7
    assert told.endswith("\n")


def test_nothing_is_told_of_a_repository_that_was_not_read() -> None:
    assert "last_good" not in render_metrics(replace(RUN, outcome="standby"), None)


def test_a_run_of_another_type_keeps_its_own() -> None:
    before = render_metrics(replace(RUN, kind="full", exit_code=1, outcome="failed"), facts(backup("F1", "full", 30)))
    told = render_metrics(RUN, None, before)
    assert 'last_run_exit_code{cluster="demo",node="n1",stanza="main",type="full"} 1\n' in told
    assert 'last_run_exit_code{cluster="demo",node="n1",stanza="main",type="diff"} 0\n' in told
    assert "last_good" not in told  # what was read then is not known now
    again = render_metrics(replace(RUN, exit_code=5, outcome="failed"), None, told)
    assert again.count("last_run_exit_code{") == 2
    assert 'type="diff"} 5\n' in again


def test_label_values_are_escaped() -> None:
    told = render_metrics(replace(RUN, cluster='a"b\\c\nd'), None)
    assert r'cluster="a\"b\\c\nd"' in told


def test_a_file_for_all_to_read_and_nothing_beside_it(tmp_path: Path) -> None:
    path = Path(write_metrics(str(tmp_path), RUN, None))
    assert path == tmp_path / "pgops_backup_demo_n1.prom"
    assert path.stat().st_mode & 0o777 == 0o644
    write_metrics(str(tmp_path), replace(RUN, kind="full"), None)
    assert 'type="diff"' in path.read_text() and 'type="full"' in path.read_text()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("run", "name"),
    [
        (replace(RUN, cluster="a/../b", node="x y"), "pgops_backup_a%2F..%2Fb_x%20y.prom"),
        (replace(RUN, node=None), "pgops_backup_demo.prom"),
    ],
)
def test_a_name_leads_nowhere_else(run: LastRun, name: str) -> None:
    assert file_name(run) == name


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PgopsError, match="could not be written") as caught:
        write_metrics(str(tmp_path / "none"), RUN, None)
    assert caught.value.why == "No such file or directory"
