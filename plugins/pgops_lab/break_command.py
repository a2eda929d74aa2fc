"""`pgops lab break` and `pgops lab mend`."""

from __future__ import annotations

import click

from pgops_lab import places


@click.command("break")
@click.argument("incident", required=False)
@click.option("--list", "listing", is_flag=True, help="Say what each incident is.")
@click.option("--name", default=places.DEFAULT_NAME, show_default=True, help="The lab's name.")
@click.option("--node", help="The member to break, where the incident leaves a choice.")
def break_command(incident: str | None, listing: bool, name: str, node: str | None) -> None:
    """Cause a real incident in a lab."""
    from pgops_lab import incidents
    from pgops_lab import lab as labs

    if listing:
        click.echo(incidents.render_list())
        return
    if incident is None:
        raise click.UsageError("which incident? `pgops lab break --list` says what there is")
    told = incidents.break_incident(labs.load(name), incident, node=node, tell=_say)
    click.echo(told)


@click.command("mend")
@click.argument("incident", required=False)
@click.option("--name", default=places.DEFAULT_NAME, show_default=True, help="The lab's name.")
def mend_command(incident: str | None, name: str) -> None:
    """Undo incidents, all of them or one, and wait until the lab is healthy.

    A lab's data is practice data: a member that diverged is thrown away and cloned anew.
    """
    from pgops_lab import incidents
    from pgops_lab import lab as labs

    click.echo(incidents.mend(labs.load(name), incident, tell=_say))


def _say(text: str) -> None:
    click.echo(text, err=True)
