"""The procedure `resume`: refused where it would destroy evidence; proved by every member and by one turn of a loop."""

from __future__ import annotations

from dataclasses import replace

from pgops.observe.snapshot import DcsKeys, Snapshot
from pgops.plan.step import Params, Part, Pinned, Procedure, Risk, Step, Verdict, needed, satisfied
from pgops.readings import known
from pgops.steps.switching import VIEWS, acknowledgement, switch
from pgops_pause import recording
from pgops_pause.evidence import VIEWS as EVIDENCE_VIEWS
from pgops_pause.evidence import evidence
from pgops_pause.records import describe


def _steps(params: Params, pinned: Pinned, first: Snapshot) -> tuple[Part, ...]:
    without = _without(params)
    keys = known(first.keys)
    risk = Risk.CHANGE if keys is None or _is_ours(keys, pinned) else Risk.INTERRUPT
    resume = switch(on=False, risk=risk)
    if risk is Risk.INTERRUPT and keys is not None:
        resume = replace(resume, interrupts=f"the pause is somebody else's: {describe(keys)}. {resume.interrupts}")
    return (
        evidence(without),
        resume,
        acknowledgement(on=False, without=without),
        _steady(pinned),
        recording.delete(None),
    )


def _way_back(_params: Params, _pinned: Pinned, before: Snapshot) -> tuple[Part, ...]:
    keys = known(before.keys)
    if keys is None or not keys.paused:
        return ()
    return (
        *((recording.write(keys.pause_record, adopt=True),) if keys.pause_record else ()),
        switch(on=True),
        acknowledgement(on=True),
    )


def _without(params: Params) -> frozenset[str]:
    return frozenset(name for name in str(params.get("without") or "").split(",") if name)


def _is_ours(keys: DcsKeys, pinned: Pinned) -> bool:
    """Whether the pause is nobody's, has expired, or is the operator's own, from whichever host."""
    record = keys.pause_record
    if record is None or not keys.paused:
        return True
    expired = record.expires is not None and record.expires <= pinned.moment
    return expired or record.owner.partition("@")[0] == pinned.by


def _steady(pinned: Pinned) -> Step:
    def check(first: Snapshot, now: Snapshot) -> Verdict:
        leader = now.node(now.leader)
        rest = known(leader.rest) if leader else None
        if leader is None or rest is None:
            return needed("nobody holds the lock yet, or its holder does not answer")
        if rest.role != "primary" or rest.state != "running":
            return needed(f"{leader.name} holds the lock and is not a running primary yet ({rest.role}, {rest.state})")
        before = first.node(leader.name)
        earlier = known(before.rest) if before else None
        keys = known(first.keys)
        if keys is not None and not keys.paused:
            return satisfied(f"{leader.name} leads")
        turned = (
            earlier is None or rest.dcs_last_seen_s is None or (rest.dcs_last_seen_s > (earlier.dcs_last_seen_s or 0))
        )
        if not turned:
            return needed(f"the loop of {leader.name}'s Patroni has not turned yet")
        loop_s = keys.number("loop_wait", 10) if keys else None
        left_s = (10 if loop_s is None else loop_s) - (now.taken_at - pinned.moment).total_seconds()
        if left_s > 0:
            return needed(f"{leader.name} leads; it is watched for {left_s:.0f} s more")
        return satisfied(f"{leader.name} leads, and its Patroni's loop turned since this was planned")

    return Step(
        id="steady",
        why="what Patroni does after a resume, it does in its next loop",
        check=check,
        views=VIEWS,
        hosts=frozenset(),
        timeout_s=60.0,
        usually="one loop of Patroni (loop_wait, 10 s by default)",
    )


def _goal(_params: Params, cluster: str) -> str:
    return f"resume the cluster {cluster}"


RESUME = Procedure(name="resume", goal=_goal, views=EVIDENCE_VIEWS, steps=_steps, way_back=_way_back)
