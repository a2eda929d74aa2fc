"""Actions on hosts: commands, jobs, files and folders, each behind the fence."""

from __future__ import annotations

from pgops.config.model import ClusterConfig, HostConfig
from pgops.engine.world import ActionFault
from pgops.hosts.fence import Fence, FencedOff, run_fenced
from pgops.hosts.files import NotWritten, remove_file, write_file
from pgops.hosts.folders import NotCarried, Way, carry_folder
from pgops.hosts.host import Host, HostFault, NotStarted
from pgops.hosts.jobs import open_jobs
from pgops.plan.actions import CarryFolder, ForgetJob, Hole, RunCommand, StartJob, StopJob, Word, WriteFile
from pgops.render.text import printable


def perform_on_host(
    action: RunCommand | StartJob | StopJob | ForgetJob | WriteFile,
    host: Host,
    config: HostConfig,
    cluster: ClusterConfig,
    token: int,
) -> None:
    """Perform it. Raises `ActionFault`: `happened` False where the host refused it."""
    fence = Fence(token, cluster.prefix, config.state_dir)
    try:
        if isinstance(action, WriteFile):
            _write(action, host, fence)
        elif isinstance(action, StartJob):
            jobs = open_jobs(cluster.services, config)
            argv = _filled(action.argv)
            jobs.start(host, action.name, argv, identity=action.identity, fence=fence, timeout_s=action.timeout_s)
        elif isinstance(action, StopJob):
            jobs = open_jobs(cluster.services, config)
            jobs.stop(host, action.name, identity=action.identity, fence=fence, timeout_s=action.timeout_s)
        elif isinstance(action, ForgetJob):
            jobs = open_jobs(cluster.services, config)
            jobs.forget(host, action.name, identity=action.identity, fence=fence, timeout_s=action.timeout_s)
        else:
            _run(action, host, fence)
    except (FencedOff, NotWritten, NotStarted) as fault:
        raise ActionFault(f"{action.host}: {fault}", happened=False) from None
    except HostFault as fault:
        raise ActionFault(f"{action.host}: {fault}") from None


def carry(
    action: CarryFolder, source: Host, host: Host, config: HostConfig, cluster: ClusterConfig, token: int
) -> None:
    """Carry a folder from `source` to `host`. Raises `ActionFault`: `happened` False where the folder there is as it was."""
    fence = Fence(token, cluster.prefix, config.state_dir)
    try:
        carry_folder(
            Way(source, action.source_path, host, action.path, whole=action.whole, identity=action.identity),
            stamp=action.stamp,
            fence=fence,
            timeout_s=action.timeout_s,
        )
    except (FencedOff, NotCarried, NotStarted) as fault:
        raise ActionFault(f"{action.source} to {action.host}: {fault}", happened=False) from None
    except HostFault as fault:
        raise ActionFault(f"{action.source} to {action.host}: {fault}") from None


def _write(action: WriteFile, host: Host, fence: Fence) -> None:
    if action.content is None:
        remove_file(host, action.path, identity=action.identity, fence=fence, timeout_s=action.timeout_s)
        return
    if isinstance(action.content, Hole):
        raise ActionFault(f"the value {action.content.name} is not known yet", happened=False)
    content = action.content.encode()
    write_file(
        host, action.path, content, mode=action.mode, identity=action.identity, fence=fence, timeout_s=action.timeout_s
    )


def _run(action: RunCommand, host: Host, fence: Fence) -> None:
    argv = _filled(action.argv)
    result = run_fenced(host, argv, fence=fence, identity=action.identity, timeout_s=action.timeout_s)
    if result.exit_code not in action.accepts:
        answered = result.exit_code is not None
        raise ActionFault(f"{action.host}: {argv[0]}: {printable(result.fault)}", answered=answered)


def _filled(argv: tuple[Word, ...]) -> list[str]:
    """The words; what is derived at the time of performing has no hole left."""
    for word in argv:
        if isinstance(word, Hole):
            raise ActionFault(f"the value {word.name} is not known yet", happened=False)
    return [word for word in argv if isinstance(word, str)]
