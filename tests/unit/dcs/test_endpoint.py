"""Endpoint URLs."""

from __future__ import annotations

import pytest

from pgops.dcs import DcsFault
from pgops.dcs.endpoint import parse_endpoint


@pytest.mark.parametrize(
    ("url", "normal", "elsewhere"),
    [
        ("http://10.0.0.1:2379", "http://10.0.0.1:2379", True),
        ("https://Etcd1.Example:2379/", "https://etcd1.example:2379", True),
        ("http://etcd1", "http://etcd1:2379", True),
        ("http://[2001:db8::1]:2379", "http://[2001:db8::1]:2379", True),
        ("http://0.0.0.0:2379", "http://0.0.0.0:2379", False),
        ("http://[::]:2379", "http://[::]:2379", False),
        ("http://localhost:2379", "http://localhost:2379", False),
        ("http://127.0.0.1:2379", "http://127.0.0.1:2379", True),
    ],
)
def test_urls_are_comparable(url: str, normal: str, elsewhere: bool) -> None:
    endpoint = parse_endpoint(url)
    assert (endpoint.url, endpoint.reachable_from_elsewhere) == (normal, elsewhere)


@pytest.mark.parametrize(
    "url",
    ["", "etcd1:2379", "unix://x", "http://", "http://a;b", "http://$(id)", "http://-o", "http://h:x", "http://u:pw@h"],
)
def test_what_is_none_is_a_fault(url: str) -> None:
    with pytest.raises(DcsFault, match="is not an http or https URL") as caught:
        parse_endpoint(url)
    assert "pw" not in str(caught.value)
