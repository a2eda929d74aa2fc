"""What a script for psql comes to in the end: one transaction that is committed, or not, and nothing that cannot be repeated.

Sources: PostgreSQL docs, sql-syntax-lexical (comments nest, dollar quotes, backslashes in E'' alone) and app-psql
(meta-commands go to the end of their line; a semicolon in parentheses ends nothing).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

COMMIT, ROLLBACK = "commit", "rollback"
_TOKEN = re.compile(
    r"(?P<comment>--[^\n]*)|(?P<nested>/\*)|(?P<escaped>\b[eE]'(?:[^'\\]|\\.|'')*')|(?P<string>'(?:[^']|'')*')"
    r'|(?P<name>"(?:[^"]|"")*")|(?P<dollar>\$(?P<tag>(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?)\$.*?\$(?P=tag)\$)'
    r"|(?P<word>[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*)|(?P<meta>\\[^\n]*)|(?P<end>;)|(?P<open>\()|(?P<close>\))"
    r"|(?P<odd>['\"])|(?P<space>\s+)|(?P<other>.)",
    re.DOTALL,
)
_NESTED = re.compile(r"/\*|\*/")
_ALLOWED = re.compile(r"\\(?:copy\s|echo\b|qecho\b|warn\b|timing\b|pset\s|x\b|set ON_ERROR_STOP (?:on|1)\s*$)")
_STDIN = re.compile(r"COPY\b.*\bFROM\s+STDIN\b", re.IGNORECASE | re.DOTALL)
_REPEATABLE = re.compile(r"SELECT\s+(?:pg_catalog\.)?setval\s*\(", re.IGNORECASE)
_ENDS = {"COMMIT": COMMIT, "END": COMMIT, "ROLLBACK": ROLLBACK, "ABORT": ROLLBACK}
_PLAIN_END = ("", "WORK", "TRANSACTION")


class ScriptFault(Exception):
    """Why the script cannot be run as one: a clause."""


@dataclass(frozen=True)
class Statement:
    """A statement, or a meta-command of psql, with its place in the text and its first words in capitals."""

    start: int
    text: str
    words: tuple[str, ...]

    @property
    def first(self) -> str:
        """Its first word."""
        return self.words[0] if self.words else ""


@dataclass(frozen=True)
class Script:
    """`ends` is `commit` or `rollback`; `body` is all before that statement, `behind` the statements after it.

    `settings` are the SETs before BEGIN, which hold for what stands behind as well.
    """

    ends: str
    body: str
    behind: tuple[str, ...]
    settings: tuple[str, ...]


def read_script(text: str) -> Script:
    """The script as one transaction. `text` has one character a byte (latin-1), as every server's encoding allows.

    Before BEGIN there may be SET alone, in it no other beginning or end, and behind its end only `SELECT setval(...)`, which
    may be repeated. Raises `ScriptFault` for anything else.
    """
    statements = list(_statements(text))
    begins = [at for at, each in enumerate(statements) if each.first in ("BEGIN", "START")]
    ends = [at for at, each in enumerate(statements) if each.first in _ENDS and "TO" not in each.words[:3]]
    if not begins or not ends:
        raise ScriptFault("it has no BEGIN, or neither COMMIT nor ROLLBACK")
    if len(begins) > 1 or len(ends) > 1 or begins[0] > ends[0]:
        lines = ", ".join(str(_line(text, statements[at].start)) for at in sorted({*begins, *ends}))
        raise ScriptFault(f"it is more than one transaction (they begin and end in the lines {lines})")
    begin, end = begins[0], ends[0]
    for each in statements[:begin]:
        if each.first != "SET" and not each.text.startswith("\\"):
            raise ScriptFault(f"line {_line(text, each.start)} stands before BEGIN, where only SET may stand")
    last = statements[end]
    if len(last.words) > 2 or (last.words[1:] and last.words[1] not in _PLAIN_END) or not last.text.endswith(";"):
        raise ScriptFault(f"line {_line(text, last.start)} is not plainly COMMIT; or ROLLBACK;")
    for each in statements[:end]:
        _refuse(text, each)
    for each in statements[end + 1 :]:
        if not _REPEATABLE.match(each.text) or not each.text.endswith(";"):
            raise ScriptFault(f"line {_line(text, each.start)} stands behind the end: only SELECT setval(...); may")
    settings = tuple(each.text for each in statements[:begin] if each.first == "SET")
    behind = tuple(each.text for each in statements[end + 1 :])
    return Script(_ENDS[last.first], text[: last.start], behind, settings)


def _refuse(text: str, statement: Statement) -> None:
    """What would leave the session or the transaction, or cannot be told apart from data."""
    line = _line(text, statement.start)
    if statement.text.startswith("\\") and not _ALLOWED.match(statement.text):
        raise ScriptFault(f"line {line} is a command of psql that does not belong here: {statement.text.split()[0]}")
    if statement.words[:2] == ("PREPARE", "TRANSACTION"):
        raise ScriptFault(f"line {line} prepares the transaction instead of ending it")
    if _STDIN.match(statement.text):
        raise ScriptFault(f"line {line} reads data from the script itself: put it into a file and use \\copy")


def _statements(text: str) -> Iterator[Statement]:
    start, depth, words, at = -1, 0, [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        assert match  # noqa: S101 - the last alternative takes any character
        kind, here, at = match.lastgroup, at, match.end()
        if kind == "nested":
            at = _behind_comment(text, here)
        if kind in ("space", "comment", "nested"):
            continue
        if kind == "odd":
            raise ScriptFault(f"the quote in line {_line(text, here)} is never closed")
        if kind == "meta":
            if start >= 0:
                raise ScriptFault(f"line {_line(text, here)} has a command of psql within a statement")
            yield Statement(here, match[0].rstrip(), ())
            continue
        if start < 0:
            start = here
        depth += (kind == "open") - (kind == "close")
        if kind == "word" and depth <= 0:
            words.append(match[0].upper())
        if kind == "end" and depth <= 0:
            yield Statement(start, text[start:at], tuple(words))
            start, depth, words = -1, 0, []
    if start >= 0:
        raise ScriptFault(f"the statement in line {_line(text, start)} never ends: a semicolon is missing")


def _behind_comment(text: str, at: int) -> int:
    depth = 0
    for match in _NESTED.finditer(text, at):
        depth += 1 if match[0] == "/*" else -1
        if depth == 0:
            return match.end()
    raise ScriptFault(f"the comment in line {_line(text, at)} is never closed")


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
