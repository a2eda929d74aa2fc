"""What a member's host tells: control data, files that mean something, disks, and the identity of its WAL.

Every probe is one plain command with an absolute data directory, so that a sudoers line can name it. Sources: PostgreSQL,
src/bin/pg_controldata; GNU find and df.
"""

from __future__ import annotations

from collections.abc import Sequence

from pgops.hosts.host import Host, HostFault, Identity
from pgops.hosts.remote.program_paths import program_in
from pgops.observe.facts import ControlFacts, DataDirFiles, DiskUsage, WalIdentity
from pgops.observe.lsn import HISTORY_NAME, SEGMENT_NAME, parse_lsn
from pgops.readings import Known, Reading, Unknown

_FILES = ("recovery.signal", "standby.signal", "backup_label", "postmaster.pid", "PG_VERSION", "postgresql.auto.conf")
_DF = ["df", "--block-size=1", "--output=target,file,size,avail,pcent,ipcent"]


def read_control(host: Host, data_dir: str, bin_dir: str | None, *, timeout_s: float) -> Reading[ControlFacts]:
    """`pg_controldata` of the data directory; works whether PostgreSQL runs or not."""
    program = program_in(bin_dir, "pg_controldata")
    try:
        answer = host.run([program, "-D", data_dir], identity=Identity.OWNER, timeout_s=timeout_s)
        return Known(parse_control(answer.stdout)) if answer.ok else Unknown(f"pg_controldata: {answer.fault}")
    except HostFault as fault:
        return Unknown(str(fault))
    except (KeyError, ValueError) as fault:
        return Unknown(f"pg_controldata: its output has no usable {fault}")


def parse_control(output: str) -> ControlFacts:
    """The output of pg_controldata under LC_ALL=C. Raises KeyError or ValueError with the missing line's label."""
    lines = dict(line.split(":", 1) for line in output.splitlines() if ":" in line)
    fields = {label.strip(): value.strip() for label, value in lines.items()}
    minimum = parse_lsn(fields["Minimum recovery ending location"])
    return ControlFacts(
        state=fields["Database cluster state"],
        system_identifier=fields["Database system identifier"],
        checkpoint_bytes=parse_lsn(fields["Latest checkpoint location"]),
        checkpoint_timeline=int(fields["Latest checkpoint's TimeLineID"]),
        minimum_recovery_bytes=minimum or None,
        checksums=fields["Data page checksum version"] != "0",
        segment_bytes=int(fields["Bytes per WAL segment"]),
        minimum_recovery_timeline=int(fields["Min recovery ending loc's timeline"]) or None,
    )


def read_files(host: Host, data_dir: str, *, timeout_s: float) -> Reading[DataDirFiles]:
    """Signal files, backup_label and the like, WAL segments and history files, and how many segments wait for the archive."""
    top = data_dir.rstrip("/")
    wanted = [part for name in _FILES for part in ("-o", "-name", name)][1:]
    wal = ["-path", f"{top}/pg_wal/*", "(", "-name", "*.history", "-o", "-name", "[0-9A-F]*[0-9A-F]", "-o"]
    argv = [
        *("find", "-H", top, f"{top}/pg_wal/", f"{top}/pg_wal/archive_status/", "-maxdepth", "1", "-type", "f"),
        *("(", *wanted, "-o", *wal, "-name", "*.ready", ")", ")", "-printf", "%f\\n"),
    ]
    try:
        answer = host.run(argv, identity=Identity.OWNER, timeout_s=timeout_s)
    except HostFault as fault:
        return Unknown(str(fault))
    if not answer.ok:
        return Unknown(f"find: {answer.fault}")
    return Known(parse_files(answer.stdout.splitlines()))


def parse_files(names: Sequence[str]) -> DataDirFiles:
    """Sort the file names that the probe found into what they mean."""
    return DataDirFiles(
        names=frozenset(name for name in names if name in _FILES),
        ready_count=sum(1 for name in names if name.endswith(".ready")),
        histories=tuple(sorted({name for name in names if HISTORY_NAME.fullmatch(name)})),
        segments=tuple(sorted({name for name in names if SEGMENT_NAME.fullmatch(name)})),
    )


def read_disks(host: Host, paths: Sequence[str], *, timeout_s: float) -> Reading[tuple[DiskUsage, ...]]:
    """`df` of the file systems that hold these paths; a path that does not exist is left out."""
    try:
        answer = host.run([*_DF, "--", *dict.fromkeys(paths)], identity=Identity.OWNER, timeout_s=timeout_s)
        disks = parse_disks(answer.stdout)
    except HostFault as fault:
        return Unknown(str(fault))
    except ValueError:
        return Unknown("df: its output is not the table that was asked for")
    return Known(disks) if disks else Unknown(f"df: {answer.fault or 'printed nothing'}")


def parse_disks(output: str) -> tuple[DiskUsage, ...]:
    """The table of `df --output=target,file,size,avail,pcent,ipcent`, one entry per file system. Raises ValueError."""
    found: dict[str, DiskUsage] = {}
    for line in output.splitlines()[1:]:
        # Numbers stand at the end; a mount point or path may itself hold spaces.
        rest, size, free, percent, inodes = line.rsplit(None, 4)
        mount, path = _split_paths(rest)
        earlier = found.get(mount)
        paths = (*earlier.paths, path) if earlier else (path,)
        inode_percent = None if inodes == "-" else float(inodes.rstrip("%"))
        found[mount] = DiskUsage(mount, paths, int(size), int(free), float(percent.rstrip("%")), inode_percent)
    return tuple(found.values())


def _split_paths(text: str) -> tuple[str, str]:
    """`/mnt/a b   /mnt/a b/data` -> both: df pads with at least one space, and the file starts with a slash."""
    columns = text.strip().split(" /")
    middle = max(1, len(columns) // 2)
    return " /".join(columns[:middle]).strip(), "/" + " /".join(columns[middle:]).strip()


def read_identity(host: Host, data_dir: str, names: Sequence[str], *, timeout_s: float) -> Reading[WalIdentity]:
    """SHA-1 of these WAL segments (`.partial` ones too) and history files in pg_wal. One that was recycled is left out."""
    if not names:
        return Known(WalIdentity({}, {}))
    directory = f"{data_dir.rstrip('/')}/pg_wal"
    try:
        answer = host.run(
            ["nice", "sha1sum", "--", *(f"{directory}/{name}" for name in names)],
            identity=Identity.OWNER,
            timeout_s=timeout_s,
        )
    except HostFault as fault:
        return Unknown(str(fault))
    if answer.exit_code is None or answer.truncated or (not answer.stdout and not answer.ok):
        return Unknown(f"sha1sum: {answer.fault}")
    return Known(parse_identity(answer.stdout))


def parse_identity(output: str) -> WalIdentity:
    """The output of sha1sum."""
    hashes = {}
    for line in output.splitlines():
        digest, _, path = line.partition("  ")
        hashes[path.rsplit("/", 1)[-1]] = digest
    return WalIdentity(
        segments={
            name: digest for name, digest in hashes.items() if SEGMENT_NAME.fullmatch(name.removesuffix(".partial"))
        },
        histories={name: digest for name, digest in hashes.items() if name.endswith(".history")},
    )
