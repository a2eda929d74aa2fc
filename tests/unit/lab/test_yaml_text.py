"""YAML written here is read by a YAML reader as the same values."""

from __future__ import annotations

import pytest
import yaml

from pgops_lab.yaml_text import render


@pytest.mark.parametrize(
    "value",
    [
        {"a": 1, "b": [1, "x", {"c": None, "d": {"e": True}}], "f": {}, "g": []},
        {"on": "off", "yes": "no", "n": "y", "null": "null", "true": "~"},
        {
            "text": [
                "127.0.0.1:2379",
                "a: b",
                "# no",
                "- no",
                "1.5",
                "012",
                "",
                " lead",
                'quo"te',
                "back\\slash",
                "ü\n\t",
            ]
        },
        [{"encoding": "UTF8"}, "data-checksums", [1, 2], {"two": 1, "keys": [2]}],
    ],
)
def test_round_trip(value: object) -> None:
    assert yaml.safe_load(render(value)) == value
