"""What pgBackRest's dry run says, read."""

from __future__ import annotations

import pytest

from pgops.observe.expiry import parse_expiry
from pgops.observe.facts import ExpiringBackup, ExpiringHistory, ExpiringWal, ExpiryFacts

A, AD, B = "20261101-093727F", "20261101-093727F_20261102-093727D", "20261122-093727F_20261123-010000I"


def said(*words: str, level: str = "INFO", begin: str = "[DRY-RUN] ", end: bool = True) -> str:
    """A dry run that says these words between its first and its last line."""
    lines = [
        f"P00   INFO: {begin}expire command begin 2.45: --config=/etc/pgbackrest.conf --dry-run --stanza=main",
        *(f"P00 {level:>6}: [DRY-RUN] {each}" for each in words),
        *(("P00   INFO: [DRY-RUN] expire command end: completed successfully (4ms)",) if end else ()),
    ]
    return "".join(f"2026-11-23 09:38:13.808 {line}\n" for line in lines)


BACKUPS: list[tuple[str, tuple[tuple[int, str], ...]]] = [
    (f"repo1: expire full backup {A}", ((1, A),)),
    (
        f"repo1: expire full backup set {A}, {AD}",
        (
            (1, A),
            (1, AD),
        ),
    ),
    (f"repo2: expire diff backup {AD}", ((2, AD),)),
    (
        f"repo2: expire diff backup set {AD}, {B}",
        (
            (2, AD),
            (2, B),
        ),
    ),
    (f"repo1: expire time-based backup {A}", ((1, A),)),
    (
        f"repo1: expire time-based backup set {A}, {AD}",
        (
            (1, A),
            (1, AD),
        ),
    ),
    (
        f"repo1: expire adhoc backup set {A}, {AD}",
        (
            (1, A),
            (1, AD),
        ),
    ),
    (f"repo256: remove expired backup {B}", ((256, B),)),
]
WAL = [
    (
        "repo1: 15-1 remove archive, start = 000000010000000000000001, stop = 000000010000000000000007",
        ExpiringWal(1, "15-1", "000000010000000000000001", "000000010000000000000007"),
    ),
    (
        "repo1: 9.6-2 remove archive, start = 0000000100000001, stop = 000000010000000200000002",
        ExpiringWal(1, "9.6-2", "0000000100000001", "000000010000000200000002"),
    ),
    ("repo1: remove archive path /var/lib/my repo/archive/main/14-1", ExpiringWal(1, "14-1", None, None)),
    ("repo2: remove archive path /archive/main/9.6-1", ExpiringWal(2, "9.6-1", None, None)),
]
HISTORY = [
    (
        "repo1: 15-1 remove history file 00000002.history",
        ExpiringHistory(1, "timeline history 00000002.history of 15-1"),
    ),
    (
        "repo1: remove expired backup history path 2024",
        ExpiringHistory(1, "manifests of the gone backups of 2024"),
    ),
    (
        f"repo3: remove expired backup history manifest {AD}.manifest.gz",
        ExpiringHistory(3, f"manifest of {AD}, gone"),
    ),
]
KEEPS = [
    "repo1: 15-1 no archive to remove",
    "repo1: time-based archive retention not met - archive logs will not be expired",
    "option 'repo1-retention-archive' is not set - archive logs will not be expired",
    "repo1: expire oldest overrides configured time-based retention with count-based retention for this execution",
    "repo1: expire oldest requested but no eligible full backup to expire",
]
WARNS = [
    "option 'repo1-retention-full' is not set for 'repo1-retention-full-type=count', the repository may run out of space\n"
    "                                  HINT: to retain full backups indefinitely (without warning), set option "
    "'repo1-retention-full' to the maximum.",
    "option 'repo1-retention-diff' is not set for 'repo1-retention-archive-type=diff'\n"
    "                                  HINT: to retain differential backups indefinitely (without warning), set it.",
    "WAL segments will not be expired: option 'repo1-retention-archive-type=incr' but option "
    "'repo1-retention-archive' is not set",
    "WAL segments will not be expired: option 'repo1-retention-archive-type=diff' but neither option "
    "'repo1-retention-archive' nor option 'repo1-retention-diff' is set",
    "environment contains invalid option 'repo-typo'",
    "configuration file contains option 'pg1-port' invalid for section 'main:expire'",
    "configuration file contains stanza-only option 'pg1-path' in global section 'global'",
    "'compress' and 'compress-type' options should not both be set\n"
    "                                  HINT: 'compress-type' is preferred and 'compress' is deprecated.",
    f"backup '{A}' found in repository added to backup.info",
    f"invalid backup '{A}' cannot be added to current backups",
]
UNKNOWN = [
    (f"repo1: obliterate backup {A}", "INFO"),
    (f"repo1: expire block backup {A}", "INFO"),
    (f"repo1: expire full backup {A} and more", "INFO"),
    ("repo1: 15-1 remove archive from 000000010000000000000001", "INFO"),
    ("repo1: 15-1 remove archive, start = 1, stop = 2", "INFO"),
    ("raised from remote-0 ssh protocol on 'backups': unexpected end", "WARN"),
    ("repo1: unable to load info file", "ERROR"),
]


