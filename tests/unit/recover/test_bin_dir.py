"""The one value `postgresql.bin_dir` in texts as people write them: changed alone and exactly, or not at all."""

from __future__ import annotations

import difflib
import json
import subprocess
import sys

import pytest
import yaml

from pgops_recover.programs import source_of
from pgops_recover.remote import bin_dir

DIRECTORY = "/var/lib/postgresql/pgops-guard"

TEXTS = {
    "plain": "scope: a\npostgresql:\n  data_dir: /d\n  bin_dir: /usr/lib/postgresql/15/bin\n  listen: x\n",
    "comments": "# bin_dir: /no\npostgresql:  # here\n  # bin_dir: /n\n  bin_dir: /b   # the real ones\n  listen: x # y\n",
    "single quotes": "postgresql:\n  bin_dir: '/b it''s'\n  listen: x\n",
    "double quotes": 'postgresql:\n  bin_dir: "/b\\t#x"\n',
    "quoted keys": '"postgresql":\n    "bin_dir" : /b\n',
    "flow": "postgresql: {listen: x, bin_dir: /b, data_dir: /d}\n",
    "flow of several lines": 'postgresql: {\n  "listen": x,\n  "bin_dir": "/b"\n}\n',
    "crlf": "scope: a\r\npostgresql:\r\n  bin_dir: /b\r\n  listen: x\r\n",
    "no newline at the end": "postgresql:\n  listen: x\n  bin_dir: /b",
    "empty value": "postgresql:\n  bin_dir:\n  listen: x\n",
    "empty value and comment": "postgresql:\n  bin_dir:   # search path\n  listen: x\n",
    "null": "postgresql:\n  bin_dir: ~\n",
    "a tab in the value": "postgresql:\n  bin_dir: '/b\t/c'\n",
    "byte order mark": "\ufeffpostgresql:\n  bin_dir: /b\n",
    "other alphabets": "scope: Größe 🐘\npostgresql:\n  bin_dir: /b\n  note: ツ\n",
    "other sections": "bootstrap:\n  dcs:\n    postgresql:\n      bin_dir: /other\npostgresql:\n  bin_dir: /b\n",
    "below the section": "postgresql:\n  parameters:\n    bin_dir: /other\n  bin_dir: /b\n",
    "anchors elsewhere": "x: &x {a: 1}\npostgresql:\n  <<: *x\n  bin_dir: /b\n  authentication: &y {u: 1}\ntags: *y\n",
    "document start": "%YAML 1.1\n---\npostgresql:\n  bin_dir: /b\n...\n",
    "an anchor that nobody uses": "postgresql:\n  bin_dir: &b /b\n",
    "a tag": "postgresql:\n  bin_dir: !!str /b\n",
    "secrets": "postgresql:\n  authentication: {superuser: {password: 'p: #\"{'}}\n  bin_dir: /b\n",
    "lists": "postgresql:\n  pg_hba:\n  - host all all 127.0.0.0/8 md5\n  bin_dir: /b\n",
}
WITHOUT = {
    "missing": "scope: a\npostgresql:\n  listen: x\n  data_dir: /d\n",
    "missing, first key quoted": 'postgresql:\n    "listen": x\n',
    "missing, crlf": "postgresql:\r\n  listen: x\r\n",
    "missing, no newline at the end": "postgresql:\n  listen: x",
    "missing, in flow": "postgresql: {listen: x}\n",
    "missing, behind a comment": "postgresql:\n  # bin_dir: /b\n  listen: x\n",
    "missing, section with an anchor": "postgresql: &pg\n  listen: x\ncopy: 1\n",
    "missing, from a merge": "x: &x {bin_dir: /b}\npostgresql:\n  <<: *x\n  listen: x\n",
}


