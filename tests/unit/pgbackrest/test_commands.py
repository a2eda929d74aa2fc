"""The argv of each command of pgBackRest."""

from __future__ import annotations

import pytest

from pgops.pgbackrest.commands import (
    Stanza,
    archive_get_argv,
    backup_argv,
    check_argv,
    expire_argv,
    info_argv,
    list_argv,
    read_argv,
    restore_argv,
    version_argv,
)

DEMO = Stanza("demo", "/etc/pgbackrest/demo.conf")
READS = "--log-level-console=off --log-level-stderr=error --log-level-file=off"
WORKS = "--log-level-console=info --log-level-stderr=off --log-timestamp"


def words(argv: tuple[str, ...]) -> str:
    """What comes after the program, its configuration and its stanza."""
    assert argv[:3] == ("pgbackrest", "--config=/etc/pgbackrest/demo.conf", "--stanza=demo")
    return " ".join(argv[3:])


def test_without_a_configuration_file_pgbackrest_takes_its_own() -> None:
    assert info_argv(Stanza("demo"))[:2] == ("pgbackrest", "--stanza=demo")


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (info_argv(DEMO), f"{READS} --output=json info"),
        (check_argv(DEMO), f"{WORKS} check"),
        (list_argv(DEMO, "archive/demo"), f"{READS} repo-ls archive/demo"),
        (
            list_argv(DEMO, "archive/demo", recurse=True, filter="gz$", as_json=True, repo=2),
            f"{READS} --output=json --recurse --filter=gz$ --repo=2 repo-ls archive/demo",
        ),
        (read_argv(DEMO, "archive/demo/archive.info", repo=1), f"{READS} --repo=1 repo-get archive/demo/archive.info"),
        (archive_get_argv(DEMO, "00000002.history", "/tmp/h"), f"{READS} archive-get 00000002.history /tmp/h"),
        (backup_argv(DEMO, "diff"), f"{WORKS} --type=diff --no-expire-auto backup"),
        (
            backup_argv(DEMO, "full", annotations={"pgops-run": "x1", "why": "a b"}, standby="y", repo=2),
            f"{WORKS} --type=full --no-expire-auto --annotation=pgops-run=x1 --annotation=why=a b --backup-standby --repo=2 "
            "backup",
        ),
        (
            backup_argv(DEMO, "incr", standby="prefer"),
            f"{WORKS} --type=incr --no-expire-auto --backup-standby=prefer backup",
        ),
        (expire_argv(DEMO), f"{WORKS} expire"),
        (
            expire_argv(DEMO, backup_set="20261122-204616F", repo=1, dry_run=True),
            f"{WORKS} --log-level-file=off --dry-run --set=20261122-204616F --repo=1 expire",
        ),
        (restore_argv(DEMO), f"{WORKS.replace('info', 'detail')} --type=default restore"),
        (
            restore_argv(
                DEMO,
                backup_set="20261122-204616F",
                repo=2,
                target_type="time",
                target="2026-11-22 21:00:00+00",
                target_timeline="current",
                target_action="promote",
                archive_mode_off=True,
                tablespace_map_all="/scratch/ts",
                delta=True,
            ),
            f"{WORKS.replace('info', 'detail')} --type=time --set=20261122-204616F --target=2026-11-22 21:00:00+00 "
            "--target-timeline=current --target-action=promote --archive-mode=off --tablespace-map-all=/scratch/ts --delta "
            "--repo=2 restore",
        ),
    ],
)
def test_options_stand_before_the_command_and_parameters_after(argv: tuple[str, ...], expected: str) -> None:
    assert words(argv) == expected


def test_a_value_with_spaces_stays_one_argument() -> None:
    argv = backup_argv(DEMO, "full", annotations={"why": "before; rm -rf /"})
    assert "--annotation=why=before; rm -rf /" in argv


def test_version() -> None:
    assert version_argv() == ("pgbackrest", "version")
