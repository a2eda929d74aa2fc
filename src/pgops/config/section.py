"""Reads one mapping of a configuration with types, noting what is wrong and going on."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pgops.config.endpoints import BadAddress, parse_port, parse_url
from pgops.config.nodes import Faults, Items, Node, Scalar, Table, is_null, shown_key
from pgops.config.units import DURATION_FORMS, SIZE_FORMS, parse_duration, parse_size
from pgops.config.words import refuse_text
from pgops.secrets import Secret

Refuse = Callable[[str], "str | None"]
_NUMBERS = ("int", "float")


class Section:
    """A mapping being read. A getter gives None for what is absent, null, or wrong (then the fault is noted)."""

    def __init__(self, table: Table, faults: Faults) -> None:
        self.table = table
        self.faults = faults
        self._known: set[str] = set()

    def node(self, key: str) -> Node | None:
        """The value as it stands, or None when absent or null."""
        self._known.add(key)
        node = self.table.entries.get(key)
        return None if is_null(node) else node

    def has(self, key: str) -> bool:
        """The key is there, be its value null."""
        self._known.add(key)
        return key in self.table.entries

    def text(self, key: str, refuse: Refuse = refuse_text) -> str | None:
        """A text that `refuse` has nothing against."""
        scalar = self._scalar(key, "text")
        if scalar is None:
            return None
        if scalar.kind != "str":
            self.faults.at(scalar, f"expected text, got {say_kind(scalar)}; put it in quotes if it is meant so")
            return None
        return self._accepted(scalar, scalar.text, refuse)

    def secret(self, key: str) -> Secret | None:
        """A secret; a number stands for its digits as they were written."""
        scalar = self._scalar(key, "text")
        if scalar is None:
            return None
        if scalar.kind not in ("str", *_NUMBERS):
            self.faults.at(scalar, f"expected text, got {say_kind(scalar)}; put it in quotes if it is meant so")
            return None
        if not scalar.text or "\0" in scalar.text:
            self.faults.at(scalar, "must not be empty" if not scalar.text else "must not hold a NUL character")
            return None
        return Secret(scalar.text)

    def choice(self, key: str, choices: Iterable[str]) -> str | None:
        """One of these words."""
        words = tuple(choices)
        scalar = self._scalar(key, f"one of {', '.join(words)}")
        if scalar is None:
            return None
        if scalar.text not in words:
            self.faults.at(scalar, f"expected one of {', '.join(words)}{_nearest(scalar.text, words)}")
            return None
        return scalar.text

    def boolean(self, key: str) -> bool | None:
        """true or false, in YAML's spellings."""
        scalar = self._scalar(key, "true or false")
        if scalar is None:
            return None
        if scalar.kind != "bool":
            self.faults.at(scalar, f"expected true or false, got {say_kind(scalar)}")
            return None
        return scalar.text.lower() in ("true", "yes", "on")

    def port(self, key: str) -> int | None:
        """A TCP port."""
        scalar = self._scalar(key, "a port")
        if scalar is None:
            return None
        try:
            return parse_port(scalar.text if scalar.kind == "int" else "")
        except BadAddress as error:
            self.faults.at(scalar, str(error))
            return None

    def size(self, key: str) -> int | None:
        """Bytes, more than 0."""
        size = self._quantity(key, parse_size, SIZE_FORMS)
        return None if size is None else int(size)

    def duration(self, key: str) -> float | None:
        """Seconds, more than 0."""
        return self._quantity(key, parse_duration, DURATION_FORMS)

    def number(self, key: str, least: float, most: float, *, whole: bool = False) -> float | None:
        """A number within these bounds."""
        form = f"a {'whole ' if whole else ''}number from {least:g} to {most:g}"
        scalar = self._scalar(key, form)
        if scalar is None:
            return None
        try:
            value = float(scalar.text) if scalar.kind in (("int",) if whole else _NUMBERS) else None
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            self.faults.at(scalar, f"expected {form}")
            return None
        return value

    def url(self, key: str, *, with_path: bool = False) -> str | None:
        """An http or https URL without credentials; without a path unless `with_path`."""
        scalar = self._scalar(key, "a URL")
        if scalar is None:
            return None
        try:
            url = parse_url(scalar.text)
        except BadAddress as error:
            self.faults.at(scalar, str(error))
            return None
        if url.username is not None or url.password is not None:
            self.faults.at(scalar, "a URL must not hold a user name or password; there are keys for them")
            return None
        if with_path:
            return scalar.text
        if url.path not in ("", "/"):
            self.faults.at(scalar, "the URL must end after the port")
            return None
        return scalar.text.rstrip("/")

    def section(self, key: str) -> Section | None:
        """The mapping under this key."""
        node = self.node(key)
        if node is None:
            return None
        if not isinstance(node, Table):
            self.faults.at(node, f"expected a mapping, got {say_kind(node)}")
            return None
        return Section(node, self.faults)

    def close(self) -> None:
        """Note every key that nobody asked for, with the nearest known one."""
        for key, node in self.table.entries.items():
            if key not in self._known:
                # a key without a value may be a secret that slipped: its line is enough to find it
                named = not is_null(node) or key.lower() in _lower(self._known)
                path = node.path if named else self.table.path
                shown = shown_key(key) if named else "(a key not shown)"
                near = _nearest(key, self._known) or f"; there are: {', '.join(sorted(self._known))}"
                self.faults.add(self.table.key_places[key], path, f"unknown key {shown}{near}")

    def _scalar(self, key: str, expected: str) -> Scalar | None:
        node = self.node(key)
        if node is None or isinstance(node, Scalar):
            return node
        self.faults.at(node, f"expected {expected}, got {say_kind(node)}")
        return None

    def _accepted(self, node: Node, text: str, refuse: Refuse) -> str | None:
        reason = refuse(text)
        if reason is not None:
            self.faults.at(node, reason)
            return None
        return text

    def _quantity(self, key: str, parse: Callable[[str], float | None], form: str) -> float | None:
        scalar = self._scalar(key, form)
        if scalar is None:
            return None
        value = parse(scalar.text) if scalar.kind in ("str", *_NUMBERS) else None
        if not value:
            self.faults.at(scalar, f"expected {form}, more than 0")
            return None
        return value


def say_kind(node: Node) -> str:
    """What a value is, in a word, without showing it."""
    if isinstance(node, Scalar):
        words = {"str": "text", "int": "a number", "float": "a number", "bool": "true or false", "null": "nothing"}
        return words.get(node.kind, "a date" if node.kind == "timestamp" else "a tagged value")
    return "a list" if isinstance(node, Items) else "a mapping"


def _lower(words: Iterable[str]) -> set[str]:
    return {word.lower() for word in words}


def _nearest(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word.lower(), sorted(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
