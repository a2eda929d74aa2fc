"""`pgops lab up`: makes a lab, or completes what is missing of one."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

from pgops.errors import PgopsError, Refused
from pgops_lab import (
    allocation,
    booting,
    environments,
    places,
    preflight,
    probes,
    record,
    repository,
    supervisor,
    writing,
)
from pgops_lab import lab as labs
from pgops_lab.booting import Progress, Tell
from pgops_lab.lab import Lab
from pgops_lab.locks import lab_locked
from pgops_lab.waiting import wait_for


@dataclass(frozen=True)
class Outcome:
    """The lab, whether anything had to be done, and how long it took in seconds."""

    lab: Lab
    changed: bool
    duration_s: float


def bring_up(name: str, tell: Tell, *, size: int | None = None, patroni: str | None = None) -> Outcome:
    """Have the lab `name` up: made when it is not there, else whatever of it is dead started again.

    `size` defaults to 3 and `patroni` to the newest; for a lab that is there they must be what it was made with.
    """
    with lab_locked(name, tell):
        return _bring_up(name, tell, size, patroni)


def _bring_up(name: str, tell: Tell, size: int | None, patroni: str | None) -> Outcome:
    directory = places.lab_dir(name)
    pg_bin = preflight.check_machine()
    if (directory / labs.MARKER).exists():
        lab = labs.load(name)
        _refuse_other(lab, size, patroni)
    else:
        preflight.check_user()
        preflight.check_disk()
        version = patroni or environments.NEWEST
        environment = environments.prepare(version, tell)
        lab = allocation.allocate(
            name, size=size or 3, patroni=version, pg_bin=pg_bin, environment=environment, tell=tell
        )
    progress = Progress(tell)
    try:
        changed = _complete(lab, progress)
    except PgopsError as error:
        raise PgopsError(
            f"the lab {name} did not come up: {error.what}",
            where=error.where,
            why=error.why,
            next_step=f"look at {lab.log_dir}; `pgops lab down {name}` clears it away",
        ) from error
    return Outcome(lab, changed, progress.seconds)


def _refuse_other(lab: Lab, size: int | None, patroni: str | None) -> None:
    for what, wished, made in (("members", size, lab.size), ("Patroni", patroni, lab.patroni)):
        if wished is not None and wished != made:
            raise Refused(
                f"the lab {lab.name} is there with other {what}",
                why=f"it has {made}, and {wished} was asked for",
                next_step=f"pgops lab down {lab.name}, or another --name",
            )


def _complete(lab: Lab, progress: Progress) -> bool:
    if not lab.ready:
        progress(f"writing {lab.directory} (addresses {lab.proxy_address} and {lab.members[0].address} on)")
        writing.write_all(lab)
        lab = replace(lab, ready=True)
        labs.save(lab)
    if not supervisor.is_up(lab):
        progress("starting supervisord")
    booting.start_supervisord(lab, progress)
    is_new = not any(member.data_dir.exists() for member in lab.members)
    started = booting.start_dead(lab, lab.programs, progress) if not is_new else _start_new(lab, progress)
    if started and not is_new:
        progress("started " + ", ".join(started))
    broken = ", ".join(entry.incident for entry in record.read(lab))
    if broken:
        progress(f"broken on purpose, and left so: {broken}; pgops lab mend --name {lab.name} undoes it")
        return bool(started)
    booting.wait_for_leader(lab)
    leader = probes.require_leader(lab)
    progress(f"{leader.name} leads")
    repository.ensure_stanza(lab, leader)
    backed_up = _back_up_while(lab, progress)
    return bool(started) or backed_up


def _start_new(lab: Lab, progress: Progress) -> tuple[str, ...]:
    """etcd everywhere, then the first Patroni; the others as soon as the first has begun to make the cluster."""
    etcds = tuple(name for name in lab.programs if name.startswith("etcd-"))
    progress("starting " + ", ".join(etcds) + ", haproxy")
    booting.start_dead(lab, (*etcds, "haproxy"), progress)
    booting.wait_for_etcd(lab)
    first, *others = (f"patroni-{member.name}" for member in lab.members)
    progress(f"etcd has a quorum; starting {first}, which makes the cluster")
    booting.start_dead(lab, (first,), progress)
    wait_for(
        f"{first} begins to make the cluster",
        lambda: probes.patroni_key(lab, "initialize") is not None,
        timeout_s=30,
        lab=lab,
        program=first,
    )
    if others:
        progress("starting " + ", ".join(others))
    booting.start_dead(lab, tuple(others), progress)
    return lab.programs


def _back_up_while(lab: Lab, progress: Progress) -> bool:
    """Take the first full backup, when there is none, while the replicas are being made; wait for both."""
    leader = probes.require_leader(lab)
    needed = not repository.backups(lab, leader)
    faults: list[PgopsError] = []

    def back_up() -> None:
        try:
            repository.backrest(lab, leader, "--type=full", "backup")
        except PgopsError as error:
            faults.append(error)
        else:
            progress("the first full backup is taken")

    worker = threading.Thread(target=back_up, daemon=True)
    if needed:
        worker.start()
    expected = frozenset(
        member.name for member in lab.members if not (lab.hold_dir / f"patroni-{member.name}").exists()
    )
    booting.wait_for_replicas(lab, expected)
    if len(expected) > 1:
        progress(f"streaming from {leader.name}: {', '.join(sorted(expected - {leader.name}))}")
    if needed:
        worker.join()
    booting.wait_for_members(lab, expected)
    if faults:
        raise faults[0]
    return needed
