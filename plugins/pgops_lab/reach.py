"""What a person is told of a lab: how to reach it, and how it is."""

from __future__ import annotations

from pgops.render.table import render_table
from pgops.render.text import printable
from pgops.render.units import format_duration
from pgops_lab import places
from pgops_lab.lab import ALL, PRIMARY, REPLICAS, STATS, Lab
from pgops_lab.status import Status


def how_to_reach(lab: Lab) -> str:
    """The lines that `lab up` ends with."""
    proxy = lab.proxy_address
    link = places.environment_dir(lab.patroni)
    environment = link if link.resolve() == lab.environment else lab.environment
    ctl = f"{environment}/bin/patronictl -c {lab.members[0].patroni_config}"
    return f"""
  export PGOPS_CONFIG={lab.pgops_config}
  pgops health

  primary     PGPASSFILE={lab.pgpass} psql -h {proxy} -p {PRIMARY} -U app app
  replicas    the same with -p {REPLICAS}; any member with -p {ALL}; superuser with -U postgres postgres
  HAProxy     http://{proxy}:{STATS}/
  members     {", ".join(f"{member.name} {member.address}" for member in lab.members)} (etcd 2379, Patroni 8008)
  patronictl  {ctl} list
  logs        {lab.log_dir}
  next        pgops lab break --list; pgops lab status{_name(lab)}; pgops lab down{_name(lab)}
"""


def render_status(status: Status) -> str:
    """A table of the programs, and what stands beside it."""
    lab = status.lab
    lines = []
    if not status.supervised:
        left = f"; {status.orphans} of its processes run without it" if status.orphans else ""
        lines.append(f"the lab {lab.name} is down: supervisord does not answer{left}")
        lines.append(f"next: pgops lab up{_name(lab)}, or pgops lab down{_name(lab)}")
    else:
        rows = []
        for program in status.programs:
            node = program.name.removeprefix("patroni-") if program.name.startswith("patroni-") else ""
            marks = [
                word for word, names in (("held", status.held), ("frozen", status.stopped)) if program.name in names
            ]
            pid, uptime = program.pid, program.uptime_s
            notes = [*marks, status.roles.get(node, "") if node else "" if program.pid else program.said]
            rows.append(
                [
                    program.name,
                    program.state,
                    "" if pid is None else str(pid),
                    "" if uptime is None else format_duration(uptime),
                    _address(lab, program.name),
                    printable("; ".join(note for note in notes if note)),
                ]
            )
        lines.append(render_table(["program", "state", "pid", "up", "address", "note"], rows))
    for entry in status.incidents:
        where = f" on {entry.member}" if entry.member else ""
        lines.append(f"broken on purpose: {entry.incident}{where}, since {entry.at}; pgops lab mend{_name(lab)}")
    return "\n".join(lines)


def _address(lab: Lab, program: str) -> str:
    if program == "haproxy":
        return lab.proxy_address
    return lab.member(program.partition("-")[2]).address


def _name(lab: Lab) -> str:
    return "" if lab.name == "demo" else f" --name {lab.name}"
