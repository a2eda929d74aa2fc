"""`pgops lab` and its subcommands."""

from __future__ import annotations

import json

import click

from pgops_lab import places
from pgops_lab.break_command import break_command, mend_command

VERSION_CHOICES = ("3.0", "4.1")


def say(text: str) -> None:
    """One line of progress, on standard error: standard output is for what was asked."""
    click.echo(text, err=True)


@click.group("lab")
def lab() -> None:
    """A real Patroni cluster on loopback, to practise on and to break.

    Real processes at the standard ports of loopback addresses: etcd, Patroni and PostgreSQL for each member, HAProxy
    in front, one pgBackRest repository. No root needed; under root the processes run as `postgres`.
    """


@lab.command("up")
@click.argument("argument_name", metavar="[NAME]", required=False)
@click.option("--name", help=f"The lab's name, also Patroni's scope. [default: {places.DEFAULT_NAME}]")
@click.option("--members", type=click.IntRange(1, 7), help="How many members.  [default: 3]")
@click.option("--patroni", type=click.Choice(VERSION_CHOICES), help="Which Patroni.  [default: 4.1]")
def up_command(argument_name: str | None, name: str | None, members: int | None, patroni: str | None) -> None:
    """Bring a lab up, or start again what is dead of it."""
    from pgops_lab.reach import how_to_reach
    from pgops_lab.up import bring_up

    outcome = bring_up(_one_name(argument_name, name), say, size=members, patroni=patroni)
    if outcome.changed:
        say(f"the lab {outcome.lab.name} is up after {outcome.duration_s:.1f} s")
    else:
        say(f"the lab {outcome.lab.name} is up already; nothing was done")
    click.echo(how_to_reach(outcome.lab))


@lab.command("down")
@click.argument("argument_name", metavar="[NAME]", required=False)
@click.option("--name", help="The lab's name.  [default: demo]")
@click.option("--purge", is_flag=True, help="Remove the shared Python environments as well, when no lab is left.")
def down_command(argument_name: str | None, name: str | None, purge: bool) -> None:
    """End a lab and remove all of it.

    The Python environments that `lab up` made are kept for the next lab; --purge removes them too.
    """
    from pgops_lab import environments
    from pgops_lab import lab as labs
    from pgops_lab.down import take_down

    chosen = _one_name(argument_name, name)
    if (places.lab_dir(chosen) / labs.MARKER).exists() or not purge:
        take_down(chosen, say)
        say(f"the lab {chosen} is gone")
    if purge and labs.names():
        say("the Python environments are kept: there are labs that use them: " + ", ".join(labs.names()))
    elif purge:
        environments.remove_all()
        say(f"the Python environments under {places.home()} are gone")


@lab.command("status")
@click.argument("argument_name", metavar="[NAME]", required=False)
@click.option("--name", help="The lab's name.  [default: demo]")
@click.option("-f", "--format", "form", type=click.Choice(("table", "json")), default="table", show_default=True)
def status_command(argument_name: str | None, name: str | None, form: str) -> None:
    """What runs of a lab, what is held, what was broken on purpose."""
    from pgops_lab import lab as labs
    from pgops_lab.reach import render_status
    from pgops_lab.status import as_mapping, observe

    status = observe(labs.load(_one_name(argument_name, name)))
    click.echo(json.dumps(as_mapping(status), indent=2) if form == "json" else render_status(status))


@lab.command("list")
def list_command() -> None:
    """All labs of this lab home."""
    from pgops.render.table import render_table
    from pgops_lab import lab as labs
    from pgops_lab.status import observe

    rows = []
    for name in labs.names():
        status = observe(labs.load(name))
        broken = ", ".join(entry.incident for entry in status.incidents)
        state = "up" if status.up else "not all up" if status.supervised else "down"
        rows.append([name, state, str(status.lab.size), status.lab.patroni, status.lab.proxy_address, broken])
    if rows:
        click.echo(render_table(["name", "state", "members", "patroni", "haproxy", "incidents"], rows))
    else:
        say(f"no lab under {places.home()}; `pgops lab up` makes one")


@lab.command("path")
@click.argument("argument_name", metavar="[NAME]", required=False)
@click.option("--name", help="The lab's name.  [default: demo]")
def path_command(argument_name: str | None, name: str | None) -> None:
    """Print the path of a lab's pgops.yml, as in: export PGOPS_CONFIG=$(pgops lab path)."""
    from pgops_lab import lab as labs

    click.echo(labs.load(_one_name(argument_name, name)).pgops_config)


@lab.command("prepare")
@click.option("--patroni", type=click.Choice((*VERSION_CHOICES, "all")), default="4.1", show_default=True)
def prepare_command(patroni: str) -> None:
    """Only make the Python environment that labs run on, so that a later `lab up` is quick."""
    from pgops_lab import environments, preflight

    preflight.check_machine()
    preflight.check_user()
    for version in VERSION_CHOICES if patroni == "all" else (patroni,):
        click.echo(f"Patroni {version}: {environments.prepare(version, say)}")


lab.add_command(break_command)
lab.add_command(mend_command)


def _one_name(argument: str | None, option: str | None) -> str:
    if argument and option and argument != option:
        raise click.UsageError("the lab's name is given twice, and differently")
    return argument or option or places.DEFAULT_NAME
