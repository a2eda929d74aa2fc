"""What runs on a fake host: files, jobs, and the commands of its service manager, behind a fence as on a real one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from pgops.engine.world import ActionFault
from pgops.hosts.host import Identity
from pgops.plan.actions import CarryFolder, ForgetJob, Hole, RunCommand, StartJob, StopJob, Word, WriteFile
from pgops.testing.fake_cluster import FakeCluster
from pgops.testing.fake_host import FakeJob, is_held, unit_names

Command = Callable[[FakeCluster, str, tuple[str, ...]], int]


def perform_on_fake_host(
    fake: FakeCluster,
    action: RunCommand | StartJob | StopJob | ForgetJob | WriteFile,
    token: int,
    commands: Mapping[str, Command],
) -> None:
    """Perform it. Raises `ActionFault`: `happened` False where the host could not be reached, or refused the token."""
    host = action.host
    if host not in fake.hosts:
        raise ActionFault(f"no host {host} is configured", happened=False)
    if not fake.members[host].host_up:
        raise ActionFault(f"{host}: no answer in time", happened=False)
    argv = () if isinstance(action, (WriteFile, StopJob, ForgetJob)) else _filled(action.argv)
    _pass_fence(fake, host, action.identity, token)
    if isinstance(action, WriteFile):
        path, content = action.path, action.content
        if isinstance(content, Hole):
            raise ActionFault(f"the value {content.name} is not known yet", happened=False)
        fake.change_host(host, lambda item: item.with_file(path, content))
    elif isinstance(action, StartJob):
        name = action.name
        if name not in fake.hosts[host].jobs:
            job = FakeJob(name, argv)
            fake.change_host(host, lambda item: replace(item, jobs={**item.jobs, name: job}))
    elif isinstance(action, StopJob):
        _stop(fake, host, action.name)
    elif isinstance(action, ForgetJob):
        _forget(fake, host, action.name)
    else:
        code = _run(fake, host, argv, commands)
        if code not in action.accepts:
            raise ActionFault(f"{host}: {argv[0]}: exit code {code}", answered=True)


def carry_between_fake_hosts(
    fake: FakeCluster, action: CarryFolder, token: int, carried: Callable[[FakeCluster, CarryFolder], None] | None
) -> None:
    """The files below the source come to lie there. Raises `ActionFault` as `perform_on_fake_host` does."""
    for name in (action.source, action.host):
        if name not in fake.hosts:
            raise ActionFault(f"no host {name} is configured", happened=False)
        if not fake.members[name].host_up:
            raise ActionFault(f"{name}: no answer in time", happened=False)
    _pass_fence(fake, action.host, action.identity, token)
    top, into = f"{action.source_path}/", f"{action.path}/"
    coming = {
        f"{into}{path[len(top) :]}": text
        for path, text in fake.hosts[action.source].files.items()
        if path.startswith(top)
    }
    there = fake.hosts[action.host].files
    kept = {path: text for path, text in there.items() if not (action.whole and path.startswith(into))}
    fake.change_host(action.host, lambda item: replace(item, files={**kept, **coming}))
    if carried is not None:
        carried(fake, action)


def _stop(fake: FakeCluster, host: str, name: str) -> None:
    job = fake.hosts[host].jobs.get(name)
    if job is not None and job.state == "running":
        ended = replace(job, state="ended", exit_code=143)
        fake.change_host(host, lambda item: replace(item, jobs={**item.jobs, name: ended}))


def _forget(fake: FakeCluster, host: str, name: str) -> None:
    job = fake.hosts[host].jobs.get(name)
    if job is not None and job.state == "running":
        raise ActionFault(f"{host}: forgetting the job {name}: the job runs", answered=True)
    kept = {key: item for key, item in fake.hosts[host].jobs.items() if key != name}
    fake.change_host(host, lambda item: replace(item, jobs=kept))


def _pass_fence(fake: FakeCluster, host: str, identity: Identity, token: int) -> None:
    seen = fake.hosts[host].tokens.get(identity, 0)
    if token < seen:
        raise ActionFault(f"{host}: token {token} is lower than {seen}, another run has taken over", happened=False)
    fake.change_host(host, lambda item: replace(item, tokens={**item.tokens, identity: token}))


def _run(fake: FakeCluster, host: str, argv: tuple[str, ...], commands: Mapping[str, Command]) -> int:
    """A command of the service manager, by its own values, or one that a test gives; 127: there is none of that name."""
    manager = fake.manager
    if argv == manager.reload_argv():
        fake.change_host(host, lambda item: replace(item, loaded=frozenset(item.files)))
        return 0
    for role, unit in unit_names(fake.config.services, host):
        if argv == manager.assert_argv(unit):
            paths = [file.path for file in manager.hold_files(unit, "")]
            return 1 if all(path in fake.hosts[host].files for path in paths) else 0
        if argv == manager.start_argv(unit):
            return _start(fake, host, role, unit)
        if argv == manager.restart_argv(unit):
            return _restart(fake, host, role, unit)
    command = commands.get(argv[0])
    return 127 if command is None else command(fake, host, argv)


def _start(fake: FakeCluster, host: str, role: str, unit: str) -> int:
    seen = fake.hosts[host]
    if is_held(seen, fake.manager, unit):
        number = seen.starts + 1
        refused = {**seen.refused, role: f"start {number}"}
        fake.change_host(host, lambda item: replace(item, refused=refused, starts=number))
        return 1
    left = {name: mark for name, mark in seen.refused.items() if name != role}
    fake.change_host(host, lambda item: replace(item, running=item.running | {role}, refused=left))
    if role == "patroni" and fake.members[host].patroni == "dead":
        fake.change(host, patroni="running")
        fake.change_host(host, lambda item: replace(item, patroni_starts=item.patroni_starts + 1))
    return 0


def _restart(fake: FakeCluster, host: str, role: str, unit: str) -> int:
    """Stop and start. A Patroni that is not paused stops its PostgreSQL. Source: Patroni, patroni/ha.py, shutdown."""
    fake.change_host(host, lambda item: replace(item, running=item.running - {role}))
    if role == "patroni":
        ends = 0 if fake.members[host].acknowledges else 1
        fake.change_host(
            host,
            lambda item: replace(
                item, patroni_starts=item.patroni_starts + 1, postgres_starts=item.postgres_starts + ends
            ),
        )
    return _start(fake, host, role, unit)


def _filled(argv: tuple[Word, ...]) -> tuple[str, ...]:
    for word in argv:
        if isinstance(word, Hole):
            raise ActionFault(f"the value {word.name} is not known yet", happened=False)
    return tuple(word for word in argv if isinstance(word, str))
