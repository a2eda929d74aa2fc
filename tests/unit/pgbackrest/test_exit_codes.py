"""Every exit code has a sentence and something to do; texts as pgBackRest 2.45 really printed them."""

from __future__ import annotations

import pytest

from pgops.hosts.process import CommandResult
from pgops.pgbackrest.exit_codes import explain
from pgops.pgbackrest.meanings import MEANINGS
from pgops.pgbackrest.runner import PgbackrestFault
from pgops.pgbackrest.statuses import explain_status

# build/error.yaml of pgBackRest 2.59.1.
ALL_CODES = (
    *range(25, 33), *range(37, 59), *range(60, 65), *range(67, 71), *range(72, 77), *range(78, 84), 87, 88, 89,
    *range(93, 107), 122, 124, 125,
)  # fmt: skip
LINE = "2026-11-23 09:27:02.443 P00  ERROR: "
INDENT = " " * 36
PUSH_REFUSED = (
    "ERROR: [103]: unable to find a valid repository:\n"
    "       repo1: [ArchiveMismatchError] PostgreSQL version 15, system-id 77 do not match repo1 stanza version 15\n"
    "       HINT: are you archiving to the correct stanza?\n"
)
EXPIRE_REFUSED = (
    f"{LINE}[041]: repo1: unable to open file '/r/backup/demo/backup.info' for write: [13] Permission denied\n"
    f"{LINE}[104]: expire command encountered 1 error(s), check the log file for details\n"
    "2026-11-23 09:27:39.973 P00   INFO: expire command end: aborted with exception [104]\n"
)
UNDECIPHERED = "FormatError: key/value found outside of section at line 1: \x18\x04"
NO_SERVER = (
    "2026-11-23 P00   WARN: unable to check pg1: [DbConnectError] unable to connect to 'port=5432': No such file\n"
    f"{INDENT}\tIs the server running locally and accepting connections on that socket?\n"
    f"{LINE}[056]: unable to find primary cluster - cannot proceed\n{INDENT}HINT: are all available clusters in recovery?\n"
)


@pytest.mark.parametrize("code", ALL_CODES)
def test_every_code_has_a_name_a_sentence_and_a_next_step(code: int) -> None:
    told = explain(code, f"{LINE}[{code:03}]: something\n")
    assert told.name not in ("", "unlisted")
    assert told.meaning
    assert told.meaning[-1] not in ".:;"
    assert told.next_step
    assert told.told == f"{told.meaning} (exit code {code}, {told.name}): something"


def test_no_code_is_listed_that_pgbackrest_does_not_have() -> None:
    assert sorted(MEANINGS) == [1, *ALL_CODES]


