"""Plain values out of a Patroni configuration's tree, lenient as Patroni itself is with types."""

from __future__ import annotations

from pgops.config.nodes import Node, Scalar, descend


def word_at(node: Node | None, *keys: str) -> str | None:
    """The scalar under these keys as it was written, or None where there is none, or an empty one."""
    found = descend(node, *keys)
    return found.text or None if isinstance(found, Scalar) else None


def truth_at(node: Node | None, *keys: str) -> bool | None:
    """True or false in Patroni's spellings. Source: Patroni, patroni/utils.py, parse_bool."""
    word = (word_at(node, *keys) or "").lower()
    if word in ("on", "true", "yes", "1"):
        return True
    return False if word in ("off", "false", "no", "0") else None
