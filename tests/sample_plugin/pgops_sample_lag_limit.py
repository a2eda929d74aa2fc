"""A plugin of one file with a procedure of its own. Copy it to /etc/pgops/plugins/ and make it your own.

Before a maintenance that lets the replicas fall behind, a site raises `maximum_lag_on_failover`, and lowers it again after
it. As a procedure it has a plan, a dry run, a proof, and can be run again; pgops does all of that.
"""

from __future__ import annotations

from dataclasses import replace

import click

from pgops.cli.acting import Choices, act, acting_options
from pgops.observe.snapshot import Snapshot, View
from pgops.plan.actions import Action, CallRest
from pgops.plan.step import Params, Part, Pinned, Procedure, Risk, Step, Verdict, blocked, needed, satisfied
from pgops.plugin import Command, Plugin
from pgops.readings import Known, known

SETTING = "maximum_lag_on_failover"


def set_limit(limit_bytes: object) -> Step:
    """The one step: the dynamic configuration says this limit; None: it says none, which is Patroni's 1 MiB."""

    def check(_first: Snapshot, now: Snapshot) -> Verdict:
        keys = known(now.keys)
        if keys is None or keys.config is None:
            return blocked("the dynamic configuration cannot be read", "pgops health --check configuration")
        present = keys.config.get(SETTING)
        if present == limit_bytes:
            return satisfied(
                f"{SETTING} is {limit_bytes} bytes" if limit_bytes is not None else f"{SETTING} is not set"
            )
        return needed(f"{SETTING} is {present if present is not None else 'not set'}")

    def actions(_first: Snapshot, _now: Snapshot) -> tuple[Action, ...]:
        return (CallRest("PATCH", "/config", {SETTING: limit_bytes}),)  # null takes the key away

    def expect(now: Snapshot) -> Snapshot:
        keys = known(now.keys)
        if keys is None:
            return now
        others = {name: value for name, value in (keys.config or {}).items() if name != SETTING}
        config = others if limit_bytes is None else {**others, SETTING: limit_bytes}
        return replace(now, keys=Known(replace(keys, config=config)))

    return Step(
        id="limit",
        why="a replica that is further behind than this is not promoted",
        check=check,
        actions=actions,
        expect=expect,
        views=frozenset({View.REST}),
        hosts=frozenset(),
        risk=Risk.CHANGE,
        timeout_s=10.0,
        moves=frozenset({"key:config"}),
        usually="under a second",
    )


def _steps(params: Params, _pinned: Pinned, _first: Snapshot) -> tuple[Part, ...]:
    return (set_limit(int(str(params["limit_bytes"]))),)


def _way_back(_params: Params, _pinned: Pinned, before: Snapshot) -> tuple[Part, ...]:
    keys = known(before.keys)
    return (set_limit((keys.config or {}).get(SETTING) if keys else None),)


LAG_LIMIT = Procedure(
    name="lag-limit",
    goal=lambda params, cluster: f"promote no replica of {cluster} that is {params['limit_bytes']} bytes behind",
    views=frozenset({View.REST}),
    steps=_steps,
    way_back=_way_back,
)


@click.command("lag-limit")
@click.argument("limit_bytes", metavar="BYTES", type=click.IntRange(min=0))
@acting_options
@click.pass_context
def lag_limit(ctx: click.Context, choices: Choices, limit_bytes: int) -> int:
    """Set how far behind a replica may be and still be promoted."""
    return act(ctx, "lag-limit", {"limit_bytes": limit_bytes}, choices)


plugin = Plugin(
    name="lag-limit",
    commands=(Command("lag-limit", lag_limit, "How far behind a replica may be and still be promoted."),),
    procedures={"lag-limit": LAG_LIMIT},
)
