"""Puts a lab's directories and files on disk, each with its owner and mode."""

from __future__ import annotations

from pgops_lab import passwords
from pgops_lab.configs.etcd import render_etcd
from pgops_lab.configs.haproxy import render_haproxy
from pgops_lab.configs.patroni import render_patroni, render_post_init, render_roles
from pgops_lab.configs.pgbackrest import render_pgbackrest
from pgops_lab.configs.pgops_yml import render_pgops, render_pgpass
from pgops_lab.configs.supervisord import render_start, render_supervisord
from pgops_lab.files import make_dir, write
from pgops_lab.lab import Lab, Member


def write_all(lab: Lab) -> None:
    """Write everything that the lab's programs read, and what its user needs. Passwords are made once."""
    made = passwords.make(lab.directory)
    make_dir(lab.run_dir, mode=0o700, user=lab.user)
    make_dir(lab.log_dir, user=lab.user)
    make_dir(lab.repo_dir, mode=0o750, user=lab.user)
    make_dir(lab.hold_dir)
    make_dir(lab.directory / "bin")
    for program in lab.programs:
        write(lab.directory / "bin" / program, render_start(lab, program))
    write(lab.supervisord_config, render_supervisord(lab))
    write(lab.directory / "haproxy.cfg", render_haproxy(lab))
    for member in lab.members:
        _write_member(lab, member, made)
    write(lab.pgpass, render_pgpass(lab, made), mode=0o600)
    write(lab.pgops_config, render_pgops(lab, made), mode=0o600)


def _write_member(lab: Lab, member: Member, made: passwords.Passwords) -> None:
    make_dir(member.directory, user=lab.user)
    make_dir(member.socket_dir, mode=0o700, user=lab.user)
    for name in ("lock", "spool", "pgops"):
        make_dir(member.directory / name, mode=0o750, user=lab.user)
    make_dir(lab.log_dir / f"pgbackrest-{member.name}", user=lab.user)
    write(member.patroni_config, render_patroni(lab, member, made), mode=0o600, user=lab.user)
    write(member.directory / "post-init.sh", render_post_init(lab, member), user=lab.user)
    write(member.directory / "roles.sql", render_roles(made), mode=0o600, user=lab.user)
    write(member.etcd_config, render_etcd(lab, member), user=lab.user)
    write(member.pgbackrest_config, render_pgbackrest(lab, member), user=lab.user)
