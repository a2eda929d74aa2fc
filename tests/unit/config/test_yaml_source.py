"""Files that are no good YAML, or too much of it."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from pgops.config.loader import load
from pgops.errors import ConfigError
from unit.config.texts import refusal, write

_GOOD = b"""\
version: 1
clusters:
  demo: &d
    dcs: {kind: etcd3, endpoints: ["127.20.1.11:2379", 'h']}
    sql: {password: "x y", user: 'm'}
    hosts: {n1: {ssh: h}, n2: }
  b: {<<: *d, thresholds: {lag_warning_bytes: 16MiB}}
"""


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (b"a: b\nc: [d\n", 3, "not YAML"),
        (b"a: b\n\tc: d\n", 2, "not YAML"),
        (b'version: 1\nclusters: "x', 2, "unexpected end of stream"),
        (b"a: 1\nb: \x07\n", 2, "not YAML"),
        (b"a: 1\nb: \xff\xfe\n", 2, "not UTF-8"),
        (b"a: b\n---\nc: d\n", 2, "a second document"),
        # PyYAML 6.0.4 refuses it before we do.
        pytest.param(b"version: 1\nclusters: " + b"[" * 100_000, 2, "nest", id="deep"),
        (b"version: 1\nclusters: &a [*a]\n", 2, "inside its own anchor"),
        (b"version: 1\nclusters: &a {<<: *a}\n", 2, "inside its own anchor"),
        pytest.param(b"version: 1\nclusters: [" + b"x, " * 50_000 + b"x]\n", 2, "more than 20000 values", id="long"),
    ],
)
def test_not_yaml(tmp_path: Path, text: bytes, line: int, words: str) -> None:
    file = tmp_path / "p.yml"
    file.write_bytes(text)
    error = refusal(file)
    assert (error.why or "").startswith(f"{file}:{line}: "), error.why
    assert words in (error.why or ""), error.why


@pytest.mark.parametrize(
    "text", ["", "\n\n", "# only a comment\n", "---\n", "~\n", "text\n", "[a]\n", "{}\n", "a: b\n"]
)
def test_neither_kind(tmp_path: Path, text: str) -> None:
    error = refusal(write(tmp_path / "p.yml", text))
    assert "neither a pgops.yml nor a Patroni configuration" in error.what
    assert "scope:" in (error.next_step or "")


def test_both_kinds(tmp_path: Path) -> None:
    assert "neither" in refusal(write(tmp_path / "p.yml", "scope: a\nclusters: {}\n")).what


def _billion_laughs() -> bytes:
    lines = ["version: 1", "a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    return "\n".join([*lines, "clusters: *a29"]).encode()


def _merge_bomb() -> bytes:
    keys = ", ".join(f"k{n}: 1" for n in range(4000))
    return f"version: 1\na: &a {{{keys}}}\nclusters: {{<<: [{', '.join(['*a'] * 10_000)}]}}".encode()


def _many_unknown_keys() -> bytes:
    return b"version: 1\nclusters: {a: {" + b", ".join(b"unknwon%d: 1" % n for n in range(9000)) + b"}}"


def _defaults_for_many() -> bytes:
    keys = ", ".join(f"k{n}: 1" for n in range(5000))
    names = "".join(f"  c{n}:\n" for n in range(9000))
    return f"version: 1\ndefaults: {{{keys}}}\nclusters:\n{names}".encode()


@pytest.mark.parametrize("make", [_billion_laughs, _merge_bomb, _many_unknown_keys, _defaults_for_many])
def test_bombs_are_bounded(tmp_path: Path, make: object) -> None:
    file = tmp_path / "p.yml"
    file.write_bytes(make())  # type: ignore[operator]
    started = time.process_time()
    error = refusal(file)
    # bounded, on a busy machine too; the point is that it is not minutes
    assert time.process_time() - started < 10
    assert len(error.why or "") < 20_000


def test_a_large_file_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "p.yml"
    with file.open("wb") as stream:
        stream.truncate(100 * 1024 * 1024)
    started = time.process_time()
    assert "too large" in refusal(file).what
    assert time.process_time() - started < 1


def test_only_regular_files(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert "not a regular file" in (refusal(fifo).why or "")
    assert "not a regular file" in (refusal(Path("/dev/zero")).why or "")
    assert "No such file" in (refusal(tmp_path / "nowhere").why or "")


def test_damaged_files_give_an_error_and_nothing_else(tmp_path: Path) -> None:
    """Thousands of small damages to a good file: each loads, or is refused in words; nothing else ever happens."""
    dice = random.Random(20)
    file = tmp_path / "p.yml"
    refused = 0
    for _ in range(1500):
        text = bytearray(_GOOD)
        for _ in range(dice.randint(1, 4)):
            at = dice.randrange(len(text))
            match dice.randrange(4):
                case 0:
                    text[at] = dice.randrange(256)
                case 1:
                    del text[at : at + dice.randint(1, 20)]
                case 2:
                    text[at:at] = dice.choice(
                        [b"&d", b"*d", b"<<: ", b"\n", b"- ", b": ", b"{", b"]", b"'", b"\0", b"!!x "]
                    )
                case _:
                    text[at:at] = text[dice.randrange(len(text)) :][:30]
        file.write_bytes(bytes(text))
        file.chmod(0o600)
        try:
            load(str(file), environ={})
        except ConfigError as error:
            refused += 1
            assert error.where
    assert refused > 500
