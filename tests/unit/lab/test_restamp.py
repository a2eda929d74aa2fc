"""Backups made older: labels and checksums as pgBackRest 2.45 wrote them on a real cluster."""

from __future__ import annotations

from pgops_lab.incidents.restamp import checksum, shift_labels

BACKUP_INFO = """\
[backrest]
backrest-format=5
backrest-version="2.45"

[backup:current]
20261123-010200F={"backrest-format":5,"backrest-version":"2.45","backup-archive-start":"000000010000000000000004",\
"backup-archive-stop":"000000010000000000000005","backup-error":false,"backup-info-repo-size":4695324,\
"backup-info-repo-size-delta":4695324,"backup-info-size":30591766,"backup-info-size-delta":30591766,\
"backup-lsn-start":"0/4000028","backup-lsn-stop":"0/5000050","backup-timestamp-start":1795395720,\
"backup-timestamp-stop":1795395722,"backup-type":"full","db-id":1,"option-archive-check":true,\
"option-archive-copy":false,"option-backup-standby":false,"option-checksum-page":true,"option-compress":true,\
"option-hardlink":false,"option-online":true}

[db]
db-catalog-version=202209061
db-control-version=1300
db-id=1
db-system-id=7711165886097263825
db-version="15"

[db:history]
1={"db-catalog-version":202209061,"db-control-version":1300,"db-system-id":7711165886097263825,"db-version":"15"}

[backrest]
backrest-checksum="71b5034f9e0bd8bdd0e1589e98b61ecf0fc243ac"
"""


def test_the_checksum_is_pgbackrests_own() -> None:
    assert checksum(BACKUP_INFO) == "71b5034f9e0bd8bdd0e1589e98b61ecf0fc243ac"


def test_labels_of_every_kind_are_moved_and_nothing_else_is() -> None:
    assert shift_labels("20261103-010200F", 12) == "20261022-010200F"
    assert shift_labels("20261103-010200F_20261104-000000I", 1) == "20261102-010200F_20261103-000000I"
    assert shift_labels('"20261103-010200F_20261104-000000D"', 1) == '"20261102-010200F_20261103-000000D"'
    assert (
        shift_labels("000000010000000000000004 1795395720 20261103", 12)
        == "000000010000000000000004 1795395720 20261103"
    )
