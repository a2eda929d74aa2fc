"""supervisord.conf and the small start scripts that honour holds. Keys: supervisor 4 docs, configuration.rst."""

from __future__ import annotations

import platform
import shlex

from pgops_lab.lab import Lab

HELD_EXIT_CODE = 69
"""EX_UNAVAILABLE of sysexits.h: the start was refused by a hold."""


def commands(lab: Lab) -> dict[str, list[str]]:
    """What each program runs."""
    told: dict[str, list[str]] = {}
    for member in lab.members:
        told[f"etcd-{member.name}"] = [*_etcd(), "--config-file", str(member.etcd_config)]
        told[f"patroni-{member.name}"] = [str(lab.environment / "bin/patroni"), str(member.patroni_config)]
    told["haproxy"] = ["haproxy", "-W", "-db", "-f", str(lab.directory / "haproxy.cfg")]
    return told


def _etcd() -> list[str]:
    # etcd 3.4 starts on arm64 only when told so; source: etcd 3.4, etcdmain/etcd.go, checkSupportArch
    return ["env", "ETCD_UNSUPPORTED_ARCH=arm64", "etcd"] if platform.machine() == "aarch64" else ["etcd"]


def render_start(lab: Lab, program: str) -> str:
    """The start script of `program`: refuses while its hold file is there, else becomes the program."""
    hold = shlex.quote(str(lab.hold_dir / program))
    return (
        "#!/bin/sh\n"
        f"if [ -e {hold} ]; then\n"
        f'    echo "held: {program} is not started while "{hold}" is there" >&2\n'
        f"    exit {HELD_EXIT_CODE}\n"
        "fi\n"
        f"exec {shlex.join(commands(lab)[program])}\n"
    )


def render_supervisord(lab: Lab) -> str:
    """supervisord.conf. Nothing starts by itself: `lab up` starts things in their order."""
    parts = [
        f"""[unix_http_server]
file={lab.socket}
chmod=0700

[supervisord]
identifier=pgops-lab-{lab.name}
directory={lab.run_dir}
pidfile={lab.run_dir}/supervisord.pid
logfile={lab.log_dir}/supervisord.log
logfile_maxbytes=10MB
logfile_backups=1
childlogdir={lab.log_dir}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://{lab.socket}
"""
    ]
    parts += [
        f"""
[program:{program}]
command=/bin/sh {lab.directory}/bin/{program}
directory={lab.run_dir}
autostart=false
autorestart=unexpected
exitcodes=0
startsecs=1
startretries=3
stopsignal=TERM
stopwaitsecs=60
redirect_stderr=true
stdout_logfile={lab.log_dir}/{program}.log
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=1
"""
        for program in lab.programs
    ]
    return "".join(parts)
