"""What `pgops backup` does on the machine that it is called on, around the procedure: from cron, silence is the rule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Literal

from pgops.cli.acting import Choices, ask_for, find_procedure, show, tell_outcome
from pgops.cli.streams import say
from pgops.config.model import ClusterConfig, Config
from pgops.errors import ConfigError, ExitCode, PgopsError, Refused, Unreachable
from pgops_backup.parameters import Window, is_within

if TYPE_CHECKING:
    from pgops.engine.world import Eyes
    from pgops.observe.facts import StanzaFacts
    from pgops.observe.snapshot import Snapshot
    from pgops.plan.plan import Plan

Ended = Literal["made", "not_needed", "standby", "refused", "failed"]
"""How a call ended, for the metrics."""


@dataclass(frozen=True)
class Wishes:
    """The options of `pgops backup`. Times in seconds; `window` in `zone`."""

    kind: str
    source: str
    node: str | None
    if_older_than_s: float | None
    window: Window | None
    zone: str
    jitter_s: float | None
    repo: int | None
    no_expire: bool
    textfile: str | None
    verbose: bool


class NothingHere(Exception):
    """There is nothing to do, or not here; the text says why. Not a fault."""

    def __init__(self, why: str, outcome: Ended = "not_needed") -> None:
        super().__init__(why)
        self.outcome = outcome


@dataclass
class Tale:
    """What the metrics tell of this call, as far as it came to know it."""

    cluster: ClusterConfig | None = None
    node: str | None = None
    facts: StanzaFacts | None = None


def make_backup(config_file: str | None, wishes: Wishes, choices: Choices) -> int:
    """Make one where it is due and this is the place; the exit code. Raises `PgopsError`."""
    only_look = choices.dry_run or choices.plan_out is not None
    tale = Tale()
    code: int = ExitCode.FAILED
    outcome: Ended = "failed"
    try:
        code = _make(config_file, wishes, choices, tale)
        outcome = "made" if code == ExitCode.DONE else "failed"
    except NothingHere as nothing:
        code, outcome = ExitCode.DONE, nothing.outcome
        if wishes.verbose or only_look:
            say(str(nothing))
    except PgopsError as error:
        code = error.exit_code
        outcome = "refused" if code in (ExitCode.REFUSED, ExitCode.LOCKED) else "failed"
        raise
    finally:
        if wishes.textfile is not None and not only_look and tale.cluster is not None:
            _write_metrics(wishes.textfile, tale.cluster, tale, wishes.kind, code, outcome)
    return code


def _write_metrics(directory: str, cluster: ClusterConfig, tale: Tale, kind: str, code: int, outcome: Ended) -> None:
    """That they cannot be written is said, and is no fault of the backup."""
    from pgops_backup.metrics import LastRun, write_metrics

    run = LastRun(cluster.name, tale.node, cluster.stanza or "", kind, datetime.now(timezone.utc), int(code), outcome)
    try:
        write_metrics(directory, run, tale.facts)
    except PgopsError as error:
        say(f"warning: {error}")


def _make(config_file: str | None, wishes: Wishes, choices: Choices, tale: Tale) -> int:
    if wishes.window is not None:
        _heed_window(wishes.window, wishes.zone)
    from pgops.cli.cluster_choice import choose_cluster
    from pgops.config.loader import load
    from pgops_backup.guard import is_replica
    from pgops_backup.place import find_node, with_host

    config = load(config_file)
    cluster = choose_cluster(config, choices.cluster)
    tale.cluster = cluster
    if cluster.stanza is None:
        raise ConfigError(
            f"no pgBackRest stanza is configured for the cluster {cluster.name}",
            where=config.source,
            next_step="name it: stanza, in pgops.yml",
        )
    host = find_node(cluster, wishes.node)
    if host is not None:
        tale.node = host.name
        if is_replica(cluster, host):
            raise NothingHere(f"{host.name} is a replica: the leader makes the backup", "standby")
        cluster = with_host(cluster, host)
    if wishes.jitter_s:
        import random
        import time as clock

        clock.sleep(random.uniform(0, wishes.jitter_s))  # noqa: S311 - spreads load, guards nothing
    return _act(cluster, config, wishes, choices, tale)


def _heed_window(window: Window, zone: str) -> None:
    if zone == "UTC":
        now = datetime.now(timezone.utc)
    else:
        from zoneinfo import ZoneInfo

        now = datetime.now(ZoneInfo(zone))
    if not is_within(window, now):
        raise NothingHere(f"it is {now:%H:%M} in {zone}: outside {window[0]:%H:%M}-{window[1]:%H:%M}")


def _act(cluster: ClusterConfig, config: Config, wishes: Wishes, choices: Choices, tale: Tale) -> int:
    from pgops.cli.progress import choose_listener
    from pgops.dcs.opening import open_dcs
    from pgops.engine import operation
    from pgops.engine.lock import Locked
    from pgops.engine.real_world import RealEyes, RealWorld
    from pgops.observe.snapshot import View
    from pgops.plan.step import Standing
    from pgops_backup.adopting import settle_left

    only_look = choices.dry_run or choices.plan_out is not None
    world = (RealEyes if only_look else RealWorld)(cluster, open_dcs(cluster), config.warnings)
    try:
        listener = choose_listener(quiet=choices.quiet or choices.form == "json")
        procedure = find_procedure("backup")
        node = tale.node or _find_leader(world)
        plan = operation.make_plan(procedure, _params(node, wishes), world)
        tale.facts = _facts_of(plan.first, node)
        if tale.node is not None:
            _leave_to_leader(plan, node)
        if only_look or not isinstance(world, RealWorld):
            return show(plan, choices)
        if plan.steps[0].verdict.standing is Standing.BLOCKED:  # before anything else: it may be a split brain
            operation.refuse_blocked(plan)
        holder = operation.find_holder(world, "backup")
        if holder is not None:
            if wishes.if_older_than_s is not None:
                raise NothingHere(f"a backup is under way: {holder.why}")
            raise holder
        if operation.find_run_id(world, "backup") is not None:
            settled = settle_left(world, config, listener, choices)
            if settled is not None:
                return settled
            plan = operation.make_plan(procedure, _params(node, wishes), world)
        operation.refuse_blocked(plan)
        if plan.is_empty:
            raise NothingHere(plan.steps[-1].verdict.reason)
        operation.refuse_unfinished(procedure, plan)
        operation.refuse_resting(procedure, plan)
        ask_for(plan, choices)
        try:
            outcome = operation.run_plan(
                procedure, plan, world, confirmed=False, listener=listener, log_file=config.log_file
            )
        except Locked as locked:
            if wishes.if_older_than_s is None:
                raise
            raise NothingHere(f"another backup was faster: {locked.why}") from None
        if wishes.textfile is not None:
            tale.facts = _facts_of(world.observe(frozenset({View.BACKUP}), frozenset({node})), node)
        return tell_outcome(outcome, plan, choices)
    finally:
        world.close()


def _params(node: str, wishes: Wishes) -> dict[str, str | int | float | bool | None]:
    return {
        "node": node,
        "kind": wishes.kind,
        "source": wishes.source,
        "repo": wishes.repo,
        "if_older_than_s": wishes.if_older_than_s,
        "no_expire": wishes.no_expire,
    }


def _find_leader(world: Eyes) -> str:
    """The lock holder: this machine is none of the nodes, so that one is asked."""
    from pgops.readings import Known, reason

    seen = world.observe(frozenset(), frozenset())
    if not isinstance(seen.keys, Known):
        raise Unreachable(
            "the DCS gave no answer, so who leads is not known", why=reason(seen.keys), next_step="pgops health"
        )
    if seen.leader is None:
        raise Refused("there is no leader now, so no backup was made", next_step="pgops health")
    return seen.leader


def _facts_of(seen: Snapshot, node: str) -> StanzaFacts | None:
    from pgops.readings import known

    found = seen.node(node)
    return known(found.stanza) if found else None


def _leave_to_leader(plan: Plan, node: str) -> None:
    """A replica whose address only the DCS knows ends as quietly as any other."""
    from pgops.readings import known

    found = plan.first.node(node)
    sql = known(found.sql) if found else None
    if sql is not None and sql.in_recovery:
        raise NothingHere(f"{node} is a replica: the leader makes the backup", "standby")
