"""haproxy.cfg as widespread guides for Patroni have it. Keywords: HAProxy 2.6 configuration manual."""

from __future__ import annotations

from pgops_lab.lab import ALL, POSTGRES, PRIMARY, REPLICAS, REST, STATS, Lab

FRONTS = (("primary", PRIMARY, "/primary"), ("replicas", REPLICAS, "/replica"), ("all", ALL, "/health"))


def render_haproxy(lab: Lab, *, primary_fixed_on: str | None = None) -> str:
    """haproxy.cfg. `primary_fixed_on` sends port 5000 to that member unchecked, whoever leads."""
    parts = [
        f"""global
    log stdout format raw local0 notice
    maxconn 300
    stats socket {lab.run_dir}/haproxy.sock mode 600 level admin

defaults
    log global
    mode tcp
    retries 2
    timeout client 30m
    timeout connect 4s
    timeout server 30m
    timeout check 2s

listen stats
    mode http
    bind {lab.proxy_address}:{STATS}
    stats enable
    stats uri /
"""
    ]
    for name, port, path in FRONTS:
        fixed = primary_fixed_on if name == "primary" else None
        parts.append(f"\nlisten {name}\n    bind {lab.proxy_address}:{port}\n")
        if fixed is None:
            parts.append(
                f"    option httpchk OPTIONS {path}\n    http-check expect status 200\n"
                "    default-server inter 1s fall 2 rise 2 on-marked-down shutdown-sessions\n"
            )
        for member in lab.members:
            if fixed in (None, member.name):
                check = f" check port {REST}" if fixed is None else ""
                parts.append(f"    server {member.name} {member.address}:{POSTGRES} maxconn 60{check}\n")
    return "".join(parts)
