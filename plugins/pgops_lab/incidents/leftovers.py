"""Incidents of things left standing: a signal file, a pause, a proxy that leads to the wrong member."""

from __future__ import annotations

import signal

from pgops.errors import PgopsError
from pgops_lab import acts, probes
from pgops_lab.configs.haproxy import render_haproxy
from pgops_lab.files import write
from pgops_lab.incidents.incident import Caused, Incident, Scene
from pgops_lab.lab import PRIMARY, Lab
from pgops_lab.waiting import wait_for


def _leave_signal(scene: Scene) -> Caused:
    leader = scene.leader()
    path = leader.data_dir / "recovery.signal"
    write(path, "", mode=0o600, user=scene.lab.user)
    return Caused(f"{path} is there: the next restart of {leader.name} would begin an archive recovery.", leader.name)


def _remove_signal(scene: Scene) -> None:
    for member in scene.lab.members:
        (member.data_dir / "recovery.signal").unlink(missing_ok=True)


def _pause(scene: Scene) -> Caused:
    probes.patch_config(scene.lab, {"pause": True})
    _wait_for_pause(scene.lab, True)
    return Caused("Patroni is paused everywhere: there will be no failover.")


def _resume(scene: Scene) -> None:
    probes.patch_config(scene.lab, {"pause": None})
    _wait_for_pause(scene.lab, False)


def _wait_for_pause(lab: Lab, wanted: bool) -> None:
    def everywhere() -> bool:
        replies = [probes.rest(lab, member, "patroni")[1] for member in lab.members]
        return all(isinstance(reply, dict) and bool(reply.get("pause", False)) is wanted for reply in replies)

    wait_for("every Patroni has taken note", everywhere, timeout_s=30, lab=lab, program="patroni-n1")


def _mislead(scene: Scene) -> Caused:
    lab, wrong = scene.lab, scene.replica()
    _reload(lab, render_haproxy(lab, primary_fixed_on=wrong.name))
    wait_for(f"port {PRIMARY} leads to {wrong.name}", lambda: leads_to(lab) == wrong.address, timeout_s=20, lab=lab)
    return Caused(f"HAProxy sends {lab.proxy_address}:{PRIMARY} to {wrong.name} unchecked, whoever leads.", wrong.name)


def _lead_right(scene: Scene) -> None:
    _reload(scene.lab, render_haproxy(scene.lab))


def leads_to(lab: Lab) -> str | None:
    """The address of the PostgreSQL that the proxy's primary port leads to, None when it leads nowhere."""
    try:
        return probes.sql(lab, (lab.proxy_address, PRIMARY), "SELECT host(inet_server_addr())")[0][0]
    except PgopsError:
        return None


def _reload(lab: Lab, text: str) -> None:
    """New configuration, then SIGUSR2 to HAProxy's master. Source: HAProxy management guide, master-worker mode."""
    write(lab.directory / "haproxy.cfg", text)
    acts.send(acts.program_pid(lab, "haproxy"), signal.SIGUSR2)


INCIDENTS = (
    Incident(
        "signal-left",
        "a recovery.signal left behind in the running primary's data directory",
        "nothing, until PostgreSQL restarts: then it goes into archive recovery and changes its timeline",
        _leave_signal,
        _remove_signal,
    ),
    Incident(
        "paused",
        "the cluster paused and forgotten",
        "patronictl list ends with 'Maintenance mode: on'; no failover",
        _pause,
        _resume,
    ),
    Incident(
        "haproxy-stale",
        "HAProxy's primary port fixed on a member that does not lead, without a check",
        "connections to port 5000 end on a read-only member",
        _mislead,
        _lead_right,
        members=2,
    ),
)
