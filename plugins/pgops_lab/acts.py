"""What can be done to a lab's members from outside: freezing, killing, writing rows, cloning anew."""

from __future__ import annotations

import os
import shutil
import signal

from pgops.errors import PgopsError
from pgops.hosts.process import run
from pgops_lab import holds, probes, processes, supervisor
from pgops_lab.down import mounts_under
from pgops_lab.lab import Lab, Member
from pgops_lab.waiting import wait_for


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal; a process that has ended meanwhile is no fault."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def program_pid(lab: Lab, program: str) -> int:
    """The process id of a running program; `PgopsError` when it does not run."""
    pid = supervisor.program(lab, program).pid
    if pid is None:
        raise PgopsError(f"{program} does not run", next_step=f"pgops lab status --name {lab.name}")
    return pid


def freeze(lab: Lab, program: str) -> int:
    """SIGSTOP a program and see that it stopped; gives its process id."""
    pid = program_pid(lab, program)
    send(pid, signal.SIGSTOP)
    wait_for(
        f"{program} is stopped",
        lambda: any(process.pid == pid and process.stopped for process in processes.of_lab(lab)),
        timeout_s=5,
    )
    return pid


def kill(lab: Lab, program: str, reason: str) -> None:
    """Hold a program and SIGKILL it, frozen or not; supervisord is told to let it be."""
    holds.hold(lab, program, reason)
    pid = supervisor.program(lab, program).pid
    if pid is not None:
        send(pid, signal.SIGKILL)
        wait_for(f"{program} has ended", lambda: not processes.is_alive(pid), timeout_s=10)
    supervisor.stop(lab, program)


def postmaster(lab: Lab, member: Member) -> int | None:
    """The process id of the postmaster that uses this member's data directory, seen and not only noted in its file."""
    for process in processes.of_lab(lab):
        if process.name == "postgres" and str(member.data_dir) in process.words:
            return process.pid
    return None


def end_postgres(lab: Lab, member: Member, number: signal.Signals = signal.SIGQUIT) -> None:
    """End a member's PostgreSQL at once: an immediate shutdown, or SIGKILL for postmaster and children alike."""
    pid = postmaster(lab, member)
    if pid is None:
        return
    if number is signal.SIGKILL:
        children = processes.children(pid)
        for each in (pid, *children):
            send(each, signal.SIGKILL)
    else:
        send(pid, number)
        send(pid, signal.SIGCONT)
    wait_for(f"PostgreSQL of {member.name} has ended", lambda: postmaster(lab, member) is None, timeout_s=20)


def write_rows(lab: Lab, member: Member, note: str, count: int) -> None:
    """Commit rows on one member, reached directly, as an application would that still has it as its primary."""
    statement = (
        f"INSERT INTO ledger (written_on, note) SELECT '{member.name}', '{note} ' || repeat('x', 400) "  # noqa: S608 - our own words
        f"FROM generate_series(1, {count})"
    )
    probes.sql(lab, member, statement, database="app")


def count_rows(lab: Lab, member: Member) -> int:
    """The rows of the ledger as this member has them."""
    return int(probes.sql(lab, member, "SELECT count(*) FROM ledger", database="app")[0][0])


def is_primary(lab: Lab, member: Member) -> bool:
    """Whether this member's PostgreSQL takes writes; False also when it does not answer."""
    return _in_recovery(lab, member) == "f"


def is_replica(lab: Lab, member: Member) -> bool:
    """Whether this member's PostgreSQL answers as a read-only one; False also when it does not answer."""
    return _in_recovery(lab, member) == "t"


def _in_recovery(lab: Lab, member: Member) -> str | None:
    try:
        return probes.sql(lab, member, "SELECT pg_is_in_recovery()", timeout_s=6)[0][0]
    except PgopsError:
        return None


def wait_for_other_leader(lab: Lab, old: Member, *, timeout_s: float = 75) -> Member:
    """Wait until a member other than `old` holds the lock, takes writes, and is followed by the rest; gives it."""
    others = [member for member in lab.members if member != old]

    def other() -> Member | None:
        found = next((each for each in others if probes.rest(lab, each, "primary", timeout_s=2)[0] == 200), None)
        return found if found is not None and is_primary(lab, found) else None

    new = wait_for(f"another member than {old.name} leads", other, timeout_s=timeout_s, lab=lab)
    rest = {member.name for member in others} - {new.name}
    wait_for(f"the others follow {new.name}", lambda: rest <= probes.streaming_from(lab, new), timeout_s=60, lab=lab)
    return new


def unmount(member: Member) -> None:
    """Unmount what an incident mounted under a member's directory."""
    for mount in mounts_under(member.directory):
        result = run(["umount", mount], timeout_s=20)
        if not result.ok:
            raise PgopsError("a file system of the lab cannot be unmounted", where=mount, why=result.fault)


def clear_data(lab: Lab, member: Member) -> None:
    """Throw a member's data directory away, its Patroni and PostgreSQL ended before; its Patroni is left held."""
    kill(lab, f"patroni-{member.name}", "its data directory is thrown away")
    end_postgres(lab, member)
    unmount(member)
    if member.data_dir.exists():
        shutil.rmtree(member.data_dir)


def restart_patroni(lab: Lab, member: Member) -> None:
    """Stop a member's Patroni (and with it its PostgreSQL) in an orderly way, and start both anew."""
    supervisor.stop(lab, f"patroni-{member.name}")
    supervisor.start(lab, f"patroni-{member.name}")
