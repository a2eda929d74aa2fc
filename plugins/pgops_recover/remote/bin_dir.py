"""The one value `postgresql.bin_dir` in the text of a Patroni file: where it stands, and the text with another in its place.

Runs in the interpreter of that Patroni, whose own YAML library reads the file: what cannot be changed there with
certainty is refused. Nothing of the file but that value is ever told; the texts come and go by pipes. The new text is
parsed and compared with the old one, node by node, before it is given back.

Called with a JSON document on standard input: `text`, `directory` (the value to set, or to take out again), and `before` and
`piece` where it is to be taken out again. Prints `text` with `before` (what stood there, empty: nothing) and `piece` (what
stands there now); `same` true where there is nothing to do; or `fault`, a clause. Sources: PyYAML, yaml/error.py (marks count
characters), yaml/nodes.py; Patroni, patroni/config.py, _load_config_path (safe_load; the last of two equal keys wins).
"""

from __future__ import annotations

import json
import sys
from typing import Any

import yaml

_DEEPEST = 64


class Fault(Exception):
    """Why it cannot be changed: a clause that tells nothing of the file's values."""


def main() -> int:
    """Answer one wish. Always 0: the answer says how it went."""
    wish = json.load(sys.stdin)
    try:
        try:
            answer = take_out(wish) if "piece" in wish else put_in(wish["text"], wish["directory"])
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f" at line {mark.line + 1}" if mark is not None else ""
            raise Fault(f"it is not one document of YAML{where}") from None
        except RecursionError:
            raise Fault("it is nested too deeply") from None
    except Fault as fault:
        answer = {"fault": str(fault)}
    json.dump(answer, sys.stdout)
    return 0


def put_in(text: str, directory: str) -> dict[str, Any]:
    """The text with this `bin_dir`. Raises `Fault`, yaml.YAMLError, RecursionError."""
    section, key, value = _find(text)
    quoted = json.dumps(directory, ensure_ascii=False)
    if value is None:
        at = section.value[0][0].start_mark.index
        begins = text.rfind("\n", 0, at) + 1
        indent = text[begins:at]
        if section.flow_style:
            piece = f"bin_dir: {quoted}, "
        elif indent.strip(" "):
            raise Fault("the first key of postgresql does not stand on a line of its own")
        else:
            ends = text.find("\n", at)
            newline = "\r\n" if ends > 0 and text[ends - 1] == "\r" else "\n"
            piece = f"bin_dir: {quoted}{newline}{indent}"
        start = end = at
    else:
        if value.value == directory:
            return {"same": True}
        start, end = _span(text, key, value)
        piece = quoted if text[start - 1 : start].isspace() else f" {quoted}"
    changed = text[:start] + piece + text[end:]
    _compare(text, changed, directory)
    return {"text": changed, "before": text[start:end], "piece": piece, "added": value is None}


def take_out(wish: dict[str, Any]) -> dict[str, Any]:
    """The text as it was before `put_in`, whatever else was changed in it since. Raises as `put_in` does."""
    text, piece = wish["text"], wish["piece"]
    _, key, value = _find(text)
    if value is None or value.value != wish["directory"]:
        return {"same": True}
    if wish["added"]:
        start, end = key.start_mark.index, key.start_mark.index + len(piece)
    else:
        start, end = _span(text, key, value)
        start = end - len(piece)
    if text[start:end] != piece:
        raise Fault("its bin_dir does not stand as pgops wrote it")
    restored = text[:start] + wish["before"] + text[end:]
    _compare(text, restored, None)
    return {"text": restored}


def _find(text: str) -> tuple[Any, Any, Any]:
    """The section `postgresql`, and the key and the value of `bin_dir` in it; None for both: it has none."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        raise Fault("it is no mapping")
    _, section = _only(root, "postgresql", "it")
    if section is None:
        raise Fault("it has no section postgresql")
    if not isinstance(section, yaml.MappingNode) or not section.value:
        raise Fault("its section postgresql is empty, or no mapping")
    key, value = _only(section, "bin_dir", "its section postgresql")
    if value is not None and not isinstance(value, yaml.ScalarNode):
        raise Fault("its bin_dir is no plain value")
    return section, key, value


def _only(mapping: Any, name: str, what: str) -> tuple[Any, Any]:
    found = [(key, value) for key, value in mapping.value if key.value == name]
    if len(found) > 1:
        raise Fault(f"{what} says {name} {len(found)} times, of which Patroni takes the last alone")
    return found[0] if found else (None, None)


def _span(text: str, key: Any, value: Any) -> tuple[int, int]:
    """Where the value stands, which must be on the line of its key, behind nothing but a colon."""
    start, end = value.start_mark.index, value.end_mark.index
    between = text[key.end_mark.index : start]
    if between.strip(" \t") != ":" or value.style not in (None, "'", '"') or "\n" in text[start:end]:
        raise Fault("its bin_dir is not written out on the line of its key (an alias, or a text of several lines)")
    return start, end


def _compare(before: str, after: str, directory: str | None) -> None:
    """Raise `Fault` unless both say the same but for `bin_dir`, and the new one that it is `directory` (None: whatever)."""
    one = yaml.compose(before, Loader=yaml.SafeLoader)
    try:
        other = yaml.compose(after, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        raise Fault("another place of it leans on its bin_dir") from None
    if _shape(one) != _shape(other):
        raise Fault("another value would change with its bin_dir")
    if directory is not None and yaml.safe_load(after)["postgresql"]["bin_dir"] != directory:
        raise Fault("its bin_dir would be another one")


def _shape(node: Any, *, depth: int = 0, section: bool = False) -> Any:
    """All that a node says, without `postgresql.bin_dir`. Raises `Fault`."""
    # An alias may stand in what it names. Python 3.13 alone would not end that: it counts no call that leaves out a default.
    if depth > _DEEPEST:
        raise Fault("it is nested too deeply")
    if isinstance(node, yaml.ScalarNode):
        return (node.tag, node.value)
    if isinstance(node, yaml.SequenceNode):
        return (node.tag, [_shape(item, depth=depth + 1) for item in node.value])
    pairs = [
        (
            _shape(key, depth=depth + 1),
            _shape(value, depth=depth + 1, section=depth == 0 and key.value == "postgresql"),
        )
        for key, value in node.value
        if not (section and key.value == "bin_dir")
    ]
    return (node.tag, pairs)


if __name__ == "__main__":
    sys.exit(main())
