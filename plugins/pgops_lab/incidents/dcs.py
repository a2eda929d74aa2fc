"""Incidents of etcd: a wiped member, a database that is full, everything lost."""

from __future__ import annotations

import base64
import secrets
import shutil
from typing import Any

from pgops.errors import PgopsError
from pgops_lab import acts, booting, holds, probes, supervisor
from pgops_lab.configs.etcd import QUOTA_BYTES, render_etcd
from pgops_lab.files import write
from pgops_lab.incidents.incident import Caused, Incident, Scene
from pgops_lab.lab import Lab, Member
from pgops_lab.waiting import wait_for

FILL_PREFIX = "/lab-fill/"
FILL_BYTES = 1024 * 1024
"""One value; etcd takes requests up to 1.5 MiB. Source: etcd docs, --max-request-bytes."""


def _wipe_member(scene: Scene) -> Caused:
    lab = scene.lab
    member = scene.node or lab.members[-1]
    program = f"etcd-{member.name}"
    supervisor.stop(lab, program)
    shutil.rmtree(member.etcd_dir)
    supervisor.start(lab, program)
    wait_for(f"{program} gives up", lambda: supervisor.program(lab, program).state == "FATAL", timeout_s=60, lab=lab)
    return Caused(
        f"the data of etcd on {member.name} is gone; it cannot start, since the cluster still counts it as a member.",
        member.name,
        {"member": member.name},
    )


def _replace_members(scene: Scene) -> None:
    for member in scene.lab.members:
        if member.name == scene.facts.get("member", member.name) and not _is_healthy(member):
            _replace_member(scene.lab, member)


def _replace_member(lab: Lab, member: Member) -> None:
    """Remove the member, add it anew, start it empty. Source: etcd docs, runtime reconfiguration."""
    others = [each for each in lab.members if each != member]
    supervisor.stop(lab, f"etcd-{member.name}")
    for found in _call(others, "v3/cluster/member/list", {}).get("members", []):
        if member.peer_url in found.get("peerURLs", []):
            _call(others, "v3/cluster/member/remove", {"ID": found["ID"]})
    wait_for("etcd takes the member back", lambda: _add(others, member), timeout_s=30)
    if member.etcd_dir.exists():
        shutil.rmtree(member.etcd_dir)
    write(member.etcd_config, render_etcd(lab, member, state="existing"), user=lab.user)
    holds.release(lab, f"etcd-{member.name}")
    supervisor.start(lab, f"etcd-{member.name}")
    program = f"etcd-{member.name}"
    wait_for(f"{program} is healthy", lambda: _is_healthy(member), timeout_s=30, lab=lab, program=program)
    write(member.etcd_config, render_etcd(lab, member), user=lab.user)


def _is_healthy(member: Member) -> bool:
    return probes.etcd(member, "health")[0] == 200


def _add(others: list[Member], member: Member) -> bool:
    """Whether etcd took the member; right after a removal it may still say that it is unhealthy."""
    return any(
        probes.etcd(each, "v3/cluster/member/add", {"peerURLs": [member.peer_url]}, timeout_s=8)[0] == 200
        for each in others[:1]
    )


def _fill(scene: Scene) -> Caused:
    lab = scene.lab
    value = _b64("x" * FILL_BYTES)
    for number in range(2 * QUOTA_BYTES // FILL_BYTES):
        status, reply = probes.etcd(
            lab.members[0], "v3/kv/put", {"key": _b64(f"{FILL_PREFIX}{number:04}"), "value": value}, timeout_s=20
        )
        if status != 200 and "space exceeded" in str(reply):
            break
    alarms = wait_for("etcd raises its alarm", lambda: _alarms(lab), timeout_s=20, lab=lab, program="etcd-n1")
    return Caused(
        f"etcd has reached its quota of {QUOTA_BYTES // 1024 // 1024} MiB ({len(alarms)} alarms NOSPACE): leases are "
        "kept alive, nothing can be written. The leader looks well; no one could take over.",
    )


def _make_room(scene: Scene) -> None:
    """Delete what filled it, compact, defragment each member in turn, take the alarms back."""
    lab = scene.lab
    everyone = list(lab.members)
    _call(everyone, "v3/kv/deleterange", {"key": _b64(FILL_PREFIX), "range_end": _b64(FILL_PREFIX[:-1] + "0")})
    revision = _call(everyone, "v3/maintenance/status", {})["header"]["revision"]
    _call(everyone, "v3/kv/compaction", {"revision": revision, "physical": True})
    for member in lab.members:
        _call([member], "v3/maintenance/defragment", {})
    for alarm in _alarms(lab):
        _call(everyone, "v3/maintenance/alarm", {"action": "DEACTIVATE"} | alarm)
    wait_for("the alarms are gone", lambda: not _alarms(lab), timeout_s=10)


def _lose_all(scene: Scene) -> Caused:
    lab = scene.lab
    leader = probes.leader(lab)
    for member in lab.members:
        acts.kill(lab, f"etcd-{member.name}", "lab break dcs-lost")
    for member in lab.members:
        shutil.rmtree(member.etcd_dir, ignore_errors=True)
    if leader is not None:
        scene.tell(f"etcd is gone; {leader.name} steps down as soon as it cannot keep its lock")
        wait_for(f"{leader.name} has stepped down", lambda: acts.is_replica(lab, leader), timeout_s=60, lab=lab)
    return Caused("etcd is dead everywhere and its data is gone; no member takes writes.")


def _bring_back(scene: Scene) -> None:
    """A new, empty etcd at the same addresses; the Patronis, which all run, fill it anew and choose a leader."""
    lab = scene.lab
    generation = secrets.token_hex(4)
    for member in lab.members:
        acts.kill(lab, f"etcd-{member.name}", "made anew")
        shutil.rmtree(member.etcd_dir, ignore_errors=True)
        write(member.etcd_config, render_etcd(lab, member, generation=generation), user=lab.user)
    for member in lab.members:
        holds.release(lab, f"etcd-{member.name}")
        supervisor.start(lab, f"etcd-{member.name}")
    booting.wait_for_etcd(lab)


def _alarms(lab: Lab) -> list[dict[str, Any]]:
    alarms: list[dict[str, Any]] = _call(list(lab.members), "v3/maintenance/alarm", {"action": "GET"}).get("alarms", [])
    return alarms


def _call(members: list[Member], path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The reply of the first member that gives one."""
    said: object = "no answer"
    for member in members:
        status, reply = probes.etcd(member, path, body, timeout_s=15)
        if status == 200:
            return dict(reply)
        said = reply if status else said
    raise PgopsError("etcd refused", where=path, why=str(said)[:200])


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


INCIDENTS = (
    Incident(
        "etcd-member",
        "one etcd member's data wiped",
        'that etcd does not come up: "member ... has already been bootstrapped"; the quorum holds',
        _wipe_member,
        _replace_members,
        members=3,
    ),
    Incident(
        "etcd-nospace",
        f"etcd filled to its quota with keys under {FILL_PREFIX}",
        "alarm NOSPACE, /health 503; Patroni's leader still answers 200, but no failover is possible",
        _fill,
        _make_room,
    ),
    Incident(
        "dcs-lost",
        "all etcd members dead and their data gone",
        "no leader, all members read-only, /cluster gives no answer",
        _lose_all,
        _bring_back,
    ),
)
