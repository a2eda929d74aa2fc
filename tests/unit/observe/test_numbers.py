"""Numbers of the dynamic configuration, as people write them."""

from __future__ import annotations

import pytest

from pgops.checks import Verdict
from pgops_health.checks import CHECKS
from pgops_health.report import judge
from unit.checks import worlds as w


@pytest.mark.parametrize("value", ["10", 10, 10.0])
def test_digits_in_a_text_count(value: object) -> None:
    assert w.keys(config={"loop_wait": value}).number("loop_wait", 5) == 10


@pytest.mark.parametrize("value", ["soon", [], {}, True, "9" * 40, 2**70])
@pytest.mark.parametrize("name", ["ttl", "loop_wait", "retry_timeout", "maximum_lag_on_failover"])
def test_what_is_no_number_breaks_no_check(name: str, value: object) -> None:
    report = judge(w.with_config(**{name: value}), CHECKS)
    assert not [item for item in report.judged if "this check itself failed" in item.finding.text]
    assert report.verdict is not Verdict.CRITICAL
