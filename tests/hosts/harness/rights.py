"""What a plain operator's login must be allowed on a host for `pgops health`, and no more.

These lines are the documented ones. Every argument is spelt out, since `find` and `pgbackrest` run programs when told to
(`-exec`, `--cmd-ssh`): allowed with any arguments they are a shell as postgres. Where arguments vary, a regular expression
bounds them and not a wildcard, which would match further options as well. `systemctl show` and `id` need no right.
Source: sudoers(5), its escapes, and regular expressions, which it knows since sudo 1.9.10 (Debian 12, Ubuntu 24.04).
"""

from __future__ import annotations

from hosts.harness.guide import STANZA, Plan
from hosts.harness.operator import HOST_USER

SUDOERS = "/etc/sudoers.d/pgops"
ROOT_SUDOERS = "/etc/sudoers.d/pgops-root"

_FILES = ("recovery.signal", "standby.signal", "backup_label", "postmaster.pid", "PG_VERSION", "postgresql.auto.conf")
_QUIET = r"--log-level-console\=off --log-level-stderr\=error --log-level-file\=off"


def sudoers(plan: Plan) -> str:
    """The lines for `pgops health`, and after them those that only `pgops health --deep` needs."""
    data = plan.data_dir
    names = " -o ".join(f"-name {name}" for name in _FILES)
    wal = rf"-path {data}/pg_wal/\* ( -name \*.history -o -name \[0-9A-F\]\*\[0-9A-F\] -o -name \*.ready )"
    find = rf"-maxdepth 1 -type f ( {names} -o {wal} ) -printf %f\\\\n"
    segment = f"{data}/pg_wal/[0-9A-F]{{8}}([0-9A-F]{{16}}|[.]history)"
    archive = f"archive/{STANZA}/[0-9]+-[0-9]+"
    deep = f"--stanza={STANZA} --log-level-console=off --log-level-stderr=error --log-level-file=off"
    commands = (
        f"{plan.bin_dir}/pg_controldata -D {data}",
        f"/usr/bin/find -H {data} {data}/pg_wal/ {data}/pg_wal/archive_status/ {find}",
        "/usr/bin/df ^--block-size=1 --output=target,file,size,avail,pcent,ipcent --( /[^ ]+)+$",
        f"/usr/bin/pgbackrest --stanza\\={STANZA} {_QUIET} --output\\=json info",
        f"/usr/bin/nice ^sha1sum --( {segment})+$",
        f"/usr/bin/pgbackrest ^{deep} --output=json repo-ls {archive}(/[0-9A-F]{{16}})?$",
        f"/usr/bin/pgbackrest ^{deep} repo-get {archive}/[0-9A-F]{{8}}[.]history$",
    )
    return "".join(f"{HOST_USER} ALL=(postgres) NOPASSWD: {command}\n" for command in commands)
