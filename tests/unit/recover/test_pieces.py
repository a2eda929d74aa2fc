"""Pieces of a CSV as PostgreSQL writes it: they end where a record ends, whatever stands in quotes, and lose nothing."""

from __future__ import annotations

import io
from base64 import b64decode

import pytest

from pgops.hosts.remote.answering import Fault
from pgops_recover.remote.conflicts import read_records
from pgops_recover.remote.pieces import read_piece

HEADER = b'_pgops_xid,"a\nb","c,""d"""\n'
ROWS = [
    b'1,,""\n',
    b'2,"one\ntwo\r\nthree","say ""x"""\n',
    '3,"größe\n",ä\n'.encode("latin-1"),
    b'4,"\\.\n\\.",\\N\n',
    b'5,"""\n""\n""","\n\n"\n',
    b"6,\xff\x00\x01,\\x00\n",
]


def _pieces(content: bytes, limit_bytes: int) -> tuple[bytes, list[bytes]]:
    source, at, header, found = io.BytesIO(content), 0, b"", []
    while True:
        told = read_piece(source, at, limit_bytes)
        header = b64decode(told["header"]) if at == 0 else header
        found.append(b64decode(told["piece"]))
        if told["next"] is None:
            return header, found
        assert told["next"] > at
        at = told["next"]


@pytest.mark.parametrize("limit_bytes", [1, 10, 25, 1000])
def test_no_record_is_cut(limit_bytes: int) -> None:
    header, pieces = _pieces(HEADER + b"".join(ROWS), limit_bytes)
    assert header == HEADER and b"".join(pieces) == b"".join(ROWS)
    ends = {sum(map(len, ROWS[:count])) for count in range(len(ROWS) + 1)}
    assert all(sum(map(len, pieces[: count + 1])) in ends for count in range(len(pieces)))
    assert limit_bytes > 1 or pieces == ROWS


def test_a_table_without_rows_is_its_header() -> None:
    assert _pieces(HEADER, 100) == (HEADER, [b""])


def test_a_record_that_is_too_long_is_told_and_not_held() -> None:
    source = io.BytesIO(HEADER + b'1,"' + b"x" * 5000 + b'"\n')
    with pytest.raises(Fault, match="a row of more than 1000 bytes"):
        read_piece(source, 0, 10, record_bytes=1000)
    assert source.tell() < 2000


def test_fields_are_read_as_they_were_written() -> None:
    records = list(read_records(HEADER + b"".join(ROWS)))
    assert records[0] == [b"_pgops_xid", b"a\nb", b'c,"d"']
    assert records[1] == [b"1", None, b""], "nothing is not an empty text"
    assert records[2] == [b"2", b"one\ntwo\r\nthree", b'say "x"']
    assert records[3] == [b"3", "größe\n".encode("latin-1"), "ä".encode("latin-1")]
    assert records[4] == [b"4", b"\\.\n\\.", b"\\N"]
    assert records[5] == [b"5", b'"\n"\n"', b"\n\n"]
    assert records[6] == [b"6", b"\xff\x00\x01", b"\\x00"]
    with pytest.raises(Fault, match="belongs to no field"):
        list(read_records(b'1,"x"y\n'))
