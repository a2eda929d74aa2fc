"""YAML text into a tree of nodes: the only module that imports yaml.

Works on the event stream, so that nesting, aliases and size are bounded by us and nothing is ever constructed from a
tag. Errors of the parser are told by line and by its own fixed words; the text of the file is never quoted.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pgops.config.nodes import Faults, Items, Node, Place, Scalar, Table, join_path

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_NODES = 20_000
_DEEPEST = 40
_STANDARD = "tag:yaml.org,2002:"


class _Stop(Exception):
    """The text cannot be read any further; the fault is noted."""


def parse(text: bytes, source: str, faults: Faults, repeated: Faults | None = None) -> Node | None:
    """The one document in `text`, or None when it is empty or not YAML (then `faults` says where and why).

    Of a key that is given twice the last counts, as in Patroni; `repeated` collects them for who does not want any.
    """
    import yaml

    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        faults.add(Place(source, text.count(b"\n", 0, error.start) + 1), "", "not UTF-8 text")
        return None
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        return _Composer(loader, source, faults, Faults() if repeated is None else repeated).compose()
    except yaml.YAMLError as error:
        faults.add(Place(source, _line(error, text)), "", f"not YAML: {_words(error)}")
    except _Stop:
        pass
    finally:
        loader.dispose()
    return None


def _line(error: Any, text: bytes) -> int:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        return int(mark.line) + 1
    position = getattr(error, "position", None)
    return text.count(b"\n", 0, position) + 1 if isinstance(position, int) else 1


def _words(error: Any) -> str:
    """The parser's fixed words. What it quotes comes from the file and may be part of a secret."""
    said = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
    words = re.sub(r"\s*([\"']).*\1", "", str(said), flags=re.DOTALL)
    context = getattr(error, "context", None)
    return f"{words}, {context}" if context and not re.search("[\"']", context) else words


class _Composer:
    """Builds the tree from events. An alias is the anchored node itself: nothing is copied."""

    def __init__(self, loader: Any, source: str, faults: Faults, repeated: Faults) -> None:
        import yaml

        self._yaml = yaml
        self._resolve = loader.resolve
        self._loader = loader
        self._source = source
        self._faults = faults
        self._repeated = repeated
        self._anchors: dict[str, Node | None] = {}
        self._count = 0

    def compose(self) -> Node | None:
        events = self._events()
        next(events)  # the stream's start
        root: Node | None = None
        for number, event in enumerate(events):
            if isinstance(event, self._yaml.StreamEndEvent):
                break
            if number:
                self._refuse(event, "", "a second document; the file must hold one")
            root = self._node(next(events), events, "", 0)
            next(events)  # the document's end
        return root

    def _events(self) -> Iterator[Any]:
        while self._loader.check_event():
            yield self._loader.get_event()

    def _refuse(self, event: Any, path: str, text: str) -> None:
        self._faults.add(self._place(event), path, text)
        raise _Stop

    def _place(self, event: Any) -> Place:
        return Place(self._source, event.start_mark.line + 1)

    def _node(self, event: Any, events: Iterator[Any], path: str, depth: int) -> Node:
        yaml = self._yaml
        self._count += 1
        if self._count > _MOST_NODES:
            self._refuse(event, path, f"more than {_MOST_NODES} values")
        if isinstance(event, yaml.AliasEvent):
            return self._aliased(event, path)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        node: Node
        if isinstance(event, yaml.ScalarEvent):
            node = Scalar(event.value, self._kind(event), self._place(event), path)
        elif depth >= _DEEPEST:
            self._refuse(event, path, f"nested deeper than {_DEEPEST} levels")
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._items(event, events, path, depth)
        else:
            node = self._table(event, events, path, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _kind(self, event: Any) -> str:
        tag = event.tag
        if tag is None or tag == "!":
            tag = self._resolve(self._yaml.ScalarNode, event.value, event.implicit)
        return str(tag).removeprefix(_STANDARD)

    def _aliased(self, event: Any, path: str) -> Node:
        if event.anchor not in self._anchors:
            self._refuse(event, path, "an alias (*) without its anchor (&)")
        node = self._anchors[event.anchor]
        if node is None:
            self._refuse(event, path, "an alias (*) inside its own anchor (&)")
        assert node is not None  # noqa: S101 - _refuse does not return
        return node

    def _items(self, event: Any, events: Iterator[Any], path: str, depth: int) -> Items:
        values: list[Node] = []
        for child in events:
            if isinstance(child, self._yaml.SequenceEndEvent):
                break
            values.append(self._node(child, events, f"{path}[{len(values)}]", depth + 1))
        return Items(tuple(values), self._place(event), path)

    def _table(self, event: Any, events: Iterator[Any], path: str, depth: int) -> Table:
        entries: dict[str, Node] = {}
        places: dict[str, Place] = {}
        merged: list[Node] = []
        for key_event in events:
            if isinstance(key_event, self._yaml.MappingEndEvent):
                break
            place = self._place(key_event)
            key = self._node(key_event, events, path, depth + 1)
            if not isinstance(key, Scalar):
                self._faults.add(place, path, "a key must be a single word")
                self._node(next(events), events, path, depth + 1)
                continue
            value = self._node(next(events), events, join_path(path, key.text), depth + 1)
            if key.kind == "merge":
                merged.append(value)
                continue
            if key.text in places:
                said = f"given twice; first at line {places[key.text].line}"
                self._repeated.add(place, join_path(path, key.text), said)
            entries[key.text], places[key.text] = value, place
        for node in merged:
            self._take_in(node, entries, places, path)
        return Table(entries, places, self._place(event), path)

    def _take_in(self, node: Node, entries: dict[str, Node], places: dict[str, Place], path: str) -> None:
        """YAML's merge key `<<`: what stands in the mapping itself wins, then the first of several."""
        for table in node.values if isinstance(node, Items) else (node,):
            if not isinstance(table, Table):
                self._faults.add(node.place, path, "<< needs a mapping, or a list of mappings")
                continue
            self._count += len(table.entries)  # aliases make many of a few
            if self._count > _MOST_NODES:
                self._faults.add(node.place, path, f"more than {_MOST_NODES} values")
                raise _Stop
            for key, value in table.entries.items():
                if key not in entries:
                    entries[key], places[key] = value, table.key_places[key]
