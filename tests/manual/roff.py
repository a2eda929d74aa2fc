"""Text as man(7) wants it. In a text, `words` between backquotes become bold."""

from __future__ import annotations

import re
from collections.abc import Iterable


def escape(text: str) -> str:
    """Plain text for roff: no backslash, hyphen, or dot at a line's start is taken for something else."""
    lines = text.replace("\\", "\\e").replace("-", "\\-").splitlines()
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in lines)


def running(text: str) -> str:
    """A paragraph or several, with bold between backquotes."""
    return re.sub(r"`([^`]+)`", r"\\fB\1\\fP", escape(text))


def paragraphs(*texts: str) -> str:
    """Each text as a paragraph of its own."""
    return "".join(f".PP\n{running(text)}\n" for text in texts)


def definitions(rows: Iterable[tuple[str, str]]) -> str:
    """Terms in bold, each with its explanation."""
    return "".join(f".TP\n\\fB{escape(term)}\\fP\n{running(text)}\n" for term, text in rows)


def verbatim(text: str) -> str:
    """Lines exactly as they stand, indented."""
    return f".PP\n.RS 4\n.nf\n{escape(text.strip())}\n.fi\n.RE\n"


def section(title: str, *parts: str) -> str:
    """A section with what `paragraphs`, `definitions` and `verbatim` gave."""
    return f".SH {title}\n" + "".join(parts)


def subsection(title: str, *parts: str) -> str:
    """The same one level below."""
    return f".SS {escape(title)}\n" + "".join(parts)
