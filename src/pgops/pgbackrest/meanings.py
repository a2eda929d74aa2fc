"""What each exit code of pgBackRest means, and what certain words in its errors mean beyond the code.

Source of codes and names: pgBackRest, build/error.yaml.
"""

from __future__ import annotations

from dataclasses import dataclass

LOOK = "read the whole message in pgBackRest's log (log-path of its configuration), on that host"
_BUG = ("pgBackRest met an error of its own", LOOK)
_CIPHER = "compare repo1-cipher-type and repo1-cipher-pass of pgbackrest.conf with those of the other members"
_CONFIG = ("pgBackRest's configuration is not valid", "mend the option it names in pgbackrest.conf on that host")
DISK = "look at free space, rights and mounts of the path it names: df -h, ls -ld; pgops health --check disk"
_DAMAGED = "restore from another backup or repository; pgbackrest verify shows what else is damaged"
IDENTITY = (
    "STOP: this server is not the one the stanza belongs to: pgops health; an initdb by accident, a restored copy or a "
    "wrong pg1-path look so. Never stanza-delete, and stanza-upgrade only after a pg_upgrade of yours"
)

MEANINGS: dict[int, tuple[str, str, str]] = {
    1: (
        "not-found",
        "the archive does not hold what was asked for",
        "pgops backup window shows what the archive holds",
    ),
    25: ("assert", *_BUG),
    26: ("checksum", "a file in the repository does not have the content it was stored with", _DAMAGED),
    27: ("config", *_CONFIG),
    28: (
        "file-invalid",
        "the server's version or system identifier is not the one that the stanza holds",
        IDENTITY,
    ),
    29: ("format", "a file does not have the form that pgBackRest knows", _DAMAGED),
    30: ("command-required", *_BUG),
    31: ("option-invalid", *_CONFIG),
    32: ("option-invalid-value", *_CONFIG),
    37: ("option-required", "an option is missing from pgBackRest's configuration", _CONFIG[1]),
    38: (
        "pg-running",
        "PostgreSQL runs in the directory that would be restored over",
        "stop it first, by its own procedure",
    ),
    39: (
        "protocol",
        "the other pgBackRest answered something unexpected",
        "use one version on all hosts: pgbackrest version",
    ),
    40: ("path-not-empty", "the directory to restore to is not empty", "name an empty one"),
    41: ("file-open", "a file cannot be opened", DISK),
    42: ("file-read", "a file cannot be read", DISK),
    43: ("param-required", *_BUG),
    44: ("archive-mismatch", "the archive belongs to another server: version or system identifier differ", IDENTITY),
    45: (
        "archive-duplicate",
        "the archive has this WAL segment already, with another content: two servers wrote one timeline",
        "suspect a split brain, past or present: pgops health --deep; force nothing into the archive",
    ),
    46: (
        "version-not-supported",
        "this pgBackRest does not know this version of PostgreSQL",
        "install a newer pgBackRest",
    ),
    47: ("path-create", "a directory cannot be made", DISK),
    48: ("command-invalid", *_BUG),
    49: (
        "host-connect",
        "the other host of pgBackRest cannot be reached",
        "try ssh, or its TLS server, as the same user",
    ),
    50: (
        "lock-acquire",
        "another pgBackRest process holds the lock of this stanza on this host",
        "wait, or find it: ps -ef | grep pgbackrest; after a kill its worker processes keep the lock: end those; the lock "
        "file itself stays",
    ),
    51: (
        "backup-mismatch",
        "the backups of this stanza are of another server",
        IDENTITY,
    ),
    52: ("file-sync", "a file cannot be flushed to disk", DISK),
    53: ("path-open", "a directory cannot be opened", DISK),
    54: ("path-sync", "a directory cannot be flushed to disk", DISK),
    55: (
        "file-missing",
        "a file is missing that must be there",
        "see the path it names; of pgbackrest.conf: pgbackrest_config of that host in pgops.yml",
    ),
    56: (
        "db-connect",
        "pgBackRest cannot log in to PostgreSQL, or finds none that is primary",
        "is PostgreSQL up there, and the primary: pgops health; pg1-port, pg1-socket-path and pg1-user of pgbackrest.conf",
    ),
    57: (
        "db-query",
        "PostgreSQL refused a statement of pgBackRest",
        "see PostgreSQL's log; was there a failover just now?",
    ),
    58: (
        "db-mismatch",
        "PostgreSQL is not what the backup or the target needs",
        "pgops health; which timeline is meant?",
    ),
    60: ("file-remove", "a file cannot be removed", DISK),
    61: ("path-remove", "a directory cannot be removed", DISK),
    62: (
        "stop",
        "somebody stopped pgBackRest here with `pgbackrest stop`: its stop file is there",
        "ask who, and why; then on that host: pgbackrest start. Until then no WAL is archived either",
    ),
    63: ("term", "pgBackRest was told to end by a signal", "run it again; a backup takes up what it had copied"),
    64: (
        "file-write",
        # A short write carries no errno: this is all that a full file system is told by.
        "a file cannot be written, mostly since its file system is full",
        "df -h of the path it names; make room there: pgops backup expire --dry-run",
    ),
    67: ("feature-not-supported", "this pgBackRest or PostgreSQL cannot do that", LOOK),
    68: (
        "archive-command-invalid",
        "archive_command of PostgreSQL does not call pgBackRest for this data directory",
        "set archive_command to pgbackrest archive-push with this stanza, in Patroni's configuration",
    ),
    69: ("link-expected", "a link was expected in the data directory", LOOK),
    70: ("link-destination", "a link in the data directory leads to where it must not", LOOK),
    72: ("host-invalid", "this host is not where the command must run", "run it on the host that it names"),
    73: ("path-missing", "a directory is missing", DISK),
    74: ("file-move", "a file cannot be renamed", DISK),
    75: (
        "backup-set-invalid",
        "no backup fits: the set does not exist, or none ended before the target",
        "pgops backup list; pgops backup window shows which times can be restored to",
    ),
    76: ("tablespace-map", "the mapping of tablespaces does not fit the backup", LOOK),
    78: ("link-map", "the mapping of links does not fit the backup", LOOK),
    79: ("file-close", "a file cannot be closed", DISK),
    80: ("db-missing", "the database to restore is not in the backup", "pgbackrest info --set=LABEL names them"),
    81: ("db-invalid", "that database cannot be left out", LOOK),
    82: (
        "archive-timeout",
        "WAL did not come into the archive in time: the archiver is broken or behind",
        "pgops health --check archiving; PostgreSQL's log of the leader names archive_command's fault: is the repository "
        "full, or out of reach; "
        "after a `pgbackrest stop`: pgbackrest start",
    ),
    83: ("file-mode", "a file has the wrong mode", DISK),
    87: ("archive-disabled", "archive_mode of PostgreSQL is off", "turn it on in Patroni's configuration and restart"),
    88: ("file-owner", "a file has the wrong owner", DISK),
    89: ("user-missing", "the user does not exist on that host", LOOK),
    93: ("file-exists", "a file exists that must not", LOOK),
    94: ("memory", "memory ran out", "free memory on that host, or lower process-max"),
    95: ("crypto", "decryption failed: the repository's cipher pass is not the one it was made with", _CIPHER),
    96: ("param-invalid", *_BUG),
    97: ("path-close", "a directory cannot be closed", DISK),
    98: ("file-info", "a file cannot be examined", DISK),
    99: ("json-format", "what pgBackRest read is not JSON", _DAMAGED),
    100: ("kernel", "the kernel refused a call", LOOK),
    101: ("service", "the storage service answered with an error", "try again; see the state of the object store"),
    102: ("execute", "a program could not be run", LOOK),
    103: (
        "repo-invalid",
        "no repository could do it",
        "see the fault of each repository in its message; pgops backup check",
    ),
    104: ("command", "the command met one or more errors", LOOK),
    105: (
        "access",
        "the storage refused the credentials",
        "check keys and rights of the repository in pgbackrest.conf",
    ),
    106: (
        "clock",
        "the clock of the host moved backwards, or its zone changed",
        "mend the clock: pgops health --check clock",
    ),
    122: ("runtime", *_BUG),
    124: ("unhandled", *_BUG),
    125: ("unknown", *_BUG),
}
"""By code: pgBackRest's own name of it, a sentence, and what to do."""


