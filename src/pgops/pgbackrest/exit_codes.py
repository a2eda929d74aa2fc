"""What an exit code of pgBackRest means, and what to do about it.

Where a command tries several repositories it exits with a code of its own (103, 104) and names the one of each repository
in its text, as `[ArchiveMismatchError]` or `[044]`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pgops.pgbackrest.meanings import BY_WORDS, LOOK, MEANINGS


@dataclass(frozen=True)
class Explanation:
    """`name` is pgBackRest's own, `meaning` a sentence, `next_step` what to do; `said` its own words, where it said any."""

    code: int | None
    name: str
    meaning: str
    next_step: str
    said: str = ""

    @property
    def told(self) -> str:
        """One line: what it means, and what pgBackRest said."""
        code = "" if self.code is None else f" (exit code {self.code}, {self.name})"
        return f"{self.meaning}{code}{f': {self.said}' if self.said else ''}"


_BY_CLASS = {
    f"{''.join(word.title() for word in name.split('-'))}Error": code for code, (name, _, _) in MEANINGS.items()
}
_ERROR = re.compile(r"ERROR: (\[\d{3}\]: .*(?:\n[ \t]+.*)*)")
_OWN_CODE = re.compile(r"\[\d{3}\]: ")
_UNCHECKED = re.compile(r"WARN: (unable to check pg\d+: .*)")
_INNER = re.compile(r"\[(?:(\d{3})|(\w+Error))\]")
_WRAPPERS = (103, 104)
_NO_SERVER = (27, 56)
"""Exit codes of a command that found no server; only a warning before says why."""
_WORDS_LIMIT = 300


def explain(exit_code: int | None, said: str) -> Explanation:
    """The meaning of an exit code (None: no answer in time), with the help of the end of what was printed."""
    errors: list[str] = _ERROR.findall(said)
    words = _own_words(exit_code, errors, said)
    if exit_code is None:
        return Explanation(None, "no answer", "pgBackRest did not end", "is it still running there? ps -ef", words)
    if exit_code > 126 or exit_code < 0:
        return _explain_shell(exit_code, words)
    name = MEANINGS[exit_code][0] if exit_code in MEANINGS else "unlisted"
    meaning, next_step = _find_meaning(exit_code, "\n".join(errors) or said)
    return Explanation(exit_code, name, meaning, next_step, words)


def explain_class(said: str) -> tuple[str, str]:
    """Meaning and next step of an error that is named by its class alone, as `[CryptoError] cipher header invalid`."""
    code = _inner_code(said)
    return _find_meaning(code, said) if code is not None else ("pgBackRest met an error", LOOK)


def _find_meaning(exit_code: int, error: str) -> tuple[str, str]:
    inner = _inner_code(error) if exit_code in _WRAPPERS else None
    code = inner or exit_code
    for each in BY_WORDS:
        if each.fit(code, error):
            return each.meaning, each.next_step
    _, meaning, next_step = MEANINGS.get(code, ("unlisted", "pgBackRest failed", LOOK))
    return meaning, next_step


def _own_words(exit_code: int | None, errors: list[str], said: str) -> str:
    """The line that tells a person most: of a wrapping error the first repository's, of a server not found the reason."""
    unchecked = _UNCHECKED.search(said) if exit_code in _NO_SERVER else None
    if unchecked:
        return unchecked[1].strip()[:_WORDS_LIMIT]
    if not errors:
        return _last_line(said)[:_WORDS_LIMIT]
    first, *more = (line.strip() for line in _OWN_CODE.sub("", errors[0], count=1).splitlines())
    if exit_code in _WRAPPERS and first.endswith(":") and more:
        return f"{first} {more[0]}"[:_WORDS_LIMIT]
    return first.rstrip(":")[:_WORDS_LIMIT]


def _explain_shell(exit_code: int, words: str) -> Explanation:
    """What a shell says with an exit code: not found, or 128 + the signal that ended it."""
    if exit_code == 127:
        return Explanation(127, "not found", "pgbackrest is not installed there", "install it on that host", words)
    number = exit_code - 128 if exit_code > 0 else -exit_code
    meaning = f"pgBackRest was killed by signal {number}"
    return Explanation(exit_code, "killed", meaning, "run it again; a backup takes up what it had copied", words)


def _inner_code(said: str) -> int | None:
    """The code of the first repository's own fault, where a wrapping error names one."""
    for number, name in _INNER.findall(said):
        code = int(number) if number else _BY_CLASS.get(name)
        if code in MEANINGS and code not in _WRAPPERS:
            return code
    return None


def _last_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else ""