@pytest.mark.parametrize(("words", "wanted"), BACKUPS, ids=[each[0] for each in BACKUPS])
def test_backups(words: str, wanted: tuple[tuple[int, str], ...]) -> None:
    assert parse_expiry(said(words)) == ExpiryFacts(tuple(ExpiringBackup(*each) for each in wanted))


@pytest.mark.parametrize(("words", "wanted"), WAL, ids=[each[0] for each in WAL])
def test_wal(words: str, wanted: ExpiringWal) -> None:
    assert parse_expiry(said(words)) == ExpiryFacts(wal=(wanted,))


@pytest.mark.parametrize(("words", "wanted"), HISTORY, ids=[each[0] for each in HISTORY])
def test_history(words: str, wanted: ExpiringHistory) -> None:
    assert parse_expiry(said(words)) == ExpiryFacts(history=(wanted,))


def test_each_once_and_in_order() -> None:
    told = parse_expiry(said(BACKUPS[2][0], BACKUPS[1][0], f"repo1: remove expired backup {AD}", WAL[0][0], WAL[0][0]))
    assert [(item.repo_key, item.label) for item in told.backups] == [(1, A), (1, AD), (2, AD)]
    assert told.wal == (WAL[0][1],) and told.fault is None


@pytest.mark.parametrize("words", KEEPS)
def test_nothing_goes(words: str) -> None:
    assert parse_expiry(said(words)) == parse_expiry(said(words, level="WARN")) == ExpiryFacts()


@pytest.mark.parametrize("words", WARNS)
def test_a_warning_removes_nothing(words: str) -> None:
    assert parse_expiry(said(words, level="WARN")) == ExpiryFacts()
    assert parse_expiry(said(words, level="WARN").replace("WARN: [DRY-RUN] ", "WARN: ")).fault is None


@pytest.mark.parametrize(("words", "level"), UNKNOWN)
def test_words_nobody_knows_are_quoted_and_no_empty_list(words: str, level: str) -> None:
    told = parse_expiry(said(words, level=level))
    assert told.fault is not None and words.partition(" ")[2] in told.fault


def test_a_backup_without_its_manifest_goes_from_the_list() -> None:
    told = parse_expiry(said(f"backup '{A}' missing manifest removed from backup.info", level="WARN"))
    assert told == ExpiryFacts(unlisted=(A,))


def test_a_stray_line_counts_where_it_speaks_of_removal() -> None:
    assert parse_expiry(said() + "Last login: Monday\n").fault is None
    assert "Deleting" in (parse_expiry(said() + "Deleting old backups\n").fault or "")


def test_what_goes_on_lines_of_other_levels_counts_for_nothing() -> None:
    assert parse_expiry(said("repo1: 15-1 remove archive path 0000000100000001", level="DETAIL")) == ExpiryFacts()


@pytest.mark.parametrize("output", ["", said(begin=""), said(end=False)], ids=["empty", "no dry run", "cut off"])
def test_a_dry_run_says_so_and_that_it_ended_well(output: str) -> None:
    assert parse_expiry(output).fault is not None


def test_a_removal_without_the_sign_of_a_dry_run() -> None:
    output = said(BACKUPS[0][0]).replace("[DRY-RUN] repo1", "repo1")
    assert "expire full backup" in (parse_expiry(output).fault or "")