@dataclass(frozen=True)
class Words:
    """What certain words in an error mean whatever the code or, where `codes` are given, with one of these."""

    words: tuple[str, ...]
    meaning: str
    next_step: str
    codes: tuple[int, ...] = ()

    def fit(self, code: int, said: str) -> bool:
        """Whether this is what an error of that code says."""
        return (not self.codes or code in self.codes) and any(each in said for each in self.words)


_COMPARE_NAMES = "compare the stanza's name in pgops.yml and pgbackrest.conf; pgops backup check"
_IS_IT_UP = "is PostgreSQL up there: pgops health; pg1-path, pg1-port, pg1-socket-path and pg1-user of pgbackrest.conf"
BY_WORDS = (
    Words(
        ("unable to find standby cluster",),
        "pgBackRest found no replica to copy from",
        "is one up: pgops health; pg2-* of pgbackrest.conf on this host name it; else --from primary",
    ),
    Words(
        ("key/value found outside of section",),
        "a file of the repository makes no sense to pgBackRest: its cipher pass is another one, or it is damaged",
        _CIPHER,
        (29,),
    ),
    Words(
        ("more than one primary",),
        "more than one server says that it is the primary: a split brain",
        "back up nothing before it is settled: pgops health --deep",
    ),
    Words(
        ("[28] No space left on device", "[122] Disk quota exceeded"),
        "the file system of the repository, or of pgBackRest's own files, is full",
        "make room there; pgops backup expire --dry-run",
    ),
    Words(
        ("[30] Read-only file system", "[13] Permission denied", "': Permission denied", "': Read-only file system"),
        "a path of the repository or of pgBackRest may not be used",
        DISK,
    ),
    Words(
        ("terminated unexpectedly [255]",),
        "the other host of pgBackRest cannot be reached over ssh",
        "ssh to it as the same user must work without a question: repo1-host and repo1-host-user of pgbackrest.conf",
    ),
    Words(("no database found",), "pgBackRest finds no server to ask", _IS_IT_UP, (27,)),
    Words(("does this stanza exist",), "this stanza is not in pgBackRest's configuration", _COMPARE_NAMES, (37,)),
    Words(("/archive.info'", "/backup.info'"), "there is no such stanza in the repository", _COMPARE_NAMES, (55,)),
    Words(
        ("/global/pg_control'",), "there is no server in the data directory of pgBackRest's configuration", _IS_IT_UP
    ),
)
"""Source: strerror(3) as pgBackRest quotes it; its src/db/helper.c and src/command/check/check.c."""
