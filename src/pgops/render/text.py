"""Text from outside on its way to a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` with every control character (escape sequences, newlines, bidirectional overrides) made visible.

    Names and error texts come from the DCS, from servers and from files; none may steer the operator's terminal.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
