"""The dry run of `pgops salvage apply`: the plan, and what stands against the saved rows on the leader."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from pgops.cli.acting import Choices, find_procedure, show

if TYPE_CHECKING:
    from pgops.plan.step import Params


def compare(ctx: click.Context, params: Params, choices: Choices) -> int:
    """Show both, and do nothing. Ends as every dry run: 3 where the plan would be refused, 5 where that cannot be told."""
    from pgops.cli.cluster_choice import open_cluster
    from pgops.engine.operation import make_plan
    from pgops.engine.real_world import RealEyes
    from pgops.errors import ExitCode
    from pgops.render.text import printable
    from pgops_recover.comparing import read_conflicts
    from pgops_recover.comparison_text import conflicts_document, render_conflicts
    from pgops_recover.salvaging import copies_of

    cluster, dcs, config = open_cluster(ctx, choices.cluster)
    eyes = RealEyes(cluster, dcs, config.warnings)
    try:
        plan = make_plan(find_procedure("salvage-apply"), params, eyes)
    finally:
        eyes.close()
    leader = next((host.name for host in cluster.hosts if host.name == plan.first.leader and host.data_dir), None)
    copies = [each for each in copies_of(plan.first, str(params["run"]), str(params["node"])) if each[1].salvaged]
    conflicts = read_conflicts(cluster, leader, copies, str(params["superuser"])) if leader and copies else None
    if choices.form == "json":
        click.echo(json.dumps(conflicts_document(plan, conflicts), indent=2))
        blocked = plan.blocked
        if blocked is None:
            return ExitCode.DONE
        return ExitCode.UNREACHABLE if blocked.verdict.unread else ExitCode.REFUSED
    code = show(plan, choices)
    if conflicts is None:
        click.echo(f"conflicts: unknown: {'there is no salvage folder' if leader else 'no leader can be asked'}")
        return code
    text = render_conflicts(conflicts, leader or "")
    click.echo("".join(f"{printable(line)}\n" for line in text.splitlines()), nl=False)
    return code
