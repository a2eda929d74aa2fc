"""A server that speaks PostgreSQL's protocol and answers like none."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_mock import MockerFixture

from pgops.clients.sql import SqlFault
from pgops.observe.sql import read_flush_position, read_sql
from pgops.readings import Known, Unknown

STATE: tuple[Any, ...] = (
    False,
    "77",
    150020,
    "000000010000000000000002",
    1,
    "0/2000000",
    None,
    None,
    None,
    False,
    1.0,
    16777216,
    [],
    1.0,
)


@pytest.mark.parametrize(
    ("rows", "said"), [([], "0 rows"), ([(1,)], "1 rows of 1 columns"), ([STATE, STATE], "2 rows of 14 columns")]
)
def test_another_shape_is_a_fault_with_a_clear_reason(
    mocker: MockerFixture, rows: list[tuple[Any, ...]], said: str
) -> None:
    session = mocker.Mock()
    session.rows.return_value = rows
    with pytest.raises(SqlFault, match=f"the server answered with {said}, not one row of 14"):
        read_sql(session)
    if said != "1 rows of 1 columns":
        with pytest.raises(SqlFault, match="not one row of 1;"):
            read_flush_position(session)


def test_a_part_without_rows_is_unknown_and_hides_no_other(mocker: MockerFixture) -> None:
    session = mocker.Mock()
    session.rows.side_effect = lambda statement, *_: [STATE] if "pg_is_in_recovery(),\n" in statement else []
    facts = read_sql(session)
    assert (facts.timeline, facts.slots) == (1, Known(()))
    for part in (facts.archiver, facts.activity):
        assert isinstance(part, Unknown)
        assert "0 rows" in part.reason
