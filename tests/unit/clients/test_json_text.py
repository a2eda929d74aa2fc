"""JSON from strangers."""

from __future__ import annotations

import pytest

from pgops.clients.http import parse_json


def test_big_integers_stay_exact_and_the_last_duplicate_counts() -> None:
    assert parse_json(b'\xef\xbb\xbf{"id": 15807287473286867657, "id": 7711099966935465950}') == {
        "id": 7711099966935465950
    }


@pytest.mark.parametrize(
    ("body", "clause"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"<html><body>502 Bad Gateway", "HTML"),
        (b'{"role": "prim', "breaks off after 14 bytes"),
        (b'{"role": ', "breaks off"),
        (b"[1, 2", "breaks off"),
        (b"role: primary", "is not JSON"),
        (b"{} trailing", "is not JSON"),
        (b'{"lag": NaN}', "NaN"),
        (b"[-Infinity]", "-Infinity"),
        (b"[1e999]", "too large"),
        (b"\xff\xfe{", "not UTF-8"),
        (b"[" * 100_000, "nested too deeply|breaks off"),
        (b"[" * 100 + b"]" * 100, "nested too deeply"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "nested too deeply"),
    ],
)
def test_what_is_no_usable_json_says_what_it_is(body: bytes, clause: str) -> None:
    with pytest.raises(ValueError, match=clause):
        parse_json(body)


def test_many_brackets_that_are_not_deep_are_fine() -> None:
    assert parse_json(b"[" + b"[]," * 500 + b"[]]") == [[]] * 501