@pytest.mark.parametrize("text", [*TEXTS.values(), *WITHOUT.values()], ids=[*TEXTS, *WITHOUT])
def test_it_alone_is_changed_and_comes_back_as_it_was(text: str) -> None:
    answer = bin_dir.put_in(text, DIRECTORY)
    changed = answer["text"]
    before, after = yaml.safe_load(text), yaml.safe_load(changed)
    assert after["postgresql"].pop("bin_dir") == DIRECTORY
    before["postgresql"].pop("bin_dir", None)
    assert after == before
    lines = list(difflib.ndiff(text.splitlines(keepends=True), changed.splitlines(keepends=True)))
    gone, come = ([line for line in lines if line.startswith(sign)] for sign in "-+")
    assert len(gone) <= 1 and len(come) == 1 and "bin_dir" in come[0]
    assert "\r\n" not in text or "\n" not in changed.replace("\r\n", "")
    assert bin_dir.put_in(changed, DIRECTORY) == {"same": True}
    wish = {"directory": DIRECTORY, "before": answer["before"], "piece": answer["piece"], "added": answer["added"]}
    assert bin_dir.take_out({"text": changed, **wish})["text"] == text
    # What others wrote meanwhile stays.
    later = f"# later\n{changed}" if not text.startswith(("\ufeff", "%")) else changed
    assert bin_dir.take_out({"text": later, **wish})["text"].endswith(text)
    assert bin_dir.take_out({"text": text, **wish}) == {"same": True}


def test_a_comment_behind_it_stays() -> None:
    changed = bin_dir.put_in(TEXTS["comments"], DIRECTORY)["text"]
    assert f'  bin_dir: "{DIRECTORY}"   # the real ones\n' in changed


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("postgresql:\n  bin_dir: /b\npostgresql:\n  bin_dir: /b\n", "it says postgresql 2 times"),
        ("postgresql:\n  bin_dir: /a\n  bin_dir: /b\n", "its section postgresql says bin_dir 2 times"),
        ("x: &b /b\npostgresql:\n  bin_dir: *b\n", "an alias"),
        ("postgresql:\n  bin_dir: &b /b\nx: *b\n", "leans on its bin_dir"),
        ("postgresql: &pg\n  bin_dir: /b\ncopy: *pg\n", "another value would change"),
        ("postgresql: &pg\n  listen: x\ncopy: *pg\n", "another value would change"),
        ("x: &pg\n  bin_dir: /b\npostgresql: *pg\n", "another value would change"),
        ("postgresql:\n  bin_dir: >-\n    /b\n  listen: x\n", "several lines"),
        ("postgresql:\n  bin_dir: '/b\n    c'\n", "several lines"),
        ("postgresql:\n  bin_dir:\n    /b\n", "not written out on the line of its key"),
        ("postgresql:\n  ? bin_dir\n  : /b\n", "not written out on the line of its key"),
        ("postgresql:\n  bin_dir: [/b]\n", "its bin_dir is no plain value"),
        ("postgresql:\n", "is empty, or no mapping"),
        ("postgresql: {}\n", "is empty, or no mapping"),
        ("postgresql: /b\n", "is empty, or no mapping"),
        ("scope: a\n", "it has no section postgresql"),
        ("- a\n", "it is no mapping"),
        ("", "it is no mapping"),
        ("postgresql:\n  bin_dir: /b\t# a tab\n", "it is not one document of YAML at line 2"),
        ("postgresql:\n\tbin_dir: /b\n", "it is not one document of YAML at line 2"),
        ("postgresql:\n  bin_dir: /b\n  password: 'secret-word\n", "it is not one document of YAML"),
        ("postgresql:\n  bin_dir: /b\n---\nx: 1\n", "it is not one document of YAML"),
        ("postgresql:\n  bin_dir: \x07\n", "it is not one document of YAML"),
        ("postgresql:\n  ? listen\n  : x\n", "does not stand on a line of its own"),
        ("a: &a [*a]\npostgresql:\n  bin_dir: /b\n", "nested too deeply"),
    ],
)
def test_what_cannot_be_changed_with_certainty_is_refused_and_tells_nothing(text: str, why: str) -> None:
    wish = json.dumps({"text": text, "directory": DIRECTORY})
    argv = [sys.executable, "-c", source_of("bin_dir")]
    answer = subprocess.run(argv, input=wish, capture_output=True, text=True, timeout=60, check=True)
    assert answer.stderr == "" and "secret-word" not in answer.stdout
    assert why in json.loads(answer.stdout)["fault"]


def test_what_stands_otherwise_than_it_was_written_is_not_taken_out() -> None:
    text = f"postgresql:\n  bin_dir: '{DIRECTORY}'\n"
    wish = {"text": text, "directory": DIRECTORY, "before": "/b", "piece": f'"{DIRECTORY}"', "added": False}
    with pytest.raises(bin_dir.Fault, match="does not stand as pgops wrote it"):
        bin_dir.take_out(wish)
