"""The contract that every procedure keeps, those of plugins too. Each check is a plain function of a `Case`.

A plugin's own test calls `check_procedure(PROCEDURE, params, make_cluster)`; it raises `AssertionError`.
"""

from __future__ import annotations

from collections.abc import Callable

from pgops.errors import ExitCode, Refused
from pgops.plan.step import Params, Procedure
from pgops.testing.case import Case, fingerprint, operator_host
from pgops.testing.crash_checks import check_abort, check_crashes
from pgops.testing.dcs_checks import check_dcs_gone, check_lost_answers
from pgops.testing.fake_cluster import FakeCluster
from pgops.testing.fake_world import FakeWorld
from pgops.testing.fault_checks import (
    check_drift,
    check_failures_after_effect,
    check_lease_lost,
    check_lies,
    check_locked,
    check_stale_reads,
)
from pgops.testing.plan_checks import (
    check_effects_are_planned,
    check_planning_is_pure,
    check_prediction,
    check_reached_goal_is_empty,
)

CHECKS: tuple[Callable[[Case], None], ...] = (
    check_planning_is_pure,
    check_effects_are_planned,
    check_reached_goal_is_empty,
    check_prediction,
    check_crashes,
    check_abort,
    check_drift,
    check_lies,
    check_failures_after_effect,
    check_stale_reads,
    check_locked,
    check_lease_lost,
    check_lost_answers,
    check_dcs_gone,
)
"""The whole contract, a check each."""


def check_procedure(
    procedure: Procedure,
    params: Params,
    make_cluster: Callable[[], FakeCluster],
    *,
    set_up: Callable[[FakeWorld], None] | None = None,
) -> None:
    """Every check of the contract, of a procedure that can reach its goal in this world. Raises `AssertionError`.

    To be called from the main thread: a run heeds signals.
    """
    case = Case(procedure, params, make_cluster, set_up) if set_up else Case(procedure, params, make_cluster)
    for check in CHECKS:
        with operator_host():
            check(case)


def check_refused(case: Case) -> str:
    """In this world the procedure is refused, and nothing is done; gives back the reason."""
    check_planning_is_pure(case)
    with operator_host():
        world = case.world()
        plan = case.plan(world)
        before, writes = fingerprint(world.fake), world.fake.dcs.writes
        try:
            outcome = case.run_plan(world, plan)
        except Refused as refused:
            assert world.fake.effects == [] and world.fake.dcs.writes == writes
            assert fingerprint(world.fake) == before
            assert refused.exit_code is ExitCode.REFUSED
            return str(refused)
        raise AssertionError(f"it was not refused: {outcome}")