@pytest.mark.parametrize(
    ("code", "said", "meaning", "words"),
    [
        (103, PUSH_REFUSED, "the archive belongs to another server", "repo1: [ArchiveMismatchError]"),
        (103, PUSH_REFUSED.replace("ArchiveMismatch", "FileMissing"), "a file is missing", "[FileMissingError]"),
        (103, "ERROR: [103]: unable to find a valid repository:\n", "no repository could do it", "unable to find"),
        (103, PUSH_REFUSED.replace("ArchiveMismatch", "Unheard"), "no repository could do it", "[UnheardError]"),
        (104, EXPIRE_REFUSED, "a path of the repository or of pgBackRest may not be used", "repo1: unable to open file"),
        (104, f"{LINE}[045]: repo2: duplicate\n{LINE}[104]: 1 error(s)\n", "two servers wrote one timeline", "repo2"),
        (104, f"{LINE}[104]: 1 error(s)\n", "the command met one or more errors", "1 error(s)"),
        (56, NO_SERVER, "cannot log in to PostgreSQL", "unable to check pg1: [DbConnectError]"),
        (27, NO_SERVER.replace("[056]", "[027]"), "pgBackRest's configuration is not valid", "unable to check pg1"),
        (27, f"{LINE}[027]: no database found\n", "pgBackRest finds no server to ask", "no database found"),
        (56, f"{LINE}[056]: more than one primary cluster found\n", "a split brain", "more than one"),
        (56, f"{LINE}[056]: unable to find standby cluster - cannot proceed\n", "no replica to copy from", "standby"),
        (29, f"{LINE}[029]: unable to load info file '/a':\n{INDENT}{UNDECIPHERED}\n", "cipher pass is another", "/a"),
        (29, f"{LINE}[029]: invalid\n", "a file does not have the form", "invalid"),
        (41, f"{LINE}[041]: unable to open '/r': [28] No space left on device\n", "is full", "No space left"),
        (50, f"{LINE}[050]: unable to acquire lock on file '/l': Resource temporarily unavailable\n", "another", "lock"),
        (50, f"{LINE}[050]: unable to acquire lock on file '/l': Permission denied\n", "may not be used", "/l"),
        (55, f"{LINE}[055]: unable to load info file '/r/backup.info' or '/r/copy':\n", "no such stanza", "copy'"),
        (37, f"{LINE}[037]: requires pg1-path\n{INDENT}HINT: does this stanza exist?\n", "not in pgBackRest's", "pg1"),
        (125, f"{LINE}[125]: remote-0 process on 'h' terminated unexpectedly [255]: ssh: x\n", "over ssh", "remote-0"),
        (126, "Permission refused by a wrapper\n", "pgBackRest failed", "wrapper"),
        (127, "sh: pgbackrest: not found\n", "not installed", "not found"),
        (137, "", "killed by signal 9", ""),
        (-15, "", "killed by signal 15", ""),
        (None, "P00   INFO: backup file 1\n", "did not end", "INFO"),
    ],
)  # fmt: skip
def test_words_say_more_than_the_code(code: int | None, said: str, meaning: str, words: str) -> None:
    told = explain(code, said)
    assert meaning in told.meaning
    assert words in told.said
    assert not told.said.endswith(":") or code == 103
    assert told.code == code


def test_a_warning_before_the_error_is_not_taken_for_its_cause() -> None:
    said = f"P00   WARN: unable to read '/x': [13] Permission denied\n{LINE}[062]: stop file exists for stanza demo\n"
    assert "stopped pgBackRest here" in explain(62, said).meaning


def test_endless_words_are_cut() -> None:
    assert len(explain(64, f"{LINE}[064]: {'x' * 5000}\n").said) == 300


def test_the_fault_tells_the_meaning_and_keeps_the_streams() -> None:
    result = CommandResult(("pgbackrest", "expire"), 104, EXPIRE_REFUSED, "WARN: option\n", 0.1)
    fault = PgbackrestFault(result)
    assert str(fault).startswith("a path of the repository or of pgBackRest may not be used (exit code 104, command)")
    assert (fault.argv, fault.exit_code, "WARN: option" in fault.stderr_tail) == (("pgbackrest", "expire"), 104, True)
    assert "encountered 1 error" in fault.stdout_tail
    assert fault.next_step


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (CommandResult(("pgbackrest",), None, "", "", 2.0), "no answer within 2.0 s"),
        (CommandResult(("pgbackrest",), 0, "x", "", 2.0, truncated=True), "printed too much"),
    ],
)
def test_a_fault_that_pgbackrest_did_not_tell(result: CommandResult, text: str) -> None:
    assert text in str(PgbackrestFault(result))


@pytest.mark.parametrize(
    ("code", "message", "meaning"),
    [
        (1, "missing stanza path", "no stanza of this name"),
        (2, "no valid backups", "no valid backup"),
        (3, "missing stanza data", "own files are missing"),
        (4, "different across repos", "disagree"),
        (5, "database mismatch across repos", "different databases"),
        (6, "requested backup not found", "is not there"),
        (99, "other", "other"),
        (99, "", "unknown status"),
        (99, "[CryptoError] unable to load info file '/r':\nHINT: is or was the repo encrypted?", "decryption failed"),
        (99, "[UnheardError] what is it", "what is it"),
        (77, "a status of the future", "a status of the future"),
    ],
)
def test_status_codes_of_info(code: int, message: str, meaning: str) -> None:
    told, next_step = explain_status(code, message)
    assert meaning in told
    assert "\n" not in told
    assert next_step
