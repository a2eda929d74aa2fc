"""pgbackrest.conf of one member. Options: pgBackRest's configuration reference, as of 2.45."""

from __future__ import annotations

from pgops_lab.lab import POSTGRES, Lab, Member


def render_pgbackrest(lab: Lab, member: Member) -> str:
    """pgbackrest.conf: one shared repository; locks, spool and logs of the member's own."""
    return f"""[global]
repo1-path={lab.repo_dir}
repo1-retention-full=2
start-fast=y
compress-type=gz
compress-level=1
process-max=2
lock-path={member.directory}/lock
spool-path={member.directory}/spool
log-path={lab.log_dir}/pgbackrest-{member.name}
log-level-console=warn
log-level-file=info

[{lab.name}]
pg1-path={member.data_dir}
pg1-port={POSTGRES}
pg1-socket-path={member.socket_dir}
pg1-user=postgres
"""
