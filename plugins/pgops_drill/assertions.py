"""SQL assertions: statements of a file, each of which must give one row with the one value true."""

from __future__ import annotations

import re

MOST_BYTES = 64 * 1024
_DOLLAR = re.compile(r"\$(?:[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*)?\$")
_TITLE = "-- pgops-assertion "


class AssertionFault(ValueError):
    """The file cannot be taken; the text is a clause for a person."""


def split_statements(text: str) -> tuple[str, ...]:
    """The statements of a text, without their semicolons, as psql would part them. Raises `AssertionFault`.

    Source: PostgreSQL docs, SQL syntax, lexical structure. A backslash outside of quotes would be a command of psql's, and
    is refused.
    """
    found: list[str] = []
    start = at = 0
    while at < len(text):
        sign = text[at]
        if sign == ";":
            found.append(text[start:at])
            start = at = at + 1
        elif sign == "\\":
            raise AssertionFault(f"line {_line(text, at)} has a backslash command; only SQL is taken")
        else:
            at = _skip(text, at)
    found.append(text[start:])
    kept = tuple(statement.strip() for statement in found if _says_something(statement))
    if any(line.startswith(_TITLE) for statement in kept for line in statement.splitlines()):
        raise AssertionFault(f"a line begins with {_TITLE.strip()!r}, which pgops itself writes")
    return kept


def write_file(statements: tuple[str, ...]) -> str:
    """The content of the file on the host, from which the n-th is taken by its title.

    The semicolon has a line of its own: a statement may end in a comment.
    """
    return "".join(f"{_TITLE}{number}\n{text}\n;\n" for number, text in enumerate(statements, 1))


def shorten(statement: str) -> str:
    """A statement for a sentence: one line of at most 80 signs."""
    line = " ".join(statement.split())
    return line if len(line) <= 80 else f"{line[:79]}…"


def _skip(text: str, at: int) -> int:
    """Past what begins here: a quoted text, a comment, or one sign."""
    if text[at] == "'":
        escapes = at > 0 and text[at - 1] in "eE" and not (at > 1 and (text[at - 2].isalnum() or text[at - 2] == "_"))
        return _past_quote(text, at, "'", escapes=escapes)
    if text[at] == '"':
        return _past_quote(text, at, '"', escapes=False)
    if text.startswith("--", at):
        end = text.find("\n", at)
        return len(text) if end < 0 else end
    if text.startswith("/*", at):
        return _past_comment(text, at)
    tag = _DOLLAR.match(text, at)
    if tag and not (at > 0 and (text[at - 1].isalnum() or text[at - 1] in "_$")):
        end = text.find(tag[0], tag.end())
        if end < 0:
            raise AssertionFault(f"the text that begins in line {_line(text, at)} does not end")
        return end + len(tag[0])
    return at + 1


def _past_quote(text: str, at: int, quote: str, *, escapes: bool) -> int:
    end = at + 1
    while end < len(text):
        if escapes and text[end] == "\\":
            end += 2
        elif text[end] != quote:
            end += 1
        elif text.startswith(quote, end + 1):
            end += 2
        else:
            return end + 1
    raise AssertionFault(f"the quote that begins in line {_line(text, at)} does not end")


def _past_comment(text: str, at: int) -> int:
    """Comments of this kind nest."""
    depth, end = 1, at + 2
    while depth and end < len(text):
        if text.startswith("/*", end):
            depth, end = depth + 1, end + 2
        elif text.startswith("*/", end):
            depth, end = depth - 1, end + 2
        else:
            end += 1
    if depth:
        raise AssertionFault(f"the comment that begins in line {_line(text, at)} does not end")
    return end


def _says_something(statement: str) -> bool:
    """Whether it is more than blanks and comments."""
    at = 0
    while at < len(statement):
        if statement.startswith(("--", "/*"), at):
            at = _skip(statement, at)
        elif statement[at].isspace():
            at += 1
        else:
            return True
    return False


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
